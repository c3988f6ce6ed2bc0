"""Stages: done once, done again exactly when the result could differ, never half done."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import pytest

from babelpress import api
from babelpress import stages as module
from babelpress.distillation import train
from babelpress.errors import BabelpressError
from babelpress.files import read_json, write_text
from babelpress.pipeline import STAGES, bring_up, open_run
from babelpress.recipe import Recipe
from babelpress.stages import Stage, is_done, read_manifest, run_stage, versions
from tests.distillation import RECIPE, write_recipe


@dataclass
class Job:
    """A context that counts the work and holds what the stages read."""

    settings: dict = field(default_factory=lambda: {"a": {"size": 1}, "b": {}})
    content: dict = field(default_factory=lambda: {"a": "text", "b": "other"})
    done: Counter = field(default_factory=Counter)
    found: list = field(default_factory=list)
    fail: bool = False


def make_stage(name: str, *needs: str, resumable: bool = False) -> Stage[Job]:
    def apply(job: Job, folder) -> dict:
        job.done[name] += 1
        job.found = sorted(path.name for path in folder.iterdir())
        write_text(folder / "sub" / "out.txt", job.content[name])
        if job.fail:
            raise RuntimeError("crashed")
        return {"letters": len(job.content[name])}

    return Stage(name, needs, lambda job: job.settings[name], apply, resumable=resumable)


A = make_stage("a")
B = make_stage("b", "a")
LONG = make_stage("a", resumable=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_stage_with_nothing_new_is_skipped(tmp_path):
    job = Job()
    assert run_stage(A, job, tmp_path)
    assert not run_stage(A, job, tmp_path)
    assert job.done["a"] == 1


def test_other_settings_make_a_stage_again(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    job.settings["a"] = {"size": 2}
    job.content["a"] = "longer text"
    assert run_stage(A, job, tmp_path)
    assert (tmp_path / "a" / "sub" / "out.txt").read_text() == "longer text"


def test_the_order_of_settings_does_not_make_a_stage_again(tmp_path):
    job = Job(settings={"a": {"x": 1, "y": 2}})
    run_stage(A, job, tmp_path)
    job.settings["a"] = {"y": 2, "x": 1}
    assert not run_stage(A, job, tmp_path)


def test_an_input_with_other_content_makes_the_next_stage_again(tmp_path):
    job = Job()
    for stage in (A, B):
        run_stage(stage, job, tmp_path)
    job.settings["a"], job.content["a"] = {"size": 2}, "new!"
    run_stage(A, job, tmp_path)
    assert run_stage(B, job, tmp_path)


def test_an_input_that_was_made_again_with_the_same_content_does_not(tmp_path):
    """A change of settings without effect on the result costs one stage, not all behind it."""
    job = Job()
    for stage in (A, B):
        run_stage(stage, job, tmp_path)
    job.settings["a"] = {"size": 2}
    assert run_stage(A, job, tmp_path)
    assert not run_stage(B, job, tmp_path)


def test_a_need_that_was_never_made_is_a_bug_not_a_silent_result(tmp_path):
    with pytest.raises(RuntimeError, match="needed before it is made"):
        run_stage(B, Job(), tmp_path)


def test_a_missing_output_is_noticed_and_made_again(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    (tmp_path / "a" / "sub" / "out.txt").unlink()
    assert run_stage(A, job, tmp_path)
    assert (tmp_path / "a" / "sub" / "out.txt").read_text() == "text"


def test_a_truncated_output_is_noticed_and_made_again(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    (tmp_path / "a" / "sub" / "out.txt").write_text("te")
    assert run_stage(A, job, tmp_path)
    assert (tmp_path / "a" / "sub" / "out.txt").read_text() == "text"


def test_a_folder_without_its_manifest_is_not_taken_for_a_result(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    (tmp_path / "a" / "manifest.json").unlink()
    assert not is_done(tmp_path / "a", "any")
    assert run_stage(A, job, tmp_path)


def test_a_damaged_manifest_is_an_error_that_names_it(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    (tmp_path / "a" / "manifest.json").write_text('{"key":')
    with pytest.raises(BabelpressError, match=r"a/manifest\.json is not valid JSON"):
        run_stage(A, job, tmp_path)


def test_a_card_written_into_a_finished_folder_does_not_make_it_again(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    write_text(tmp_path / "a" / "README.md", "# card")
    write_text(tmp_path / "a" / "umap.png", "picture")
    assert not run_stage(A, job, tmp_path)


def test_a_crash_leaves_no_finished_folder(tmp_path):
    job = Job(fail=True)
    with pytest.raises(RuntimeError, match="crashed"):
        run_stage(A, job, tmp_path)
    assert names(tmp_path) == ["a.partial"]
    job.fail = False
    assert run_stage(A, job, tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_crash_keeps_the_result_that_was_there(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    job.settings["a"], job.content["a"], job.fail = {"size": 2}, "new", True
    with pytest.raises(RuntimeError):
        run_stage(A, job, tmp_path)
    assert (tmp_path / "a" / "sub" / "out.txt").read_text() == "text"


def test_a_stage_that_cannot_be_resumed_starts_in_an_empty_folder(tmp_path):
    job = Job(fail=True)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            run_stage(A, job, tmp_path)
    assert job.found == [".key.json"]


def test_a_resumable_stage_finds_what_the_killed_run_left(tmp_path):
    job = Job(fail=True)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            run_stage(LONG, job, tmp_path)
    assert job.found == [".key.json", "sub"]


def test_what_was_left_under_another_key_is_thrown_away(tmp_path):
    job = Job(fail=True)
    with pytest.raises(RuntimeError):
        run_stage(LONG, job, tmp_path)
    job.settings["a"] = {"size": 2}
    with pytest.raises(RuntimeError):
        run_stage(LONG, job, tmp_path)
    assert job.found == [".key.json"]


def test_a_partial_folder_without_a_key_is_thrown_away(tmp_path):
    write_text(tmp_path / "a.partial" / "from-a-stranger", "")
    job = Job()
    run_stage(LONG, job, tmp_path)
    assert job.found == [".key.json"]
    assert names(tmp_path / "a") == ["manifest.json", "sub"]


@pytest.mark.parametrize("part", ["hash_file", "write_json", "_replace_folder"])
def test_a_kill_between_the_work_and_the_rename_does_not_lose_the_work(tmp_path, monkeypatch, part):
    """Hashing the targets of a large corpus takes minutes; days of encoding must not hang on them."""
    job = Job()
    with monkeypatch.context() as patch:
        original = getattr(module, part)

        def killed(*arguments):
            if part == "write_json" and arguments[0].name == ".key.json":
                return original(*arguments)
            raise KeyboardInterrupt

        patch.setattr(module, part, killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage(LONG, job, tmp_path)
    run_stage(LONG, job, tmp_path)
    assert {".key.json", "sub"} <= set(job.found)
    assert names(tmp_path / "a") == ["manifest.json", "sub"]


def test_a_kill_between_the_two_renames_is_mended(tmp_path, monkeypatch):
    """The old result is away, the new one not there yet."""
    job = Job()
    run_stage(A, job, tmp_path)
    (tmp_path / "a").rename(tmp_path / "a.old")
    assert run_stage(A, job, tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_finished_folder_holds_no_working_files(tmp_path):
    run_stage(LONG, Job(), tmp_path)
    assert names(tmp_path / "a") == ["manifest.json", "sub"]


def test_a_manifest_says_what_was_made_of_what(tmp_path):
    job = Job()
    for stage in (A, B):
        run_stage(stage, job, tmp_path)
    first, second = read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b")
    assert first["settings"] == {"size": 1}
    assert first["counts"] == {"letters": 4}
    assert first["files"]["sub/out.txt"]["bytes"] == 4
    assert second["inputs"] == {"a": first["outputs"]}
    assert first["versions"] == versions()
    assert {"python", "torch", "transformers", "babelpress"} <= set(versions())


def test_an_unfinished_stage_has_no_manifest(tmp_path):
    assert read_manifest(tmp_path / "a") is None


# --- the real pipeline --------------------------------------------------------------------------


def small_run(folder, teacher, *overrides, data_dir=None):
    recipe = Recipe.parse(RECIPE.format(teacher=teacher), overrides=overrides)
    return open_run(recipe, output=folder / "run", data_dir=data_dir)


def test_every_stage_needs_only_stages_before_it():
    order = list(STAGES)
    for name, stage in STAGES.items():
        assert all(order.index(need) < order.index(name) for need in stage.needs)


def test_only_what_is_wanted_and_what_leads_to_it_is_made(tmp_path, tiny_teacher):
    run = small_run(tmp_path, tiny_teacher)
    assert bring_up(run, ["layers"]) == ["corpus", "layers"]
    assert bring_up(run, ["vocabulary"]) == ["vocabulary"]
    assert bring_up(run, ["vocabulary", "layers"]) == []


def test_another_seed_makes_the_corpus_again(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher), ["corpus"])
    assert bring_up(small_run(tmp_path, tiny_teacher, "seed=21"), ["corpus"]) == ["corpus"]


def test_a_setting_of_a_later_stage_leaves_the_earlier_ones(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher), ["vocabulary", "layers"])
    run = small_run(tmp_path, tiny_teacher, "layers.count=1")
    assert bring_up(run, ["vocabulary", "layers"]) == ["layers"]


def make_files(folder, **words: str) -> None:
    for code, word in words.items():
        write_text(folder / code / "train.txt", "".join(f"{word} number {row} of many\n" for row in range(200)))


def test_a_changed_text_file_is_noticed_also_when_another_has_its_name(tmp_path, tiny_teacher):
    """en/train.txt and ko/train.txt: the usual layout."""
    source = "corpus.sources=[{kind: files, paths: ['{language}/train.txt']}]"
    for english, korean, expected in (
        ("word", "단어", ["corpus"]), ("word", "단어", []), ("word", "말", ["corpus"]), ("term", "말", ["corpus"]),
    ):  # fmt: skip
        make_files(tmp_path / "data", en=english, ko=korean)
        run = small_run(tmp_path, tiny_teacher, source, "languages=[en, ko]", data_dir=tmp_path / "data")
        assert bring_up(run, ["corpus"]) == expected


def test_a_text_file_that_only_moved_makes_nothing_again(tmp_path, tiny_teacher):
    for name in ("here", "there"):
        make_files(tmp_path / name, en="word", ko="단어")
        source = "corpus.sources=[{kind: files, paths: ['{language}/train.txt']}]"
        run = small_run(tmp_path, tiny_teacher, source, "languages=[en, ko]", data_dir=tmp_path / name)
        assert bring_up(run, ["corpus"]) == (["corpus"] if name == "here" else [])


def test_the_recipe_with_its_overrides_lies_in_the_run(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher, "seed=77"), ["corpus"])
    assert Recipe.load(tmp_path / "run" / "recipe.yaml").seed == 77


def test_manifests_hold_no_absolute_path(tmp_path, tiny_teacher):
    """A run's folder may be published; where it lay is nobody's business."""
    bring_up(small_run(tmp_path, tiny_teacher), ["pressed"])
    for name in ("corpus", "vocabulary", "layers", "pressed"):
        manifest = json.dumps(read_json(tmp_path / "run" / name / "manifest.json"))
        assert str(tmp_path) not in manifest


def test_a_request_the_teacher_cannot_meet_is_refused_before_any_work(tmp_path, tiny_teacher):
    for override, message in (
        ("layers.count=9", "9"),
        ("distillation.max_length=200", "takes 126 tokens|takes 128 tokens"),
    ):
        with pytest.raises(BabelpressError, match=message):
            small_run(tmp_path, tiny_teacher, override)
    assert not (tmp_path / "run").exists()


def test_the_verbs_take_a_recipe_a_path_or_an_opened_run(tmp_path, tiny_teacher):
    path = write_recipe(tmp_path, tiny_teacher)
    output = tmp_path / "run"
    opened = api.load_run(path, output=output)
    folders = [
        api.press(path, output=output), api.press(str(path), output=str(output)),
        api.press(Recipe.load(path), output=output), api.press(opened),
    ]  # fmt: skip
    assert folders == [output / "pressed"] * 4
    assert not bring_up(opened, ["pressed"])


def test_a_plan_trains_nothing_and_counts_as_press_does(tmp_path, tiny_teacher):
    path = write_recipe(tmp_path, tiny_teacher)
    plan = api.plan(path, output=tmp_path / "run")
    assert not (tmp_path / "run" / "pressed").exists()
    facts = read_json(tmp_path / "run" / "corpus" / "report.json")
    # two layers of four 16x16 matrices and two of 16x32: 2 * (4 * 256 + 2 * 512) = 4,096 weights
    sentences = facts["splits"]["train"]
    tokens = plan.flops["distillation"] / (2 * 6 * 4096)  # two epochs, 6 operations per weight and token
    assert 3 * sentences < tokens <= 32 * sentences
    assert plan.flops["targets"] == pytest.approx(tokens * 2 * 4096 * 3 / 2)  # the teacher has three layers
    assert plan.target_bytes == sentences * 32
    json.dumps(plan.facts())


def test_a_kill_behind_the_training_does_not_train_again(tmp_path, tiny_teacher, monkeypatch):
    run = small_run(tmp_path, tiny_teacher, "distillation.epochs=1", "distillation.batch_size=512")
    bring_up(run, ["pressed", "targets"])

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_replace_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            bring_up(run, ["distillation"])
    monkeypatch.setattr(train, "train_student", killed)
    assert bring_up(run, ["distillation"]) == ["distillation"]
    assert names(run.path("distillation")) == ["best.safetensors", "log.jsonl", "manifest.json", "report.json"]
    assert read_manifest(run.path("distillation"))["counts"]["epochs"] == 1

"""The real pipeline: what makes which stage again, and what runs share."""

from __future__ import annotations

import json

import numpy as np
import pytest

from babelpress import api
from babelpress.corpus.sentence import Split
from babelpress.distillation import targets, train
from babelpress.errors import BabelpressError, EvaluationError
from babelpress.recipe import Recipe
from babelpress.stages import STAGES
from babelpress.stages import corpus as corpus_stage
from babelpress.stages import engine as module
from babelpress.stages.distillation import dump_training
from babelpress.stages.engine import read_manifest
from babelpress.stages.pipeline import bring_up, open_run
from babelpress.stages.targets import targets_folder, targets_spec
from babelpress.utils.files import read_json, write_text
from tests.distillation import RECIPE, write_recipe
from tests.distillation.examples import use_small_shards

SHORT = ("distillation.epochs=1", "distillation.batch_size=512")


@pytest.fixture(autouse=True)
def _no_cache_of_the_machine(monkeypatch):
    monkeypatch.delenv("BABELPRESS_CACHE", raising=False)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def small_run(folder, teacher, *overrides, data_dir=None, name="run"):
    recipe = Recipe.parse(RECIPE.format(teacher=teacher), overrides=overrides)
    return open_run(recipe, output=folder / name, data_dir=data_dir)


@pytest.mark.parametrize(
    ("prompts", "said"),
    [("{query: 'q: '}", "is used by none of the tasks"), ("{sts: 'q: '}", "is not a name that mteb knows")],
)
def test_a_prompt_that_changes_no_score_ends_a_run_before_it_begins(tmp_path, tiny_teacher, prompts, said):
    with pytest.raises(EvaluationError, match=f"^evaluation.prompts .* {said}"):
        small_run(tmp_path, tiny_teacher, "evaluation.tasks=[STSBenchmark]", f"evaluation.prompts={prompts}")
    assert not (tmp_path / "run").exists()


def test_every_stage_needs_only_stages_before_it():
    order = list(STAGES)
    for name, stage in STAGES.items():
        assert all(order.index(need.name) < order.index(name) for need in stage.needs)


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


def test_smaller_batches_and_tasks_that_may_fail_leave_the_finished_tasks_of_an_evaluation(tmp_path, tiny_teacher):
    settings = STAGES["evaluation"].settings
    run = small_run(tmp_path, tiny_teacher)
    other = small_run(tmp_path, tiny_teacher, "evaluation.batch_size=8", "evaluation.allow_missing=true")
    assert settings(run) == settings(other)
    assert settings(run) != settings(small_run(tmp_path, tiny_teacher, "evaluation.tasks=[STSBenchmark]"))


def test_a_licence_or_an_author_that_is_added_makes_nothing_again(tmp_path, tiny_teacher):
    make_files(tmp_path / "data", en="word")
    for more in ("", ", licence: cc-by-4.0", ", licence: mit, attribution: somebody"):
        source = f"corpus.sources=[{{kind: files, paths: [en/train.txt], language: en{more}}}]"
        run = small_run(tmp_path, tiny_teacher, source, data_dir=tmp_path / "data")
        assert bring_up(run, ["corpus"]) == ([] if more else ["corpus"])


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
    bring_up(small_run(tmp_path, tiny_teacher), ["pruned", "targets"])
    for name in ("corpus", "vocabulary", "layers", "pruned", "targets"):
        for path in (tmp_path / "run" / name).glob("*.json"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_a_request_the_teacher_cannot_meet_is_refused_before_any_work(tmp_path, tiny_teacher):
    for override, message in (
        ("layers.count=9", "9"),
        ("distillation.max_length=200", r"distillation\.max_length is 200, .* takes 126 tokens|takes 128 tokens"),
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
    assert folders == [output / "pruned"] * 4
    assert not bring_up(opened, ["pruned"])


def test_a_plan_trains_nothing_and_counts_as_press_does(tmp_path, tiny_teacher):
    path = write_recipe(tmp_path, tiny_teacher)
    plan = api.plan(path, output=tmp_path / "run")
    assert not (tmp_path / "run" / "pruned").exists()
    facts = read_json(tmp_path / "run" / "corpus" / "report.json")
    # two layers of four 16x16 matrices and two of 16x32: 2 * (4 * 256 + 2 * 512) = 4,096 weights
    sentences = facts["splits"]["train"]
    tokens = plan.flops["distillation"] / (2 * 6 * 4096)  # two epochs, 6 operations per weight and token
    assert 3 * sentences < tokens <= 32 * sentences
    assert plan.flops["targets"] == pytest.approx(tokens * 2 * 4096 * 3 / 2)  # the teacher has three layers
    assert plan.target_bytes == sentences * 32
    json.dumps(plan.facts())


def test_a_kill_behind_the_training_does_not_train_again(tmp_path, tiny_teacher, monkeypatch):
    run = small_run(tmp_path, tiny_teacher, *SHORT)
    bring_up(run, ["pruned", "targets"])

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


# --- targets that runs share --------------------------------------------------------------------


def no_teacher(*_, **__):
    raise AssertionError("the teacher was loaded")


def test_targets_lie_in_a_cache_beside_the_run_under_their_key(tmp_path, tiny_teacher):
    run = small_run(tmp_path, tiny_teacher)
    assert bring_up(run, ["targets"]) == ["corpus", "layers", "targets"]
    index = read_json(run.path("targets") / "index.json")
    place = tmp_path / "cache" / "targets" / index["key"]
    assert names(run.path("targets")) == ["index.json", "manifest.json"]
    assert names(place) == sorted(index["shards"]) == ["train-00000.safetensors", "validation-00000.safetensors"]
    splits = read_json(run.path("corpus") / "report.json")["splits"]
    assert index["rows"] == {"train": splits["train"], "validation": splits["validation"]}
    counts = read_manifest(run.path("targets"))["counts"]
    assert counts == {"rows": splits["train"] + splits["validation"], "precision": "fp32"}


def test_the_cache_may_lie_anywhere(tmp_path, tiny_teacher, monkeypatch):
    monkeypatch.setenv("BABELPRESS_CACHE", str(tmp_path / "big disk"))
    bring_up(small_run(tmp_path, tiny_teacher), ["targets"])
    assert len(names(tmp_path / "big disk" / "targets")) == 1
    assert not (tmp_path / "cache").exists()


def test_two_runs_that_want_the_same_targets_share_them(tmp_path, tiny_teacher, monkeypatch):
    """A student of other layers, rows and settings learns from the same embeddings."""
    bring_up(small_run(tmp_path, tiny_teacher), ["targets"])
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")}
    monkeypatch.setattr(targets, "load_encoder", no_teacher)
    other = small_run(
        tmp_path, tiny_teacher, "layers.count=1", "vocabulary.size=700", "distillation.epochs=1", name="other"
    )
    assert bring_up(other, ["targets"]) == ["corpus", "layers", "targets"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")} == written


def test_a_run_on_fewer_sentences_takes_the_first_shards_of_a_run_on_all(tmp_path, tiny_teacher, monkeypatch):
    use_small_shards(monkeypatch, rows=256)
    bring_up(small_run(tmp_path, tiny_teacher), ["targets"])
    whole = read_json(tmp_path / "run" / "targets" / "index.json")
    monkeypatch.setattr(targets, "load_encoder", no_teacher)
    fewer = small_run(tmp_path, tiny_teacher, "distillation.sentences=300", *SHORT[:1], name="fewer")
    bring_up(fewer, ["distillation"])
    index = read_json(fewer.path("targets") / "index.json")
    assert index["key"] == whole["key"]
    assert index["rows"] == {"train": 512, "validation": whole["rows"]["validation"]}
    first = ["train-00000.safetensors", "train-00001.safetensors"]
    assert [name for name in index["shards"] if name.startswith("train")] == first
    assert index["shards"].items() < whole["shards"].items()
    assert read_manifest(fewer.path("distillation"))["counts"]["steps"] == 10  # 300 sentences in batches of 32
    more = small_run(tmp_path, tiny_teacher, "distillation.sentences=301", name="fewer")
    assert bring_up(more, ["targets"]) == ["targets"]
    assert read_json(fewer.path("targets") / "index.json") == index


def test_other_targets_lie_beside_and_the_first_ones_stay(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher), ["targets"])
    run = small_run(tmp_path, tiny_teacher, "distillation.prompts=['query: ']")
    assert bring_up(run, ["targets"]) == ["targets"]
    assert len(names(tmp_path / "cache" / "targets")) == 2
    assert bring_up(small_run(tmp_path, tiny_teacher), ["targets"]) == ["targets"]
    assert len(names(tmp_path / "cache" / "targets")) == 2


def test_targets_of_one_number_format_are_not_taken_for_those_of_another(tmp_path, tiny_teacher):
    """A run that asks for fp32 must not get what another run rounded to bf16."""
    found = {}
    for name in ("bf16", "fp32"):
        run = small_run(tmp_path, tiny_teacher, f"distillation.target_precision={name}", name=name)
        bring_up(run, ["targets"])
        spec = targets_spec(run)
        found[name] = targets.open_targets(spec, targets_folder(run, spec), Split.TRAIN).gather(np.arange(100))
    assert (found["bf16"] != found["fp32"]).any()


@pytest.mark.parametrize("gone", ["cache", "cache/targets", "one shard"])
def test_targets_that_are_gone_from_the_cache_are_made_again(tmp_path, tiny_teacher, gone):
    run = small_run(tmp_path, tiny_teacher)
    bring_up(run, ["targets"])
    if gone == "one shard":
        next((tmp_path / "cache").rglob("validation-00000.safetensors")).unlink()
    else:
        module.remove_tree(tmp_path / gone)
    assert bring_up(run, ["targets"]) == ["targets"]
    assert bring_up(run, ["targets"]) == []


def test_targets_that_were_made_again_do_not_train_a_student_again(tmp_path, tiny_teacher):
    run = small_run(tmp_path, tiny_teacher, *SHORT)
    bring_up(run, ["student"])
    for _ in range(3):
        module.remove_tree(tmp_path / "cache")
        assert bring_up(run, ["student"]) == ["targets"]


def test_a_shard_without_content_is_noticed_before_training(tmp_path, tiny_teacher):
    run = small_run(tmp_path, tiny_teacher, *SHORT)
    bring_up(run, ["pruned", "targets"])
    next((tmp_path / "cache").rglob("train-00000.safetensors")).write_bytes(b"")
    assert bring_up(run, ["distillation"]) == ["targets", "distillation"]


def test_hidden_states_are_computed_for_the_kept_layers_and_trained_on(tmp_path, tiny_teacher):
    run = small_run(tmp_path, tiny_teacher, *SHORT, "distillation.loss.hidden=0.5")
    assert bring_up(run, ["distillation"])[-2:] == ["targets", "distillation"]
    history = read_json(run.path("distillation") / "report.json")["history"]
    assert history[0]["hidden"] > 0
    plain = small_run(tmp_path, tiny_teacher, *SHORT)
    assert bring_up(plain, ["targets"]) == ["targets"]
    assert len(names(tmp_path / "cache" / "targets")) == 2


def test_other_trackers_do_not_train_again(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher, *SHORT), ["distillation"])
    watched = small_run(tmp_path, tiny_teacher, *SHORT, "distillation.trackers=[tensorboard]")
    assert bring_up(watched, ["distillation"]) == []


def test_other_trackers_do_not_write_the_student_again(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher, *SHORT), ["student"])
    watched = small_run(tmp_path, tiny_teacher, *SHORT, "distillation.trackers=[tensorboard]")
    assert bring_up(watched, ["student"]) == []


def test_settings_that_came_later_leave_the_training_of_an_older_run_valid(tmp_path, tiny_teacher):
    recipe = Recipe.parse(RECIPE.format(teacher=tiny_teacher))
    run = open_run(recipe, output=tmp_path / "run")
    known = {*dump_training(run), *dump_training(run)["loss"]}
    assert not known & {"seed", "sentences", "embedding_rate", "cycles", "final_learning_rate", "average", "l2"}
    for change, name in (("distillation.average=0.9", "average"), ("distillation.sentences=100", "sentences")):
        assert name in dump_training(open_run(recipe.override([change]), output=tmp_path / "run"))
    changed = open_run(recipe.override(["distillation.loss.l2=0.5"]), output=tmp_path / "run")
    assert dump_training(changed)["loss"]["l2"] == 0.5


def test_another_order_of_batches_trains_again_and_leaves_the_corpus(tmp_path, tiny_teacher):
    bring_up(small_run(tmp_path, tiny_teacher, *SHORT), ["distillation"])
    again = small_run(tmp_path, tiny_teacher, *SHORT, "distillation.seed=21")
    assert bring_up(again, ["distillation"]) == ["distillation"]


@pytest.mark.parametrize(("few", "warnings"), [(2.0, 1), (0.0, 0)])  # all texts count as too few, or none is enough
def test_a_corpus_without_long_texts_is_said_to_be_one_before_anything_is_computed(
    tmp_path, tiny_teacher, caplog, monkeypatch, few, warnings
):
    monkeypatch.setattr(corpus_stage, "_FEW", few)
    long = ("distillation.max_length=32", "distillation.long_length=96", "distillation.long_share=0.02")
    for name, changes in (("long", long), ("short", ())):
        with caplog.at_level("WARNING"):
            bring_up(small_run(tmp_path, tiny_teacher, *changes, name=name), ["corpus"])
    assert len([one for one in caplog.records if "long_share is 0.02" in one.getMessage()]) == warnings

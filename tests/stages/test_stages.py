"""Stages: done once, done again exactly when the result could differ, never half done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from babelpress.errors import BabelpressError
from babelpress.stages import engine as module
from babelpress.stages.engine import MANIFEST, Stage, is_current, is_done, read_manifest, run_stage, versions
from babelpress.utils.files import write_text


@dataclass
class Job:
    """A context that counts the work and holds what the stages read."""

    settings: dict = field(default_factory=lambda: {"a": {"size": 1}, "b": {}})
    content: dict = field(default_factory=lambda: {"a": "text", "b": "other"})
    done: Counter = field(default_factory=Counter)
    found: list = field(default_factory=list)
    fail: bool = False


def make_stage(name: str, *needs: Stage[Job], resumable: bool = False) -> Stage[Job]:
    def apply(job: Job, folder) -> dict:
        job.done[name] += 1
        job.found = sorted(path.name for path in folder.iterdir())
        write_text(folder / "sub" / "out.txt", job.content[name])
        if job.fail:
            raise RuntimeError("crashed")
        return {"letters": len(job.content[name])}

    return Stage(name, needs, lambda job: job.settings[name], apply, resumable=resumable)


A = make_stage("a")
B = make_stage("b", A)
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


def test_a_stage_is_current_until_its_settings_or_inputs_change(tmp_path):
    job = Job()
    run_stage(A, job, tmp_path)
    assert not is_current(B, job, tmp_path)
    run_stage(B, job, tmp_path)
    assert is_current(B, job, tmp_path)
    job.settings["a"], job.content["a"] = {"size": 2}, "new!"
    run_stage(A, job, tmp_path)
    assert not is_current(B, job, tmp_path)


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


def test_a_stage_whose_results_elsewhere_are_gone_is_made_again(tmp_path):
    """The teacher's targets lie in a cache that several runs share, and that anybody may empty."""
    elsewhere = tmp_path / "cache" / "big.bin"

    def apply(job: Job, folder) -> dict:
        job.done["a"] += 1
        write_text(elsewhere, "big")
        write_text(folder / "index.txt", "big.bin")
        return {}

    stage = replace(A, apply=apply, present=lambda job, folder: elsewhere.is_file())
    job = Job()
    assert [run_stage(stage, job, tmp_path / "run") for _ in range(2)] == [True, False]
    elsewhere.unlink()
    assert [run_stage(stage, job, tmp_path / "run") for _ in range(2)] == [True, False]
    assert job.done["a"] == 2


def test_a_finished_stage_that_lacks_something_is_taken_up_where_it_is(tmp_path):
    """Evaluations with missing tasks: the others are not scored again."""
    lacking = [True]
    seen = []

    def apply(job, folder):
        seen.append(sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")))
        write_text(folder / f"part-{len(seen)}.txt", "done")
        return {}

    stage = replace(A, apply=apply, resumable=True, present=lambda job, folder: not lacking)
    job = Job()
    assert [run_stage(stage, job, tmp_path) for _ in range(2)] == [True, True]
    lacking.clear()
    assert run_stage(stage, job, tmp_path) is False
    assert seen == [[], [MANIFEST, "part-1.txt"]]
    assert sorted(read_manifest(tmp_path / "a")["files"]) == ["part-1.txt", "part-2.txt"]
    assert names(tmp_path) == ["a"]


def test_a_stage_that_was_taken_up_again_and_crashed_goes_on_from_there(tmp_path):
    stage = replace(A, resumable=True, present=lambda job, folder: False)
    job = Job()
    run_stage(stage, job, tmp_path)
    job.fail = True
    with pytest.raises(RuntimeError):
        run_stage(stage, job, tmp_path)
    assert names(tmp_path) == ["a.partial"]
    assert (tmp_path / "a.partial" / "sub" / "out.txt").is_file()
    job.fail = False
    assert run_stage(stage, job, tmp_path)
    assert names(tmp_path) == ["a"]


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

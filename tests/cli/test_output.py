"""Output: what a run shows, JSON alone where JSON is asked for, nothing where nothing is."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
from rich.cells import cell_len

from babelpress.api import load_run
from babelpress.stages import STAGES
from babelpress.stages.outputs import write_results
from tests.cli import assert_one_line
from tests.distillation import RECIPE


def test_press_json_is_all_of_stdout(call, recipe, folder):
    ended = call("press", str(recipe), "-o", str(folder), "--json")
    facts = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert (facts["folder"], facts["layers"], facts["vocab_size"]) == (str(folder / "pruned"), 2, 800)


def test_plan_json_is_all_of_stdout_and_agrees_with_press(call, recipe, folder):
    ended = call("plan", str(recipe), "-o", str(folder), "--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    pressed = json.loads(call("press", str(recipe), "-o", str(folder), "--json").out)
    assert facts["parameters"] == pressed["parameters"]
    assert facts["rows"] == pressed["vocab_size"]
    assert facts["target_bytes"] == facts["corpus"]["splits"]["train"] * 16 * 2


def test_quiet_prints_nothing(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "run"), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_json_in_other_letters_is_readable(call):
    assert json.loads(call("recipes", "list", "--json").out).keys() >= {"demo", "me5s_v3"}


def test_a_plan_fits_80_columns(call, recipe, folder):
    ended = call("plan", str(recipe), "-o", str(folder))
    assert ended.code == 0
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert max(map(cell_len, ended.err.splitlines())) <= 80
    assert all(part in ended.out for part in ("embedding rows", "800", "ko", "hi", "TFLOP"))


def test_the_result_of_press_names_folder_and_size(call, recipe, folder):
    ended = call("press", str(recipe), "-o", str(folder))
    said = " ".join(ended.out.split())
    assert "2 layers, 800 rows" in said
    assert str(folder / "pruned") in ended.out.replace("\n", "")


def test_stages_are_told_on_stderr_so_that_stdout_can_be_piped(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "run"))
    assert "pruned: " in ended.err
    assert "corpus: " not in ended.out


def test_a_run_in_a_folder_with_brackets_says_its_name_as_it_is(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "[bold]x[/y]"))
    assert ended.code == 0
    assert "[bold]x[/y]" in ended.out.replace("\n", "")


def test_runs_go_to_runs_and_the_recipes_name_unless_told(call, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("press", str(recipe), "--quiet").code == 0
    assert (tmp_path / "runs" / "small" / "pruned" / "model.safetensors").is_file()


def test_a_teacher_given_by_option_stands_in_for_the_recipes(call, tmp_path, tiny_teacher):
    path = tmp_path / "named.yaml"
    path.write_text(RECIPE.format(teacher="intfloat/multilingual-e5-small"))
    ended = call("plan", str(path), "-o", str(tmp_path / "run"), "--teacher", str(tiny_teacher), "--json")
    assert json.loads(ended.out)["teacher"]["name"] == "intfloat/multilingual-e5-small"


def test_an_interrupt_is_one_line_and_130(call, recipe, folder, monkeypatch):
    from babelpress import api

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "press", interrupted)
    ended = call("press", str(recipe), "-o", str(folder))
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "babelpress: stopped; run the same command again to go on from here\n"


def test_a_full_disk_is_one_line_with_the_file(call, recipe, folder, monkeypatch):
    from babelpress import api

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/r/corpus.partial/train.parquet")

    monkeypatch.setattr(api, "press", full)
    assert_one_line(call("press", str(recipe), "-o", str(folder)), "No space left on device: runs/r/corpus.partial")


def test_an_error_of_ours_is_a_bug_with_its_traceback(call, recipe, monkeypatch):
    """Only what is expected becomes one line; a bug must not be hidden."""
    from babelpress import api

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(api, "load_run", broken)
    with pytest.raises(ZeroDivisionError):
        call("press", str(recipe))


def test_a_whole_run_ends_well_and_leaves_what_it_promises(whole):
    target, done = whole
    assert done.returncode == 0, done.stderr
    for name in (
        "results.json", "report.html", "student/model.safetensors", "student/README.md", "umap/umap.png",
        "umap/umap.html", "pictures/loss.png", "pictures/pareto.svg", "recipe.yaml",
    ):  # fmt: skip
        assert (target / name).stat().st_size > 0


def test_the_final_table_fits_80_columns(whole):
    lines = whole[1].stdout.splitlines()
    short = [line for line in lines if str(whole[0]) not in line]
    assert max(map(cell_len, short)) <= 80
    assert any("retention" in line for line in lines)


def test_a_whole_run_says_nothing_of_its_libraries(whole):
    """A line for each stage on stderr, no warning, no bar."""
    lines = [line.strip() for line in whole[1].stderr.splitlines() if line.strip()]
    assert [line.partition(":")[0] for line in lines] == [name for name in STAGES if name != "export"]


def test_a_whole_run_has_the_numbers_of_its_picture_in_its_results(whole):
    models = json.loads((whole[0] / "results.json").read_text())["models"]
    numbers = json.loads((whole[0] / "umap" / "parallel.json").read_text())
    assert {name: model["parallel"] for name, model in models.items()} == numbers
    assert [numbers["teacher"][key] for key in ("languages", "sentences")] == [3, 10]
    assert {model["speed"] for model in models.values()} == {None}


def test_numbers_of_another_picture_are_not_taken_for_this_runs(whole, recipe, tmp_path):
    """`evaluate` alone finds a report that an earlier run with other settings, or of another student, left there."""
    shutil.copytree(whole[0], tmp_path / "r")
    run = load_run(str(recipe), output=tmp_path / "r", overrides=["distillation.epochs=1"])
    assert write_results(run).models["teacher"].parallel is not None
    other = ["distillation.epochs=1", "visualization.sentences=11"]
    run = load_run(str(recipe), output=tmp_path / "r", overrides=other)
    assert {model.parallel for model in write_results(run).models.values()} == {None}


@pytest.mark.parametrize(
    ("verb", "key"),
    [("evaluate", "models"), ("visualize", "picture"), ("card", "card"), ("report", "page"), ("run", "models")],
)
def test_json_of_a_finished_run_is_all_of_stdout(call, whole, recipe, verb, key):
    ended = call(verb, str(recipe), "-o", str(whole[0]), "--set", "distillation.epochs=1", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert key in json.loads(ended.out)

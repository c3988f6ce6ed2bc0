"""The tables of the command line: 80 columns, whole names, no figure cut."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from babelpress.api import Plan
from babelpress.cli.tables import exports_table, plan_view, results_table, results_view
from babelpress.recipe import Recipe
from babelpress.schema.exports import Export
from babelpress.student.sizing import Size
from babelpress.teacher import read_teacher
from babelpress.vocabulary.fertility import LanguageFertility
from babelpress.vocabulary.plan import LanguageCoverage
from tests.exports import good_parity, missed_export
from tests.reports.figures import make_results, without_scores


def shown(view: RenderableType, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False, color_system=None, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(view)
    return console.export_text()


def with_long_tasks():
    """Results that hold the 26 task names of the reference recipe."""
    results = make_results()
    tasks = Recipe.load("me5s_v3").evaluation.chosen_tasks()
    score = results.models["teacher"].scores["STSBenchmark"]
    models = {
        name: model.model_copy(update={"scores": {**model.scores, **dict.fromkeys(tasks, score)}})
        for name, model in results.models.items()
    }
    return results.model_copy(update={"models": models}), tasks


def make_plan(tiny_teacher: Path, name: str = "intfloat/multilingual-e5-small") -> Plan:
    languages = [*Recipe.load("me5s_v3").languages, "zxx"]
    return Plan(
        teacher=read_teacher(str(tiny_teacher), name=name), layers=(0, 4, 7, 11), layers_reason="given in the recipe",
        rows=15_424, size=Size(13_366_656, 13_218_816),
        languages={
            code: LanguageCoverage(19_880_000, 23.4, 0.998765, 1.2345, 0.000123, 1_234) for code in languages
        },
        fertility={code: LanguageFertility(4_000, 123.456, 234.567, 1.9, 0.123456, 0.0) for code in languages[:-1]},
        alphabet_missing=tuple(map(chr, range(0x1E00, 0x1E00 + 123))),
        corpus={"splits": {"train": 19_880_000, "validation": 4_000, "test": 4_000}},
        flops={"targets": 9.5e15, "distillation": 4.4e17}, target_bytes=19_880_000 * 384 * 2,
    )  # fmt: skip


def test_the_final_table_fits_80_columns(tmp_path):
    results, _ = with_long_tasks()
    assert max(map(len, shown(results_view(results, Path("runs/me5s_v3"))).splitlines())) <= 80


def test_the_final_table_cuts_no_name_and_no_figure():
    results, tasks = with_long_tasks()
    text = shown(results_table(results))
    for name in tasks:
        assert name in text
    assert "117,653,763" in text
    assert "250,037" in text
    assert "…" not in text


def test_the_final_table_has_a_column_for_every_model():
    header = next(line for line in shown(results_table(make_results())).splitlines() if "teacher" in line)
    assert header.replace("┃", " ").split() == ["teacher", "pruned", "distilled"]


def test_a_score_that_a_model_lacks_is_said_to_be_missing():
    results = make_results()
    pressed = results.models["pruned"].model_copy(update={"scores": {}})
    models = {**results.models, "pruned": pressed}
    line = next(
        line for line in shown(results_table(results.model_copy(update={"models": models}))).splitlines()
        if line.startswith("STSBenchmark")
    )  # fmt: skip
    assert "missing" in line


def test_a_task_that_failed_is_missing_for_all_and_the_reason_stands_below():
    results = make_results().model_copy(update={"missing": {"STS12": "RuntimeError: no [bold]memory[/bold]"}})
    text = shown(results_view(results, Path("runs/try")))
    line = next(line for line in text.splitlines() if line.startswith("STS12"))
    assert line.split().count("missing") == 3
    assert "tried again at the next run: STS12: RuntimeError: no [bold]memory[/bold]" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_intervals_of_average_and_retention_stand_below_them():
    results = make_results()
    distilled = results.models["distilled"].model_copy(
        update={"average_interval": (55.1234, 57.0), "retention_interval": (0.8012, 0.8321)}
    )
    text = shown(results_table(results.model_copy(update={"models": {**results.models, "distilled": distilled}})))
    lines = [line for line in text.splitlines() if line.startswith("… 95 % interval")]
    assert [line.split()[-1] for line in lines] == ["55.12–57.00", "80.1–83.2"]
    assert "interval" not in shown(results_table(results))


def test_retention_is_shown_in_percent():
    line = next(line for line in shown(results_table(make_results())).splitlines() if line.startswith("retention"))
    assert [cell for cell in line.replace("│", " ").split() if cell[0].isdigit()] == ["100.0", "90.8", "81.7"]


def test_a_run_without_a_score_has_no_average_of_0():
    text = shown(results_table(without_scores(make_results())))
    assert "average" not in text
    assert "retention" not in text


def cells(text: str, label: str) -> list[str]:
    """Return the cells behind a row's label."""
    line = next(line for line in text.splitlines() if line.startswith(label))
    return [cell.strip() for cell in line.split("│")][1:]


def test_speed_and_memory_have_a_row_each():
    text = shown(results_table(make_results()))
    assert cells(text, "sentences/s") == ["1,231", "1,232", "1,233"]
    assert cells(text, "one sentence p50, ms") == ["18.3", "19.3", "20.3"]
    assert cells(text, "one sentence p95, ms") == ["27.4", "28.4", "29.4"]
    assert cells(text, "load, s") == ["1.31", "2.31", "3.31"]
    assert cells(text, "memory, MiB") == ["8,761", "8,762", "8,763"]


def test_a_speed_that_was_not_measured_has_no_row_and_one_that_a_model_lacks_a_dash():
    results = make_results()
    without = {name: model.model_copy(update={"speed": None}) for name, model in results.models.items()}
    assert "sentences/s" not in shown(results_table(results.model_copy(update={"models": without})))
    one = {**without, "pruned": results.models["pruned"]}
    text = shown(results_table(results.model_copy(update={"models": one})))
    assert cells(text, "sentences/s") == ["–", "1,232", "–"]


def test_the_view_says_where_the_student_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/try/student").mkdir(parents=True)
    assert "runs/try/student" in shown(results_view(make_results(), Path("runs/try")))


@pytest.mark.parametrize(("accelerator", "words"), [(None, "6 threads of Loom 9000; sim"), ("Z", "Loom 9000 with Z;")])
def test_the_view_says_on_what_it_was_measured(accelerator, words):
    results = make_results()
    results = results.model_copy(update={"machine": {**results.machine, "accelerator": accelerator}})
    assert words in " ".join(shown(results_view(results, Path("runs/try"))).split())


def test_what_was_not_written_is_not_among_the_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/try/student").mkdir(parents=True)
    assert "umap.png" not in shown(results_view(make_results(), Path("runs/try")))
    assert "README.md" not in shown(results_view(make_results(), Path("runs/try")))
    Path("runs/try/student/README.md").touch()
    assert "runs/try/student/README.md" in shown(results_view(make_results(), Path("runs/try")))


@pytest.mark.parametrize(("written", "listed"), [(1, False), (2, True), (3, True)])
def test_a_card_that_is_older_than_the_scores_is_not_among_the_places(tmp_path, written, listed):
    (tmp_path / "student").mkdir()
    for name, changed in (("student/README.md", written), ("results.json", 2)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (changed, changed))
    text = "".join(line.strip() for line in shown(results_view(make_results(), tmp_path)).splitlines())
    assert ("README.md" in text) is listed


def test_a_long_path_is_shown_whole(tmp_path):
    folder = tmp_path / "[long]" / ("folder-" * 12) / "runs"
    (folder / "student").mkdir(parents=True)
    text = "".join(line.strip() for line in shown(results_view(make_results(), folder)).splitlines())
    assert f"{folder}/student" in text


@pytest.mark.parametrize(("lost", "points"), [({}, "–"), ({"a": 0.25, "b": 0.5}, "0.38")])
def test_points_that_exports_lose_are_a_dash_where_no_score_was_compared(lost, points):
    export = Export("onnx", "onnx/model.onnx", 3 * 2**20, good_parity(lost=lost))
    assert cells(shown(exports_table([export])), "onnx/model.onnx")[-1] == points


def test_an_export_that_was_not_written_has_figures_but_no_size():
    export = Export("onnx", "onnx/model.onnx", 3 * 2**20, good_parity())
    text = shown(exports_table([export], [missed_export()]))
    assert cells(text, "onnx/model_q4.onnx")[:2] == ["–", "0.9911"]
    assert "not written: onnx-q4 (mean cosine 0.9911 is below 0.995)" in " ".join(text.split())
    assert "not written" not in shown(exports_table([export]))
    only = make_results().model_copy(update={"missed_exports": (missed_export(),)})
    assert "onnx/model_q4.onnx" in shown(results_view(only, Path("runs/try")))


@pytest.mark.parametrize("name", ["intfloat/multilingual-e5-small", "some-organisation/" + "very-long-name-" * 6])
def test_the_plan_fits_80_columns(tiny_teacher, name):
    assert max(map(len, shown(plan_view(make_plan(tiny_teacher, name), gflops=120.0)).splitlines())) <= 80


def test_the_plan_shows_every_language_and_the_cost(tiny_teacher):
    text = shown(plan_view(make_plan(tiny_teacher), gflops=120.0))
    lines = [line.strip("│ ").split(" ")[0] for line in text.splitlines()]
    assert set(Recipe.load("me5s_v3").languages) <= set(lines)
    assert "15,424" in text
    assert "13,218,816" in text
    assert "123 characters of the alphabet" in " ".join(text.split())
    # 4.4e17 operations at 1.2e11 a second
    assert "at least 1,018.5 h here" in text or "at least 1018.5 h here" in text


def test_the_plan_shows_a_languages_tokens_and_bytes_on_held_out_text(tiny_teacher):
    text = shown(plan_view(make_plan(tiny_teacher), gflops=1.0))
    lines = [line.replace("│", " ").split() for line in text.splitlines()]
    rows = {cells[0]: cells[1:] for cells in lines if cells}
    assert rows["ko"] == ["19,880,000", "99.9", "123.5", "234.6", "90.0", "12.35"]
    assert rows["zxx"] == ["19,880,000", "99.9"]  # no held-out text in it


def test_characters_that_the_budget_has_no_room_for_are_told_by_language(tiny_teacher):
    plan = make_plan(tiny_teacher)
    assert "a row each: ko 1,234, en 1,234," in " ".join(shown(plan_view(plan, gflops=1.0)).split())
    enough = {code: replace(cover, characters_more=0) for code, cover in plan.languages.items()}
    assert "a row each" not in shown(plan_view(replace(plan, languages=enough), gflops=1.0))


def test_a_name_in_square_brackets_is_text_and_not_markup(tiny_teacher):
    text = shown(plan_view(make_plan(tiny_teacher, "me/[bold]model[/bold]"), gflops=120.0))
    assert "[bold]model[/bold]" in text

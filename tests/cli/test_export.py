"""export on the command line, and as a stage of a run."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from rich.cells import cell_len

from babelpress import api
from babelpress.exports.index import read_exports
from babelpress.schema.exports import FLOOR, Export, FloorError
from babelpress.schema.formats import choose_formats
from babelpress.schema.results import Results
from babelpress.stages import export as export_stage
from babelpress.stages.engine import read_manifest
from tests.cli import assert_one_line
from tests.exports import good_parity, missed_export


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """What `api.export` was asked for; nothing is exported."""
    calls: list[dict] = []

    def export(folder, **settings):
        calls.append({"folder": str(folder), **settings})
        return [Export("onnx-int8", "onnx/model_quantized.onnx", 13 * 2**20, good_parity())]

    monkeypatch.setattr(api, "export", export)
    return calls


def test_exports_are_shown_in_80_columns(call, asked):
    ended = call("export", "student")
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert all(part in ended.out for part in ("onnx/model_quantized.onnx", "13.0", "0.9990", "0.9980 (th)", "0.10"))
    assert asked == [
        {"folder": "student", "to": ["onnx", "onnx-int8"], "texts": (), "floor": FLOOR, "output": None}
    ]  # fmt: skip


def test_exports_as_json_are_all_of_stdout(call, asked):
    ended = call("export", "student", "--to", "onnx-q4, onnx", "--no-floor", "--json")
    (found,) = json.loads(ended.out)
    assert (found["name"], found["points"], found["parity"]["mean"]) == ("onnx-int8", pytest.approx(0.1), 0.999)
    assert (asked[0]["to"], asked[0]["floor"]) == (["onnx-q4", "onnx"], None)


def test_quiet_exports_say_nothing(call, asked):
    assert call("export", "student", "-q").out == ""


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere",), "nowhere is no model folder"),
        (("nowhere", "--to", "onxx"), "no export is called 'onxx'; did you mean onnx"),
        (("nowhere", "--to", ","), "name one of: onnx"),
    ],
)
def test_what_cannot_be_exported_is_one_line(call, arguments, part):
    assert_one_line(call("export", *arguments), part)


@pytest.fixture
def one_misses(monkeypatch) -> None:
    """One of two exports is too far from the student."""

    def export(*_, **__):
        raise FloorError([missed_export()], [Export("onnx", "onnx/model.onnx", 13 * 2**20, good_parity())])

    monkeypatch.setattr(api, "export", export)


def test_an_export_that_misses_is_shown_with_those_that_stand_and_ends_with_3(call, one_misses):
    ended = call("export", "student", "--to", "onnx,onnx-q4")
    assert ended.code == 3
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert all(part in ended.out for part in ("onnx/model.onnx", "13.0", "onnx/model_q4.onnx", "0.9911"))
    assert "not written: onnx-q4 (mean cosine 0.9911 is below 0.995)" in " ".join(ended.out.split())
    assert "10.0" not in ended.out
    assert ended.err.startswith("babelpress: onnx-q4 differs too much from the student: mean cosine 0.9911 is below")
    assert ended.err.count("\n") == 1


def test_json_tells_exports_that_were_written_from_those_that_were_not(call, one_misses):
    ended = call("export", "student", "--to", "onnx,onnx-q4", "--json")
    found = {one["name"]: one for one in json.loads(ended.out)}
    assert (found["onnx"]["written"], found["onnx-q4"]["written"]) == (True, False)
    assert found["onnx-q4"]["faults"] == ["mean cosine 0.9911 is below 0.995"]
    assert ended.code == 3


def test_a_quiet_export_that_misses_still_says_so(call, one_misses):
    ended = call("export", "student", "-q")
    assert (ended.code, ended.out) == (3, "")
    assert "onnx-q4 differs too much" in ended.err


def test_an_interrupted_export_is_one_line_and_130(call, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "export", interrupt)
    ended = call("export", "student")
    assert (ended.code, ended.err) == (130, "babelpress: stopped\n")


def test_a_run_exports_its_student_and_tells_of_it(recipe, whole, tmp_path):
    """The run that is whole already, with exports: only they are made, and what is written of it."""
    shutil.copytree(whole[0], tmp_path / "r")
    student = tmp_path / "r" / "student"
    settings = ["distillation.epochs=1", "export.formats=[onnx, onnx-int8]"]
    results = api.run(str(recipe), output=tmp_path / "r", overrides=settings)
    assert [one.name for one in results.exports] == ["onnx", "onnx-int8"]
    assert list(results.exports) == read_exports(student)
    assert results.exports[0].parity.mean > 0.999999
    assert set(results.exports[0].parity.lost) == {"bundled bitext retrieval"}
    assert (student / "onnx/model_quantized.onnx").is_file()
    assert "## Exports" in (student / "README.md").read_text(encoding="utf-8")
    assert "onnx/model_quantized.onnx" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert set(read_manifest(tmp_path / "r" / "export")["counts"]) == {"onnx", "onnx-int8"}
    before = (student / "onnx/model.onnx").stat().st_mtime_ns
    again = api.run(str(recipe), output=tmp_path / "r", overrides=settings)
    assert again == results
    assert (student / "onnx/model.onnx").stat().st_mtime_ns == before


def test_a_recipe_with_exports_is_refused_early_where_onnx_is_missing(call, recipe, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ended = call("run", str(recipe), "-o", str(tmp_path / "r"), "--set", "export.formats=[onnx]")
    assert_one_line(ended, "exports need onnxruntime", "pip install 'babelpress[onnx]'")
    assert not (tmp_path / "r").exists()


def test_exports_of_another_student_are_not_taken_for_this_runs(recipe, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "r")
    settings = ["distillation.epochs=1", "export.formats=[onnx]"]
    assert api.run(str(recipe), output=tmp_path / "r", overrides=settings).exports
    other = [*settings, "distillation.learning_rate=2.0e-3"]
    assert api.evaluate(str(recipe), output=tmp_path / "r", overrides=other).exports == ()
    assert not (tmp_path / "r" / "student" / "onnx").exists()


# --- a run with an export that misses -------------------------------------------------------------

MISSES = ["distillation.epochs=1", "export.formats=[onnx, onnx-int8]", "export.mean=0.999999"]


@pytest.fixture
def missing_one(call, recipe, whole, tmp_path):
    """The run that is whole already, with one export that stands and one that is too far from the student."""
    shutil.copytree(whole[0], tmp_path / "r")
    return tmp_path / "r", lambda: call("run", str(recipe), "-o", str(tmp_path / "r"), *set_all(MISSES))


def set_all(settings: list[str]) -> list[str]:
    return [argument for setting in settings for argument in ("--set", setting)]


def test_an_export_that_misses_does_not_hide_what_the_run_found(missing_one):
    folder, run = missing_one
    for outdated in (folder / "report.html", folder / "student/README.md"):
        outdated.unlink()
    ended = run()
    assert ended.code == 3
    assert "what was kept" in ended.out
    said = " ".join(ended.out.split())
    assert "not written: onnx-int8 (mean cosine" in said
    assert str(folder / "report.html") in ended.out.replace("\n", "").replace(" ", "")
    (line,) = [line for line in ended.err.splitlines() if line.startswith("babelpress: ")]
    assert "onnx-int8 differs too much from the student: mean cosine" in line
    assert "is below 0.999999" in line
    assert [path.name for path in (folder / "student/onnx").glob("*.onnx")] == ["model.onnx"]
    assert [one.name for one in read_exports(folder / "student")] == ["onnx"]
    results = Results.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    assert [one.name for one in results.exports] == ["onnx"]
    (missed,) = results.missed_exports
    assert (missed.name, missed.file) == ("onnx-int8", "onnx/model_quantized.onnx")
    for written in ("student/README.md", "report.html"):
        assert missed.faults[0] in (folder / written).read_text(encoding="utf-8")
    assert set(read_manifest(folder / "export")["counts"]) == {"onnx", "onnx-int8"}


def test_what_missed_is_not_tried_again_where_nothing_changed(missing_one, monkeypatch):
    _, run = missing_one
    run()
    monkeypatch.setattr("babelpress.exports.export.export_student", lambda *_, **__: pytest.fail("it is tried again"))
    ended = run()
    assert ended.code == 3
    assert "not written: onnx-int8" in " ".join(ended.out.split())


@pytest.mark.parametrize("changed", ["processor", "onnxruntime"])
def test_what_missed_is_tried_again_on_another_processor_or_onnx_runtime(missing_one, monkeypatch, changed):
    folder, run = missing_one
    run()
    other = {**export_stage._measured_on(choose_formats(["onnx-int8"])), changed: "another"}
    monkeypatch.setattr(export_stage, "_measured_on", lambda _: other)
    floor = export_stage.floor_of
    monkeypatch.setattr(export_stage, "floor_of", lambda section: dataclasses.replace(floor(section), mean=0.5))
    assert run().code == 0  # there it is near enough
    assert [one.name for one in read_exports(folder / "student")] == ["onnx", "onnx-int8"]
    assert not (folder / "export/missed.json").exists()


def test_what_missed_is_tried_again_where_the_floor_is_another(missing_one, call, recipe):
    folder, run = missing_one
    lower = call("run", str(recipe), "-o", str(folder), *set_all([*MISSES[:2], "export.mean=0.5"]))
    assert lower.code == 0
    assert (folder / "student/onnx/model_quantized.onnx").is_file()
    assert run().code == 3
    assert not (folder / "student/onnx/model_quantized.onnx").exists()  # nor is the earlier run's left there
    assert [one.name for one in read_exports(folder / "student")] == ["onnx"]


@pytest.mark.parametrize(("verb", "code"), [("card", 3), ("report", 3), ("evaluate", 0), ("distill", 0)])
def test_verbs_that_make_exports_end_with_3_where_one_misses(missing_one, call, recipe, verb, code):
    folder, run = missing_one
    run()
    ended = call(verb, str(recipe), "-o", str(folder), *set_all(MISSES))
    assert ended.code == code
    assert ended.out


def test_a_run_all_of_whose_exports_miss_leaves_those_made_by_hand(recipe, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "r")
    student = tmp_path / "r" / "student"
    api.export(student, to=["onnx-fp16"], floor=None)
    settings = ["distillation.epochs=1", "export.formats=[onnx-int8]", "export.mean=0.999999"]
    results = api.run(str(recipe), output=tmp_path / "r", overrides=settings)
    assert results.exports == ()
    assert [one.name for one in results.missed_exports] == ["onnx-int8"]
    assert [one.name for one in read_exports(student)] == ["onnx-fp16"]

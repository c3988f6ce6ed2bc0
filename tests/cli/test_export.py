"""export on the command line, and as a stage of a run."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from babelpress import api
from babelpress.export.result import FLOOR, Export, read_exports
from babelpress.stages import read_manifest
from tests.cli import assert_one_line
from tests.export import good_parity


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


def test_an_interrupted_export_is_one_line_and_130(call, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "export", interrupt)
    ended = call("export", "student")
    assert (ended.code, ended.err) == (130, "babelpress: stopped\n")


def test_a_run_exports_its_student_and_tells_of_it(recipe, whole, tmp_path):
    """The run that is whole already, with exports: only they are made, and what is written of it."""
    import shutil

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
    import shutil

    shutil.copytree(whole[0], tmp_path / "r")
    settings = ["distillation.epochs=1", "export.formats=[onnx]"]
    assert api.run(str(recipe), output=tmp_path / "r", overrides=settings).exports
    other = [*settings, "distillation.learning_rate=2.0e-3"]
    assert api.evaluate(str(recipe), output=tmp_path / "r", overrides=other).exports == ()
    assert not (tmp_path / "r" / "student" / "onnx").exists()

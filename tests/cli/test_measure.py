"""measure on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from babelpress.corpus.bundled import load_meanings
from babelpress.schema.results import Measures
from tests.cli import assert_one_line
from tests.tiny import make_teacher


@pytest.fixture(scope="module")
def text_file(tmp_path_factory) -> Path:
    """Ninety texts in three languages."""
    rows = [
        {"text": meaning.texts[code], "language": code}
        for meaning in load_meanings()[:30]
        for code in ("en", "ko", "th")
    ]
    file = tmp_path_factory.mktemp("text") / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def other_model(tmp_path_factory) -> Path:
    return make_teacher(tmp_path_factory.mktemp("runs") / "mine" / "student", layers=2, seed=3)


def test_models_are_measured_in_80_columns(call, tiny_teacher, other_model, text_file):
    ended = call(
        "measure", str(other_model), str(tiny_teacher), "--teacher", str(tiny_teacher), "--text", str(text_file)
    )
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    parts = ("A  mine-student", "B  tiny-e5", "90 texts", "by language", "by length", "disturbed text", "typos")
    assert all(part in ended.out for part in parts)


def test_measures_as_json_are_all_of_stdout_and_the_picture_is_drawn(
    call, tiny_teacher, other_model, text_file, tmp_path
):
    models = (str(tiny_teacher), str(other_model), "--teacher", str(tiny_teacher))
    ended = call(
        "measure", *models, "--text", str(text_file), "--sample", "60", "--json", "--plot", str(tmp_path / "a.png")
    )
    assert (ended.code, ended.err) == (0, "")
    found = {name: Measures.model_validate(figures) for name, figures in json.loads(ended.out).items()}
    assert list(found) == ["teacher", "tiny-e5", "mine-student"]
    assert found["tiny-e5"].overall.texts == 60
    assert found["tiny-e5"].overall.student_queries == 1
    assert found["mine-student"].overall.cosine < 0.9
    assert {code: near.texts for code, near in found["teacher"].by_language.items()} == {"en": 20, "ko": 20, "th": 20}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_quiet_measures_say_nothing(call, tiny_teacher, text_file):
    ended = call("measure", str(tiny_teacher), "--teacher", str(tiny_teacher), "--text", str(text_file), "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"student": "nowhere"}, "nowhere is not a model folder (it has no modules.json)"),
        ({"student": "."}, ". is not a model folder (it has no modules.json)"),
        ({"student": "narrow"}, "narrow has 8 dimensions, the teacher 16"),
        ({"--teacher": "./nowhere"}, "./nowhere is not a model folder"),
        ({"--teacher": "."}, ". is not a model folder"),
        ({"--text": "gone.txt"}, "'gone.txt' matches no file"),
        ({"--text": "empty.txt"}, "empty.txt holds no text"),
        ({"--text": "few.txt"}, "3 different texts are too few to measure; give at least 20"),
        ({"--language": "en,ko"}, "--language names 2 languages"),
        ({"--plot": "a.pdf"}, "must end in .png or .svg"),
    ],
)
def test_what_cannot_be_measured_is_one_line(call, tiny_teacher, text_file, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("")
    Path("few.txt").write_text("a\nb\nc\n")
    if arguments.get("student") == "narrow":
        make_teacher(Path("narrow"), hidden=8)
    before = sorted(tmp_path.iterdir())
    options = {"student": str(tiny_teacher), "--teacher": str(tiny_teacher), "--text": str(text_file)} | arguments
    student = options.pop("student")
    assert_one_line(call("measure", student, *(word for pair in options.items() for word in pair)), part)
    assert sorted(tmp_path.iterdir()) == before

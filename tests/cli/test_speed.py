"""speed on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from babelpress.corpus.bundled import held_out_meanings
from babelpress.evaluation.speed import measure as speed
from tests.cli import assert_one_line
from tests.reports.figures import make_speed


@pytest.fixture
def timed(monkeypatch):
    """What the verb hands to the measurement, which is not done; its figures are made up."""
    given = {}

    def measure(folders, texts, *, rounds):
        given.update(folders=folders, texts=texts, rounds=rounds)
        return {name: make_speed(number) for number, name in enumerate(folders, 1)}

    monkeypatch.setattr(speed, "measure_speed", measure)
    return given


def test_models_are_timed_on_bundled_sentences_of_all_languages(call, timed, tiny_teacher):
    ended = call("speed", "bundled", str(tiny_teacher))
    assert (ended.code, ended.err) == (0, "")
    assert list(timed["folders"]) == ["bundled", "tiny-e5"]
    assert all((folder / "modules.json").is_file() for folder in timed["folders"].values())
    assert (len(timed["texts"]), timed["rounds"]) == (256, 5)
    languages = {code for meaning in held_out_meanings() for code, text in meaning.texts.items()
                 if text in set(timed["texts"])}  # fmt: skip
    assert len(languages) == 16


def test_the_speed_table_fits_80_columns_and_has_ratios_to_the_first(call, timed, tiny_teacher):
    ended = call("speed", "bundled", str(tiny_teacher), str(tiny_teacher))
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    lines = [line.split("│") for line in ended.out.splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 6]
    assert ["tiny-e5 (2)", "1,233", "20.3", "29.4", "3.31", "8,763"] in rows
    # 1,233 / 1,231, 20.3 / 18.3, 29.4 / 27.4, 3.31 / 1.31, 8,763 / 8,761
    assert rows[-1] == ["× first", "1.00", "1.11", "1.07", "2.53", "1.00"]
    assert [line[0] for line in rows].count("× first") == 2
    assert "on disk: bundled " in ended.out


def test_speed_json_is_all_of_stdout(call, timed, tiny_teacher, tmp_path):
    (tmp_path / "mine.txt").write_text("one\ntwo\n\nthree\n", encoding="utf-8")
    ended = call("speed", str(tiny_teacher), "--text", str(tmp_path / "mine.txt"), "--rounds", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    assert timed["texts"] == ["one", "two", "three"]
    assert (facts["sentences"], facts["rounds"]) == (3, 2)
    assert facts["models"]["tiny-e5"]["batched"] == make_speed(1).batched.model_dump()
    assert facts["machine"]["threads"] >= 1
    size = sum(file.stat().st_size for file in tiny_teacher.rglob("*") if file.is_file() and file.name != "README.md")
    assert facts["folder_bytes"] == {"tiny-e5": size}


def test_fewer_sentences_are_taken_evenly_from_a_file(call, timed, tiny_teacher, tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(map(str, range(10))), encoding="utf-8")
    call("speed", str(tiny_teacher), "--text", str(tmp_path / "mine.txt"), "--sentences", "3")
    assert timed["texts"] == ["0", "3", "6"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere",), "nowhere is not a model folder (it has no modules.json)"),
        (("run",), f"did you mean {Path('run') / 'student'}?"),
        (("bundled", "--text", "gone.txt"), "text file gone.txt is missing"),
        (("bundled", "--text", "empty.txt"), "speed cannot be measured with 0 texts; give at least 1"),
    ],
)
def test_a_speed_that_cannot_be_measured_is_one_line(call, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "student").mkdir(parents=True)
    (tmp_path / "run" / "student" / "modules.json").write_text("[]")
    (tmp_path / "empty.txt").write_text("\n\n")
    assert_one_line(call("speed", *arguments), part)


@pytest.mark.parametrize("option", ["--rounds", "--sentences"])
def test_no_rounds_and_no_sentences_are_usage_errors(call, option):
    ended = call("speed", "bundled", option, "0")
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_an_interrupt_of_a_measurement_is_one_line_and_130(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure_speed", interrupted)
    ended = call("speed", "bundled")
    assert (ended.code, ended.out, ended.err) == (130, "", "babelpress: stopped\n")

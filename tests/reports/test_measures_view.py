"""Measures as tables of 80 columns and as a picture."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from babelpress.errors import EvaluationError
from babelpress.reports import lengths_plot
from babelpress.reports.lengths_plot import draw_lengths
from babelpress.reports.measures import measures_view, notes
from babelpress.schema.results import AtLength, Closeness, Measures, Perturbed
from tests.reports.looks import catch_figure


def near(number: int, texts: int, *, few: bool = False) -> Closeness:
    if few:
        return Closeness(texts=texts, cosine=0.5 + number / 1000, cosine_p5=0.4 + number / 1000)
    return Closeness(
        texts=texts, cosine=0.5 + number / 1000, cosine_p5=0.4 + number / 1000, overlap=0.3 + number / 1000,
        student_queries=0.2 + number / 1000, teacher_queries=0.1 + number / 1000,
    )  # fmt: skip


def measures(number: int, *, languages: tuple[str, ...] = ("en", "ko", "zh-Hant"), longest: int = 128) -> Measures:
    """Figures that end in a number of their own."""
    lengths = (tokens for tokens in (8, 32, 128) if tokens <= longest)
    return Measures(
        overall=near(number, 1234),
        by_language={code: near(number + 10 * place, 401) for place, code in enumerate(languages)},
        by_length=tuple(AtLength(tokens=t, texts=60 + number, cosine=0.7, cosine_p5=0.6) for t in lengths),
        perturbed={
            name: Perturbed(found=0.9 + number / 1000, cosine=0.8 + number / 1000, texts=77)
            for name in ("typos", "punctuation")
        },
    )


FOUND = {"teacher": measures(0), "demo-pressed": measures(1), "demo-[red]student": measures(2, longest=32)}


def shown(found: dict[str, Measures], *, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(measures_view(found))
    return file.getvalue()


def row(text: str, first: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(first))
    return [cell.strip() for cell in line.split("│")]


def test_tables_fit_80_columns_with_every_figure_in_them():
    text = shown(FOUND)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "…" not in text.replace("… 5th", "")
    assert row(text, "cosine to the teacher") == ["cosine to the teacher", "0.501", "0.502"]
    assert row(text, "… 5th percentile")[1:] == ["0.401", "0.402"]
    assert row(text, "same 10 neighbours")[1:] == ["30.1", "30.2"]
    assert row(text, "student asks")[1:] == ["20.1", "20.2"]
    assert row(text, "teacher asks")[1:] == ["10.1", "10.2"]
    assert row(text, "ko") == ["ko", "401", "0.511", "31.1", "21.1", "0.512", "31.2", "21.2"]
    assert row(text, "32 ") == ["32", "61", "0.700", "0.600", "62", "0.700", "0.600"]
    assert row(text, "typos") == ["typos", "77", "90.0", "0.800", "90.1", "0.801", "90.2", "0.802"]


def test_what_was_not_measured_is_a_dash():
    text = shown(FOUND)
    assert row(text, "128") == ["128", "61", "0.700", "0.600", "–", "–", "–"]
    few = {name: own.model_copy(update={"overall": near(0, 19, few=True)}) for name, own in FOUND.items()}
    assert row(shown(few), "same 10")[1:] == ["–", "–"]
    assert "by chance" not in shown(few)


def test_names_are_told_once_and_brackets_are_no_markup():
    text = shown(FOUND)
    assert [line.rstrip() for line in text.splitlines()[:2]] == ["A  demo-pressed", "B  demo-[red]student"]


def test_many_students_have_tables_of_two():
    many = {"teacher": measures(0)} | {f"student-{number}": measures(number) for number in range(1, 9)}
    text = shown(many)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert text.count("disturbed text:") == 4
    assert [line.strip() for line in text.splitlines()].count("1,234 texts") == 2
    assert all(f"0.50{number}" in text for number in range(1, 9))


def test_one_language_has_no_table_of_its_own():
    one = {name: measures(number, languages=("und",)) for number, name in enumerate(("teacher", "student"))}
    assert "by language" not in shown(one)
    assert "within a language" not in shown(one)


def test_a_student_without_lengths_and_disturbed_text_has_no_such_tables():
    bare = {
        name: own.model_copy(update={"by_length": (), "perturbed": {}}) for name, own in list(FOUND.items())[:2]
    }  # fmt: skip
    text = shown(bare)
    assert "by length" not in text
    assert "disturbed" not in text
    assert len(notes(bare)) == 2


def test_the_command_line_says_what_the_disturbances_of_its_table_do():
    assert notes(FOUND)[-1] == "typos: typing errors in 5 % of the letters; punctuation: no punctuation"


def test_chance_is_told():
    assert "by chance 0.8 % of 1,234 texts, and 2.5 % within a language of 401" in notes(FOUND)


# --- the picture --------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_one_and_the_same_every_time(tmp_path, ending, start):
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        draw_lengths(FOUND, file)
    assert files[0].read_bytes().startswith(start)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {f"a.{ending}", f"b.{ending}"}


def test_the_picture_has_a_line_per_student_and_one_for_the_teacher(monkeypatch):
    (axis,) = catch_figure(monkeypatch, lengths_plot, lambda path: draw_lengths(FOUND, path)).axes
    lines = {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["teacher", "demo-pressed", "demo-[red]student"]
    assert set(lines["teacher"].get_ydata()) == {1.0}
    assert list(lines["demo-pressed"].get_xdata()) == [8, 32, 128]
    assert list(lines["demo-[red]student"].get_xdata()) == [8, 32]
    assert axis.get_xscale() == "log"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["8", "32", "128"]


def test_nothing_to_draw_is_refused_and_no_file_is_left(tmp_path):
    with pytest.raises(EvaluationError, match="no model has figures by length"):
        draw_lengths({"teacher": measures(0), "s": measures(1, longest=4)}, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []

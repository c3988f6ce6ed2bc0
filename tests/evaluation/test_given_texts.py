"""The user's texts: plain, packed, tables, many languages; and what is no text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from babelpress.errors import BabelpressError, EvaluationError, SourceError
from babelpress.evaluation.fidelity import given_texts
from babelpress.evaluation.fidelity.given_texts import read_given


def lines(count: int, word: str = "line") -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def write(path: Path, rows: list[str]) -> str:
    data = "".join(row + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "noending"])
def test_plain_text_is_a_text_a_line(tmp_path, name):
    assert read_given([write(tmp_path / name, lines(25))]) == {"und": lines(25)}


def test_the_language_of_plain_text_is_the_one_that_is_told(tmp_path):
    assert read_given([write(tmp_path / "a.txt", lines(25))], languages=["pt-BR"]) == {"pt-BR": lines(25)}


def test_rows_say_their_language_or_are_in_the_one_that_is_told(tmp_path):
    rows = [{"text": text, "language": "ko"} for text in lines(15)] + [{"text": text} for text in lines(10, "more")]
    file = write(tmp_path / "a.jsonl", [json.dumps(row) for row in rows])
    assert read_given([file]) == {"ko": lines(15), "und": lines(10, "more")}
    assert read_given([file], languages=["en"]) == {"ko": lines(15), "en": lines(10, "more")}


def test_a_name_may_stand_for_a_file_of_each_language(tmp_path):
    for code in ("en", "ko"):
        write(tmp_path / f"{code}.txt.gz", lines(20, code))
    found = read_given([str(tmp_path / "{language}.txt.gz")], languages=["ko", "en"])
    assert found == {"en": lines(20, "en"), "ko": lines(20, "ko")}


def test_several_files_are_read_and_a_text_counts_once_in_a_language(tmp_path):
    files = [write(tmp_path / "a.txt", lines(20)), write(tmp_path / "b.txt", [*lines(5), "new", "", "  "])]
    assert read_given(files) == {"und": [*lines(20), "new"]}


def test_texts_are_cleaned_as_a_corpus_is(tmp_path):
    file = write(tmp_path / "a.txt", [*lines(20), " cafe\u0301\u0007   noir "])
    assert read_given([file])["und"][-1] == "caf\u00e9 noir"


def test_a_bad_line_is_left_out(tmp_path):
    (tmp_path / "a.txt").write_bytes("\n".join(lines(20)).encode() + b"\n\xff\xfe\nNUL \0\n")
    assert read_given([str(tmp_path / "a.txt")]) == {"und": lines(20)}


def test_no_more_is_read_of_a_file_than_its_first_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(given_texts, "FILE_LIMIT", 30)
    files = [write(tmp_path / "a.txt", lines(90)), write(tmp_path / "b.txt", lines(90, "b"))]
    assert read_given(files) == {"und": [*lines(30), *lines(30, "b")]}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"paths": []}, EvaluationError, "no file of texts was given; give at least one: --text FILE"),
        ({"languages": ["klingon"]}, EvaluationError, "--language 'klingon' is not a language code"),
        ({"languages": ["en", "ko"]}, EvaluationError, "--language names 2 languages; give one, or write {language}"),
        ({"paths": ["{language}.txt"]}, EvaluationError, "needs the languages that replace it: --language en,ko"),
        ({"paths": ["gone.txt"]}, SourceError, "'gone.txt' matches no file"),
        ({"paths": ["{language}.txt"], "languages": ["en"]}, SourceError, "'{language}.txt' matches no file"),
        ({"paths": ["empty.txt"]}, SourceError, "empty.txt holds no text; give a file with one text a line"),
        ({"paths": ["blank.txt"]}, SourceError, "blank.txt holds no text"),
        ({"paths": ["rows.jsonl"]}, SourceError, "rows.jsonl holds no text"),
        ({"paths": ["broken.txt.gz"]}, SourceError, "cannot be read to its end"),
        ({"paths": ["few.txt"]}, EvaluationError, "19 different texts are too few to measure; give at least 20"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    write(Path("good.txt"), lines(20))
    write(Path("empty.txt"), [])
    write(Path("blank.txt"), ["", " \t "])
    write(Path("rows.jsonl"), ['{"sentence": "no column that is called text"}'])
    write(Path("few.txt"), lines(19) * 5)
    Path("broken.txt.gz").write_bytes(gzip.compress("\n".join(lines(500)).encode())[:200])
    with pytest.raises(error) as caught:
        read_given(**({"paths": ["good.txt"]} | arguments))
    assert isinstance(caught.value, BabelpressError)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

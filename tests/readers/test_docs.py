"""docs/readers.md shows the code that the tests run, the versions that they run it on, and what they allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from babelpress.checks.golden import GOLDEN, golden_texts, write_golden
from babelpress.utils.tokenizer import open_tokenizer
from tests.checks import make_student
from tests.readers.environments import HERE, MADE
from tests.readers.reading import END, NORMALISED_OTHERWISE, READERS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "readers.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def table() -> list[list[str]]:
    lines = DOCS.read_text(encoding="utf-8").partition("## Measured")[2].split("\n\n")[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("script", sorted({reader.script for reader in READERS.values()}))
def test_the_code_that_is_shown_is_the_code_that_is_run(script):
    text = (HERE / script).read_text(encoding="utf-8")
    assert END in text
    shown = re.split(r"\n+[#/]+ " + END, text)[0] + "\n"
    assert blocks("js" if script.endswith(".mjs") else "python").count(shown) == 1


def test_every_reader_has_a_line_in_order_within_its_tolerance():
    rows = table()
    assert [row[0] for row in rows] == [reader.title for reader in READERS.values()]
    for row, reader in zip(rows, READERS.values(), strict=True):
        assert row[2] == reader.weights
        assert row[7] == ("bytes" if reader.has_bytes else "`<unk>`")
        assert all(float(cell) <= reader.tolerance for cell in row[4:7] if cell != "–"), row[0]


def test_the_versions_in_the_table_are_the_pinned_ones():
    said = " ".join(row[1] for row in table())
    for environment in MADE.values():
        text = (HERE / str(environment.listed)).read_text(encoding="utf-8")
        newest = dict(re.findall(r"^\s*\"?([@\w/-]+?)(?:==|\": \")(\d[\d.]+)", text, flags=re.MULTILINE))
        assert newest
        for package, version in newest.items():
            assert f"{package} {version}" in said, package


def test_what_is_said_of_the_golden_file_is_so():
    text = DOCS.read_text(encoding="utf-8")
    kinds = {kind for kind, _ in golden_texts() if len(kind) > 2}
    assert {kind for kind in kinds if f"`{kind}`" in text} == kinds
    assert len(NORMALISED_OTHERWISE) == 6
    assert "changes six texts" in text


def test_the_code_for_porters_prints_what_a_port_gets_wrong(tmp_path, capsys, monkeypatch):
    (code,) = [block for block in blocks("python") if "my_tokenizer" in block]
    student = make_student(tmp_path / "student")
    assert write_golden(student).name == GOLDEN
    encode = open_tokenizer(student / "tokenizer.json").encode
    monkeypatch.chdir(tmp_path)
    exec(code, {"my_tokenizer": lambda text: encode(text).ids})
    assert capsys.readouterr().out == ""
    exec(code, {"my_tokenizer": lambda text: encode(text.replace("\t", "")).ids})
    assert capsys.readouterr().out.startswith("spaces 'a\\tb' ")

"""The verb `check`: a table of 80 columns, JSON, exit codes, and the texts that it is given."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from babelpress.checks.result import CheckReport, CheckResult, Status
from babelpress.cli.check import report_view
from babelpress.corpus.sources import first_lines
from babelpress.errors import SourceError

REPORT = CheckReport(
    "runs/demo/student",
    None,
    (
        CheckResult("files", Status.PASS, 9, "15,000 ids in 15,000 rows"),
        CheckResult("totality: tokenizers", Status.PASS, 1_112_064, "alone and inside words"),
        CheckResult("totality: AutoTokenizer", Status.FAIL, 1_112_064, "22 characters are unknown", "\x00"),
        CheckResult("totality: SentenceTransformer, saved", Status.FAIL, 9, "22 characters are unknown", "\x00"),
        CheckResult("round trip", Status.FAIL, 7760, "decoding gives 'a\\nb'", "안녕하세요 [bold] \u202e\n" * 20),
        CheckResult("embeddings", Status.SKIPPED, 0, "4 of 12 layers kept"),
    ),
)


def shown(report: CheckReport) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=80).print(report_view(report))
    return buffer.getvalue()


def test_the_table_fits_80_columns():
    assert max(cell_len(line) for line in shown(REPORT).splitlines()) <= 80


def test_the_table_shows_failures_escaped_and_what_alike_ones_have_in_common():
    text = shown(REPORT)
    assert r"'\x00'" in text
    assert "[bold]" in text
    assert "\u202e" not in text
    assert "totality: 22 characters are unknown" in text
    assert "4 of 12 layers kept" in text
    assert "3 of 5 checks failed, 1 skipped" in text


def test_a_report_without_failures_says_so():
    report = CheckReport("s", None, REPORT.results[:2])
    assert report.passed
    assert "all 2 checks passed, 0 skipped" in shown(report)


@pytest.fixture
def call(capsys, monkeypatch):
    """Run `babelpress check` with a report of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    from babelpress import cli

    monkeypatch.setattr(cli.check, "set_up", lambda **_: None)

    def run(report: CheckReport | None, *arguments: str) -> tuple[int, str, str]:
        from babelpress import api

        if report is not None:
            monkeypatch.setattr(api, "check", lambda *_, **__: report)
        monkeypatch.setattr(sys, "argv", ["babelpress", "check", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        caught = capsys.readouterr()
        return int(end.value.code or 0), caught.out, caught.err

    return run


def test_the_exit_code_is_1_when_a_check_failed(call):
    assert call(REPORT, "folder")[0] == 1
    assert call(CheckReport("s", None, REPORT.results[:1]), "folder")[0] == 0


def test_json_is_the_report(call):
    code, out, _ = call(REPORT, "folder", "--json")
    assert json.loads(out) == json.loads(json.dumps(REPORT.facts()))
    assert code == 1


def test_quiet_prints_nothing(call):
    assert call(REPORT, "folder", "--quiet")[1] == ""


def test_bad_input_is_one_line(call, tmp_path):
    code, out, err = call(None, str(tmp_path / "nothing"))
    assert (code, out) == (1, "")
    assert err.startswith("babelpress: ")
    assert err.count("\n") == 1


def test_golden_is_asked_for_by_its_flag(call, monkeypatch):
    from babelpress import api

    asked = []
    monkeypatch.setattr(api, "check", lambda *_, **options: asked.append(options["golden"]) or REPORT)
    for flags in ([], ["--golden"]):
        call(None, "folder", *flags)
    assert asked == [False, True]


def test_help_has_an_example(call):
    code, out, _ = call(REPORT, "--help")
    assert code == 0
    assert "Example: babelpress check" in out
    assert max(map(cell_len, out.splitlines())) <= 80


def test_texts_come_from_plain_and_packed_files(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"eins\r\n\nzwei\n" + b"\xff\xff\n" + b"drei\n")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("vier\n" * 50)
    assert first_lines(tmp_path / "a.txt", limit=9) == ["eins", "zwei", "drei"]
    assert first_lines(tmp_path / "b.txt.gz", limit=9) == ["vier"] * 9


def test_a_text_file_that_is_not_there_or_broken_is_named(tmp_path: Path):
    (tmp_path / "c.txt.gz").write_bytes(b"no gzip")
    for name in ("none.txt", "c.txt.gz"):
        with pytest.raises(SourceError, match=name):
            first_lines(tmp_path / name, limit=9)

"""The verb that checks a model folder, and what it shows: a table of 80 columns, and every failure in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from babelpress.checks.result import CheckReport, CheckResult, Status
from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, FolderArgument, Quiet, Verbose, interruptible, out, print_json, set_up

_STYLES = {Status.PASS: "green", Status.FAIL: "bold red", Status.SKIPPED: "dim"}


@app.command("check", epilog="Example: [bold]babelpress check runs/demo/student --teacher bundled[/bold]")
def check_folder(
    folder: FolderArgument,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="T", help="Teacher to compare with: a folder or a hub id.")
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", metavar="FILE", help="Also check this text: one per line (or .gz)."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Try every Unicode character: minutes, not seconds.")] = False,
    golden: Annotated[
        bool,
        typer.Option("--golden", help="Also compare the ids of all readers with tokenizer-golden.json."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Prove that a student's tokenizer is its teacher's, only smaller; exit code 1 when it is not."""
    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible():
        from babelpress import api

        report = api.check(folder, teacher=teacher, texts=text or (), full=full, golden=golden)
    if as_json:
        print_json(report.facts())
    elif not quiet:
        out.print(report_view(report))
    if not report.passed:
        raise typer.Exit(1)


def report_view(report: CheckReport) -> RenderableType:
    """Return the table, a line for each failure, and the verdict."""
    table = Table(title=Text(report.folder, style="bold"), title_justify="left", pad_edge=False, show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result")
    table.add_column("tested", justify="right", no_wrap=True)
    table.add_column("first failing input, or note", overflow="fold", ratio=1)
    group = ""
    for result in report.results:
        head, _, tail = result.name.partition(": ")
        if tail and head != group:
            table.add_row(head, "", "", "")
        group = head
        tested = f"{result.tested:,}" if result.tested else ""
        table.add_row(f"  {tail}" if tail else head, _word(result), tested, _note(result))
    failed = [result for result in report.results if result.status is Status.FAIL]
    by_fault: dict[str, list[str]] = {}
    for result in failed:
        by_fault.setdefault(result.detail, []).append(result.name)
    lines = [Text.assemble((f"{_label(names)}: ", "bold red"), _printable(fault)) for fault, names in by_fault.items()]
    skipped = sum(result.status is Status.SKIPPED for result in report.results)
    done = len(report.results) - skipped
    verdict = f"{len(failed)} of {done} checks failed" if failed else f"all {done} checks passed"
    return Group(table, Text(), *lines, Text(f"{verdict}, {skipped} skipped", style="bold"))


def _label(names: list[str]) -> str:
    """Name checks that failed alike; those of a group by the group."""
    heads = dict.fromkeys(name.partition(": ")[0] for name in names)
    return names[0] if len(names) == 1 else ", ".join(heads)


def _word(result: CheckResult) -> Text:
    word = "FAIL" if result.status is Status.FAIL else str(result.status)
    return Text(word, style=_STYLES[result.status])


def _note(result: CheckResult) -> Text:
    if result.status is not Status.FAIL or result.first_failure is None:
        return Text(_printable(result.detail), style="dim" if result.status is not Status.FAIL else "")
    return Text(repr(result.first_failure), no_wrap=True, overflow="ellipsis")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)

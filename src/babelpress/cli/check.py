"""Verbs that look at any model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, FolderArgument, Quiet, Verbose, interruptible, out, print_json, set_up


@app.command("check", epilog="Example: [bold]babelpress check runs/demo/student --teacher embedded[/bold]")
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
        from babelpress.checks.table import report_view

        out.print(report_view(report))
    if not report.passed:
        raise typer.Exit(1)

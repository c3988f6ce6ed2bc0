"""The verb that times models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, Quiet, Verbose, interruptible, out, print_json, set_up


@app.command("speed", epilog="Example: [bold]babelpress speed bundled runs/demo/student[/bold]")
def time_models(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL", help="Models: folders, hub ids; bundled: the demo's teacher.")
    ],
    text: Annotated[
        Path | None, typer.Option("--text", metavar="FILE", help="Sentences to encode, one per line, plain or .gz.")
    ] = None,
    sentences: Annotated[int, typer.Option("--sentences", metavar="N", min=1, help="Number of sentences.")] = 256,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="Number of rounds.")] = 5,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Time models in turn: sentences a second, one sentence's wait, load, memory."""
    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible():
        from babelpress import api

        report = api.speed(models, text=text, sentences=sentences, rounds=rounds)
    if as_json:
        print_json(report.facts())
    elif not quiet:
        from babelpress.reports.speed_table import speed_view

        out.print(speed_view(report))

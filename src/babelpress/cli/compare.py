"""Verbs that set models side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AGAIN, AsJson, DataDir, Quiet, Verbose, interruptible, out, set_up, words


@app.command("compare", epilog="Example: [bold]babelpress compare published:multilingual-e5-small runs/me5s_v3[/bold]")
def compare_models(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Models (folder, hub id, bundled), runs (RUN, RUN:teacher), published:NAME."
        ),
    ],
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME", help="Compare on a suite (babelpress suites).")
    ] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", metavar="A,B", help="Compare on these mteb tasks.")] = None,
    languages: Annotated[
        str | None,
        typer.Option("--languages", metavar="A,B", help="Languages to score in multilingual tasks."),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="NAME=TEXT", help="Prompt for scoring, e.g. 'STS=query: '."),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="Texts per batch.")] = 64,
    data_dir: DataDir = None,
    cache: Annotated[Path, typer.Option("--cache", metavar="DIR", help="Folder that keeps finished tasks.")] = Path(
        "cache/mteb"
    ),
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL", help="Baseline model (default: the first).")
    ] = None,
    subsets: Annotated[
        str, typer.Option("--subsets", metavar="WHICH", help="common: subsets that all models have; all: every subset.")
    ] = "common",
    form: Annotated[str | None, typer.Option("--format", metavar="FORM", help="table, markdown, csv or json.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the comparison: .md, .csv or .json.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the groups' scores: .png or .svg.")
    ] = None,
    pareto: Annotated[
        Path | None, typer.Option("--pareto", metavar="FILE", help="Draw scores against parameters: .png or .svg.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Compare models per group, task and language, on what all of them were scored on."""
    from babelpress.reports.comparison import Form, comparison_view, write_comparison

    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible(AGAIN):
        from babelpress import api

        shown, kept = Form.choose(form, output=output, plot=plot, pareto=pareto)
        shown = Form.JSON if as_json else shown
        found = api.compare(
            models, suite=suite, tasks=words(tasks), languages=words(languages), data_dir=data_dir, cache=cache,
            against=against, subsets=subsets, prompts=_prompts(prompts or []), batch_size=batch_size,
        )  # fmt: skip
        write_comparison(found, kept, output=output, plot=plot, pareto=pareto)
    if shown is Form.TABLE and not quiet:
        out.print(comparison_view(found))
    elif shown is not Form.TABLE:
        sys.stdout.write(shown.text(found))


def _prompts(given: list[str]) -> dict[str, str]:
    """Read NAME=TEXT; blanks of the text count. Raises EvaluationError."""
    from babelpress.errors import EvaluationError

    named = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name.strip() or not text:
            raise EvaluationError(f"--prompt {one!r} is not NAME=TEXT, e.g. --prompt 'STS=query: '")
        if name.strip() in named:
            raise EvaluationError(f"--prompt {name.strip()} is given twice")
        named[name.strip()] = text
    return named

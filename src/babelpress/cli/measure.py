"""The verb that measures any models on any text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, Quiet, Verbose, interruptible, out, print_json, set_up, words


@app.command(
    "measure", epilog="Example: [bold]babelpress measure runs/demo/student --teacher bundled --text a.txt[/bold]"
)
def measure_models(
    students: Annotated[
        list[str], typer.Argument(metavar="STUDENT", help="Students: SentenceTransformer folders, or hub ids.")
    ],
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="T", help="Their teacher: a folder, a hub id, or bundled.")
    ],
    text: Annotated[
        list[str],
        typer.Option("--text", metavar="FILE", help="Text: one a line, or jsonl with text and language; plain or .gz."),
    ],
    language: Annotated[
        str | None,
        typer.Option(
            "--language", metavar="CODE", help="What the text is in; of several (en,ko), {language} in FILE is each."
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=20, help="Number of texts, balanced across languages.")
    ] = 1000,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw fidelity by length: .png or .svg.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Measure on your text how near students are to their teacher, by language and length, and on perturbed text."""
    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible():
        from babelpress import api
        from babelpress.reports.style import check_ending

        if plot is not None:
            check_ending("--plot", plot)
        found = api.measure(students, teacher=teacher, texts=text, languages=words(language), sample=sample)
        if plot is not None:
            from babelpress.reports.lengths_plot import draw_lengths

            draw_lengths(found, plot)
    if as_json:
        print_json({name: measures.model_dump(mode="json") for name, measures in found.items()})
    elif not quiet:
        from babelpress.reports.measures import measures_view

        out.print(measures_view(found))

"""The verb that writes a student for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import (
    BELOW_FLOOR,
    AsJson,
    FolderArgument,
    Quiet,
    Verbose,
    fail,
    interruptible,
    out,
    print_json,
    set_up,
    words,
)
from babelpress.schema.formats import FORMATS

if TYPE_CHECKING:
    from babelpress.schema.exports import FloorError


@app.command("export", epilog="Example: [bold]babelpress export runs/demo/student --to onnx,onnx-int8[/bold]")
def export_folder(
    folder: FolderArgument,
    to: Annotated[str, typer.Option("--to", metavar="A,B", help=f"{', '.join(FORMATS)}.")] = "onnx,onnx-int8",
    text: Annotated[
        list[Path] | None, typer.Option("--text", metavar="FILE", help="Compare on this text, too: one a line.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where the files go, FOLDER unless given.")
    ] = None,
    no_floor: Annotated[
        bool, typer.Option("--no-floor", help="Write an export however far it is from the student.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write a student as ONNX, whole or in 8 or 4 bits, each with its distance to the student.

    One that is too far away is not written, the others are; the exit status is 3 then.
    """
    set_up(quiet=quiet or as_json, verbose=verbose)
    below: FloorError | None = None
    with interruptible():
        from babelpress import api
        from babelpress.schema.exports import FLOOR, FloorError

        try:
            found = api.export(folder, to=words(to), texts=text or (), floor=None if no_floor else FLOOR, output=output)
        except FloorError as error:
            below, found = error, list(error.written)
    missed = below.missed if below else ()
    if as_json:
        print_json([{**one.facts(), "written": True} for one in found] + [
            {**one.facts(), "written": False} for one in missed
        ])  # fmt: skip
    elif not quiet:
        from babelpress.cli.tables import exports_table

        out.print(exports_table(found, missed))
    if below:
        fail(str(below), code=BELOW_FLOOR)

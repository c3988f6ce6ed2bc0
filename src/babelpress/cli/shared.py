"""What the verbs of the command line share: arguments, the two consoles, how errors and JSON are written."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from babelpress.utils import progress
from babelpress.utils.threads import short_spin

BELOW_FLOOR = 3  # exit status: all was done, but an export is too far from the student and was not written
AGAIN = "stopped; run the same command again to go on from here"

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name or a path to a .yaml file.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="The run's folder (default: runs/RECIPE)."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe value, e.g. distillation.epochs=1."),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="A student: any SentenceTransformer folder.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Local copies of hub data sets and of mteb task data."),
]
TeacherPath = Annotated[
    str | None, typer.Option("--teacher", metavar="DIR", help="A local copy of the recipe's teacher.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors (and JSON with --json).")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="More output; -vv includes the libraries' own."
    ),
]

out = Console()
err = Console(stderr=True)


@contextmanager
def interruptible(message: str = "stopped") -> Iterator[None]:
    """Say in one line that Ctrl-C was pressed; typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        fail(message, code=130)


def words(text: str | None) -> list[str]:
    """Split A,B,C; blanks around a word do not count."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def fail(message: str, *, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    err.print(
        Text.assemble(("babelpress:", "bold red"), f" {' '.join(message.split())}"),
        soft_wrap=True,
    )
    sys.exit(code)


def os_error(error: OSError) -> str:
    """Return the operating system's words and the file."""
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def set_up(*, quiet: bool, verbose: int) -> None:
    """Decide, before any library is imported, how much is said and how threads wait."""
    import os

    os.environ.update(short_spin(os.environ))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars; ours are drawn by rich
    level = logging.ERROR if quiet else logging.INFO
    handler = RichHandler(console=err, show_time=False, show_level=False, show_path=False, markup=False)
    logging.basicConfig(
        level=logging.WARNING if verbose > 1 else logging.ERROR, handlers=[handler], format="%(message)s"
    )
    logging.getLogger("babelpress").setLevel(logging.DEBUG if verbose and not quiet else level)
    progress.draw_on(None if quiet else err)


def print_json(value: Any) -> None:
    """Write a value on standard output, in ASCII where its encoding has not all characters."""
    sys.stdout.write(json.dumps(value, ensure_ascii=not _is_unicode(sys.stdout), indent=2) + "\n")


def tolerate_encodings() -> None:
    """Print `?` for what a terminal's encoding (cp1252, ascii, ...) lacks, instead of ending with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_unicode(stream):
            stream.reconfigure(errors="replace")


def _is_unicode(stream: Any) -> bool:
    return str(getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")

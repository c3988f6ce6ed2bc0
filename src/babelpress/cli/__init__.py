"""The command line: a thin function a verb."""

from __future__ import annotations

from babelpress.cli import verbs  # noqa: F401 (each module adds its verbs; help shows them in this order)

# isort: split
from babelpress.cli import check, compare, export, fetch, measure, push, recipes, speed  # noqa: F401
from babelpress.cli.app import app
from babelpress.cli.shared import fail, os_error
from babelpress.errors import BabelpressError


def main() -> None:
    """Run the command line; errors of ours are one line."""
    try:
        app()
    except BabelpressError as error:
        fail(str(error))
    except OSError as error:
        fail(os_error(error))

"""The command line: a thin function for each verb."""

from __future__ import annotations

from importlib import import_module

from babelpress.cli.app import app
from babelpress.cli.shared import fail, os_error, tolerate_encodings
from babelpress.errors import BabelpressError
from babelpress.verbs import MODEL_VERBS

for _module in (
    "run_verbs",
    *MODEL_VERBS,
    "suites",
    "recipes",
):  # each adds its commands; help shows them in this order
    import_module(f"babelpress.cli.{_module}")


def main() -> None:
    """Run the command line; errors of ours are one line."""
    tolerate_encodings()
    try:
        app()
    except BabelpressError as error:
        fail(str(error))
    except OSError as error:
        fail(os_error(error))

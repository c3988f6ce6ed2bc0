"""The command line itself; its verbs are in the modules beside this one."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="babelpress",
    help="Press a large multilingual sentence encoder into a small one, and prove what was kept.\n\n"
    "Start with: babelpress run demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

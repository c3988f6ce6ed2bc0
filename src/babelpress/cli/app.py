"""The command line itself; its commands are in the modules of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup


def _plain(params: list[Any]) -> list[Any]:
    """Show no types beside flags and arguments: `--json`, not `--json <bool>`; `MODEL`, not `MODEL <list[str]>`."""
    for param in params:
        if isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]
        elif getattr(param, "is_flag", False) or getattr(param, "count", False):
            param.metavar = ""
    return params


class Command(TyperCommand):
    """A command whose help names no types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters."""
        return _plain(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose help names no types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters."""
        return _plain(super().get_params(ctx))


class App(typer.Typer):
    """A Typer whose commands are `Command`s."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:  # type: ignore[override]
        """Add a command."""
        return super().command(name, **{"cls": Command, **settings})


app = App(
    name="babelpress",
    cls=Group,
    help="Press a large multilingual sentence encoder into a small one, and prove what was kept.\n\n"
    "Start with: babelpress run demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"babelpress {version('babelpress')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""

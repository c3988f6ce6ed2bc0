"""Progress of long work: a bar with rate and time left on a terminal, silence elsewhere.

The library only reports; whether anything is drawn is decided once, by the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

T = TypeVar("T")
_console: Console | None = None


def draw_on(console: Console | None) -> None:
    """Draw bars on this console from now on; None draws nothing."""
    global _console  # noqa: PLW0603 (one terminal, one switch)
    _console = console


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = (task.finished_speed or task.speed) if task.fields["timed"] else None
        total = f"/{task.total:,.0f}" if task.total else ""
        rate = f" {speed:,.0f} {task.fields['unit']}/s" if speed else ""
        return Text(f"{task.completed:,.0f}{total}{rate}", no_wrap=True)


class _Note(ProgressColumn):
    """What gives way where the line is too long: its column may shrink (the others' may not), its text not wrap."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["note"], style="dim", no_wrap=True, overflow="ellipsis")


@contextmanager
def bar(
    label: str, *, total: int | None = None, unit: str = "items", start: int = 0, timed: bool = True
) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; the block calls `advance(n)`, `note=` adds a word behind it.

    A bar that is not `timed` shows neither rate nor time left: for items of very different size.
    """
    if _console is None or not _console.is_terminal:
        yield lambda step=1, note="": None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        _Rate(table_column=Column(no_wrap=True)),
        *([TimeRemainingColumn(compact=True)] if timed else []),
        _Note(),
    )
    with Progress(*columns, console=_console, transient=True) as progress:
        task = progress.add_task(label, total=total, completed=start, unit=unit, timed=timed, note="")

        def advance(step: int = 1, note: str | None = None) -> None:
            progress.advance(task, step)
            if note is not None:
                progress.update(task, note=note)

        yield advance


def track(items: Iterable[T], label: str, *, total: int | None = None, unit: str = "items") -> Iterator[T]:
    """Iterate with a bar."""
    with bar(label, total=total, unit=unit) as advance:
        for item in items:
            yield item
            advance()


def say_duration(seconds: float) -> str:
    """Return a duration in the unit that people would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

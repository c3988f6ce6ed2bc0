"""Progress of long work: a bar with rate and time left on a terminal, elsewhere a line a minute.

The library only reports; whether anything is shown is decided once, by the command line. Of several processes the main
one alone shows it.
"""

from __future__ import annotations

import time
from collections import deque
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

from babelpress.utils import processes

T = TypeVar("T")
LINE_EVERY = 60.0  # seconds between the lines of a console that is no terminal
_WINDOW = 10  # lines over which the rate is taken
_WIDTH = 80
_console: Console | None = None
_clock: Callable[[], float] = time.monotonic


def draw_on(console: Console | None, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Show progress on this console from now on, lines at the times of this clock; None shows nothing."""
    global _console, _clock
    _console, _clock = console, clock


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


class _Lines:
    """Progress in plain lines, at most one a minute and the first after a minute, so that short work prints nothing."""

    def __init__(
        self, console: Console, label: str, *, total: int | None, unit: str, start: int, timed: bool,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._console, self._label, self._total, self._unit, self._timed = console, label, total, unit, timed
        self._clock = clock
        self._done, self._note = start, ""
        self._seen = deque([(clock(), start)], maxlen=_WINDOW + 1)  # time and count at each line

    def advance(self, step: int = 1, note: str | None = None) -> None:
        """Count, and print a line when the last one is a minute old."""
        self._done += step
        self._note = self._note if note is None else note
        now = self._clock()
        if now - self._seen[-1][0] >= LINE_EVERY:
            line = Text(" ".join(self._line(now).split()))
            line.truncate(_WIDTH, overflow="ellipsis")
            self._console.print(line, soft_wrap=True, highlight=False)
            self._seen.append((now, self._done))

    def _line(self, now: float) -> str:
        """Say how far it is. The note comes last: it is what gives way where the line is too long."""
        then, before = self._seen[0]
        rate = (self._done - before) / (now - then) if self._timed else 0.0
        if self._total:
            parts = [f"{100 * self._done // self._total} %", f"{self._done:,}/{self._total:,}"]
        else:
            parts = [f"{self._done:,} {self._unit}"]
        if rate > 0:
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        if rate > 0 and self._total:
            parts.append(f"{say_duration(max(0, self._total - self._done) / rate)} left")
        if self._note:
            parts.append(self._note)
        return f"{self._label}: {', '.join(parts)}"


@contextmanager
def bar(
    label: str, *, total: int | None = None, unit: str = "items", start: int = 0, timed: bool = True
) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; the block calls `advance(n)`, `note=` adds a word behind it.

    A bar that is not `timed` shows neither rate nor time left: for items of very different size.
    """
    if _console is None or not processes.is_main():
        yield lambda step=1, note="": None
        return
    if not _console.is_terminal:
        yield _Lines(_console, label, total=total, unit=unit, start=start, timed=timed, clock=_clock).advance
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

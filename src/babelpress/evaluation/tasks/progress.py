"""One bar over models and tasks, with an estimate of the time left from the finished tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from babelpress.utils.progress import bar, say_duration

Pair = tuple[str, str]
"""A model and a task."""


class TaskClock:
    """Shows the current model and task, and the estimated time left."""

    def __init__(self, pairs: Sequence[Pair], advance: Callable[..., None]) -> None:
        self._left = list(pairs)
        self._advance = advance
        self._taken: dict[Pair, float] = {}

    @contextmanager
    def task(self, model: str, task: str) -> Iterator[Callable[[bool], None]]:
        """Time a task; the block calls the yielded function with whether the task was run (not taken from a cache)."""
        left = seconds_left(self._taken, self._left)
        about = f"about {say_duration(left)} left: " if left is not None else ""
        self._advance(0, note=f"{about}{task} ({model})")
        started = time.monotonic()

        def finished(ran: bool) -> None:
            if ran:
                self._taken[model, task] = time.monotonic() - started

        try:
            yield finished
        finally:
            self.skip(model, task)

    def skip(self, model: str, task: str) -> None:
        """Count a task as done that will not be run."""
        self._left.remove((model, task))
        self._advance(1)


@contextmanager
def track_tasks(pairs: Sequence[Pair]) -> Iterator[TaskClock]:
    """Show one bar over all models and tasks."""
    with bar("evaluation", total=len(pairs), unit="tasks", timed=False) as advance:
        yield TaskClock(pairs, advance)


def seconds_left(taken: Mapping[Pair, float], left: Collection[Pair]) -> float | None:
    """Estimate the seconds that tasks will take; None before the first is finished.

    A task is estimated by other models' times for it, scaled by this model's pace on the tasks that both finished; a
    task that no model finished, by the mean of this model's tasks, or of all.
    """
    if not taken:
        return None
    return sum(_estimate(taken, pair) for pair in left)


def _estimate(taken: Mapping[Pair, float], pair: Pair) -> float:
    model, task = pair
    known = [seconds * _pace(taken, model, other) for (other, done), seconds in taken.items() if done == task]
    of_model = [seconds for (other, _), seconds in taken.items() if other == model]
    likely = known or of_model or list(taken.values())
    return sum(likely) / len(likely)


def _pace(taken: Mapping[Pair, float], model: str, other: str) -> float:
    """Return a model's time relative to another's on the tasks that both finished; 1 without any."""
    both = [task for name, task in taken if name == model and (other, task) in taken]
    theirs = sum(taken[other, task] for task in both)
    return sum(taken[model, task] for task in both) / theirs if theirs > 0 else 1.0

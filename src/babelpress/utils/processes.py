"""Several processes at one run, as `accelerate launch` starts them: their ranks, and how they wait.

Results go through the run's folder, which all of them see; torch.distributed carries the waiting alone.
One process needs neither torch nor Accelerate here.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from babelpress.errors import BabelpressError

T = TypeVar("T")
_PATIENCE = timedelta(days=7)  # as long as the longest stage of the others may take


def count() -> int:
    """Return how many processes work on this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def is_main() -> bool:
    """Return whether this process decides, writes shared files, and reports progress."""
    return rank() == 0


def share(items: Iterable[T]) -> Iterator[T]:
    """Yield this process's share: every count-th item, from its rank on."""
    this_rank, every = rank(), count()
    for number, item in enumerate(items):
        if number % every == this_rank:
            yield item


def wait() -> None:
    """Return when all processes have come to this point."""
    if count() > 1:
        _state().wait_for_everyone()


def from_main(value: T) -> T:
    """Return the main process's value everywhere."""
    if count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    values: list[T] = broadcast_object_list([value])
    return values[0]


def from_all(value: T) -> list[T]:
    """Return every process's value, by their numbers, everywhere."""
    if count() == 1:
        return [value]
    from accelerate.utils import gather_object

    _state()
    values: list[T] = gather_object([value])
    return values


def device() -> str | None:
    """Return this process's device; None for a single process, which may choose."""
    return str(_state().device) if count() > 1 else None


@lru_cache(maxsize=1)
def _state() -> Any:
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)  # by default, no GPU means one process
    if state.num_processes != count():
        raise BabelpressError(f"{count()} processes were started, but Accelerate sees {state.num_processes}")
    atexit.register(state.destroy_process_group)
    return state

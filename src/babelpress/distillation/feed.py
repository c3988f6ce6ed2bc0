"""What a training reads: token ids and targets of the same sentences, a few batches ahead of the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.architectures.packed import Packed
from babelpress.distillation.batches import BatchPlan, chunks, share_of
from babelpress.distillation.targets import Targets
from babelpress.distillation.tokens import TokenStore
from babelpress.utils import processes

_AHEAD = 3  # batches that are read while one is trained on


@dataclass(frozen=True)
class TrainingText:
    """What a split gives the training: token ids and targets of the same sentences."""

    tokens: TokenStore
    targets: Targets


@dataclass(frozen=True)
class Part:
    """A part of a batch: `rows` of the corpus, of which this process has `packed`, and what all of them should be.

    `teacher` has shape (rows, dimensions), `hidden` (rows, layers, width) or is None; both fp16, in the order
    of `rows`.
    """

    rows: NDArray[np.int64]
    packed: Packed
    teacher: torch.Tensor
    hidden: torch.Tensor | None


@dataclass(frozen=True)
class Batch:
    """The parts of a batch, in order of length."""

    parts: tuple[Part, ...]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the whole batch."""
        return np.concatenate([part.rows for part in self.parts])

    @property
    def own_tokens(self) -> int:
        """Return the tokens that this process has."""
        return sum(len(part.packed.ids) for part in self.parts)


def read_batch(text: TrainingText, rows: NDArray[np.int64], *, tokens: int, hidden: bool = False) -> Batch:
    """Read a batch of rows in order of length, in parts of so many tokens a process at most."""
    lengths = text.tokens.lengths(rows)
    every = chunks(rows, lengths, tokens=tokens * processes.count())
    return Batch(tuple(_read_part(text, part, hidden=hidden) for part in every))


def _read_part(text: TrainingText, rows: NDArray[np.int64], *, hidden: bool) -> Part:
    own = share_of(rows, rank=processes.rank(), count=processes.count())
    return Part(
        rows,
        text.tokens.pack(own),
        text.targets.gather(rows),
        text.targets.gather(rows, name="hidden") if hidden else None,
    )


def batches_from(
    text: TrainingText, plan: BatchPlan, *, epoch: int, position: int, tokens: int, hidden: bool = False
) -> Iterator[Batch]:
    """Yield the rest of an epoch's batches, read ahead on a thread."""
    with ThreadPoolExecutor(1) as reader:
        ahead: deque[Future[Batch]] = deque()
        for step in range(position, plan.steps):
            ahead.append(
                reader.submit(lambda at: read_batch(text, plan.batch(epoch, at), tokens=tokens, hidden=hidden), step)
            )
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

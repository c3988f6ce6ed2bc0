"""Which sentences make up which batch: a function of (seed, epoch, position) alone.

Nothing is shuffled in memory and nothing is replayed on resume. A keyed permutation of the row numbers
(a Feistel network with cycle walking, Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains")
gives the order of an epoch row by row; runs of it are sorted by length and cut into batches, so that
little is spent on padding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

POOL_BATCHES = 64
_ROUNDS = 4
_MASK = np.uint64(0xFFFFFFFF)


class Lengths(Protocol):
    """What batches need to know of the text."""

    @property
    def rows(self) -> int:
        """Return the number of sentences."""

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the tokens of some sentences."""


def permute(positions: NDArray[np.int64], *, count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Map positions 0..count-1 to distinct rows 0..count-1, in memory proportional to `positions`."""
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(_ROUNDS, dtype=np.uint32).astype(np.uint64)
    values = positions.astype(np.uint64)
    outside = np.ones(len(values), dtype=bool)
    while outside.any():
        values[outside] = _feistel(values[outside], keys, half)
        outside = values >= count
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half: int) -> NDArray[np.uint64]:
    mask = np.uint64((1 << half) - 1)
    left, right = values >> np.uint64(half), values & mask
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & mask)
    return (left << np.uint64(half)) | right


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 32-bit values (the finalizer of MurmurHash3)."""
    values = values & _MASK
    values = ((values ^ (values >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & _MASK
    values = ((values ^ (values >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & _MASK
    return values ^ (values >> np.uint64(16))


class BatchPlan:
    """The batches of every epoch."""

    def __init__(self, text: Lengths, *, batch_size: int, seed: int) -> None:
        self._text, self._batch_size, self._seed = text, batch_size, seed
        self._pool = lru_cache(maxsize=1)(self._make_pool)

    @property
    def steps(self) -> int:
        """Return the number of batches in an epoch; the last may be smaller."""
        return -(-self._text.rows // self._batch_size)

    def batch(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Return the rows of one batch."""
        pool, place = divmod(step, POOL_BATCHES)
        return self._pool(epoch, pool)[place]

    def _make_pool(self, epoch: int, pool: int) -> list[NDArray[np.int64]]:
        """Return the batches of one run of the permutation: of like length inside, in mixed order."""
        start = pool * POOL_BATCHES * self._batch_size
        stop = min(start + POOL_BATCHES * self._batch_size, self._text.rows)
        rows = permute(np.arange(start, stop), count=self._text.rows, seed=self._seed, epoch=epoch)
        rows = rows[np.argsort(self._text.lengths(rows), kind="stable")]
        batches = [rows[first : first + self._batch_size] for first in range(0, len(rows), self._batch_size)]
        order = np.random.default_rng([self._seed, epoch, pool]).permutation(len(batches))
        return [batches[number] for number in order]


def chunks(rows: NDArray[np.int64], lengths: NDArray[np.int64], *, tokens: int) -> list[NDArray[np.int64]]:
    """Cut a batch, in order, into parts of so many tokens at most; a longer sentence is a part of its own."""
    parts: list[NDArray[np.int64]] = []
    start, held = 0, 0
    for place, length in enumerate(lengths.tolist()):
        if held and held + length > tokens:
            parts.append(rows[start:place])
            start, held = place, 0
        held += length
    return [*parts, rows[start:]]


def share_of(rows: NDArray[np.int64], *, rank: int, count: int) -> NDArray[np.int64]:
    """Return a process's part of some rows: every count-th, so that all have texts of like lengths.

    Where there are fewer rows than processes, the others get the first row, which counts for nothing.
    """
    own = rows[rank::count]
    return own if len(own) else rows[:1]

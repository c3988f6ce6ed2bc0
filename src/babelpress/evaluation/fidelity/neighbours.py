"""Nearest neighbours by exact search in blocks, within one model's embeddings or across two models'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from babelpress.evaluation.fidelity.intrinsic import Embeddings, normalised

NEIGHBOURS = 10
LEAST_TEXTS = 20
_DECIMALS = 6  # what float32 products of unit vectors are good for
_BLOCK = 1 << 22  # cosines held at a time, 16 MiB

Rows = NDArray[np.intp]


def nearest(queries: Embeddings, index: Embeddings, *, count: int = NEIGHBOURS) -> Rows:
    """Return the rows of the index that are nearest to each query by cosine: (texts, count), each line ascending.

    Row i of both is the same text, which is not its own neighbour. Cosines that agree to six decimals are
    equal; of equal ones the lower rows are taken. Equal texts are neighbours like any two texts.
    """
    neighbours: Rows = np.empty((len(queries), count), dtype=np.intp)
    for start, cosines in cosine_blocks(queries, index):
        lines = np.arange(len(cosines))
        cosines[lines, start + lines] = -np.inf
        least = np.partition(cosines, -count, axis=1)[:, -count, None]
        nearer, level = cosines > least, cosines == least
        room = count - nearer.sum(axis=1, keepdims=True)
        chosen = nearer | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= room))
        neighbours[start : start + len(cosines)] = np.nonzero(chosen)[1].reshape(-1, count)
    return neighbours


def shared(neighbours: Rows, truth: Rows) -> float:
    """Return the mean share of true neighbours among the given ones (recall); both (texts, count)."""
    return float((truth[:, :, None] == neighbours[:, None, :]).any(axis=2).mean())


def cosine_blocks(queries: Embeddings, index: Embeddings) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first query of a block and its cosines with the whole index, to six decimals, in float32."""
    left, right = normalised(queries).astype(np.float32), normalised(index).astype(np.float32)
    lines = max(1, _BLOCK // max(1, len(right)))
    for start in range(0, len(left), lines):
        yield start, np.round(left[start : start + lines] @ right.T, _DECIMALS)

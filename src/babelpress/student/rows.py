"""What the embedding rows of new pieces start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from babelpress.vocabulary.bytelevel import byte_of

Rows = NDArray[np.float32]


def noise_rows(kept: Rows, count: int, *, seed: int) -> Rows:
    """Return `count` rows near the mean of the kept ones: mean + 0.1 std noise.

    This is what the reference student does (`prepare_me5s_v3.py` of gomyk/SmallLanguageModels).
    """
    noise = np.random.default_rng(seed).standard_normal((count, kept.shape[1]), dtype=np.float32)
    return kept.mean(axis=0) + np.float32(0.1) * kept.std(axis=0) * noise


def dropped_rows(
    kept: Rows, new_pieces: Sequence[str], *, dropped: Rows, texts: Sequence[str], shares: Sequence[float], seed: int
) -> Rows:
    """Return each byte piece's row as the mean of the dropped characters' rows that it helps to spell.

    `dropped` are the rows of `texts`, single characters that are spelled in bytes from now on, weighed by
    `shares`. A byte of which there is none starts from noise.
    """
    rows = noise_rows(kept, len(new_pieces), seed=seed)
    sums = np.zeros((256, kept.shape[1]))
    weights = np.zeros(256)
    for row, text, share in zip(dropped, texts, shares, strict=True):
        for byte in text.encode("utf-8", "surrogatepass"):
            sums[byte] += share * row
            weights[byte] += share
    for place, piece in enumerate(new_pieces):
        value = byte_of(piece)
        if value is not None and weights[value]:
            rows[place] = sums[value] / weights[value]
    return rows

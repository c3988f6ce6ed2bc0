"""What the embedding rows of a student start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babelpress.vocabulary.bytelevel import byte_of

Rows = NDArray[np.float32]
_CHUNK = 8192  # dropped rows read at a time
# What holds a row to its own place besides its own use, by its use in dropped pieces. Without it, a row that no
# counted token is (a rare letter) runs away after the few dropped words that it helps to spell.
_HOLD = 0.3
_STEPS = 20  # of conjugate gradients; the residual is below a thousandth by then


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


@dataclass(frozen=True)
class Spelling:
    """How dropped pieces are spelled by kept ones, and how often all of them occur.

    Piece `dropped[i]` (a teacher id) is spelled by the student's `parts[starts[i]:starts[i + 1]]`, -1 for a
    byte, and occurs `weights[i]` times; row k of the student occurs `own[k]` times.
    """

    dropped: NDArray[np.int64]
    parts: NDArray[np.int64]
    starts: NDArray[np.int64]
    weights: NDArray[np.float64]
    own: NDArray[np.float64]


def fitted_rows(rows: Rows, spelling: Spelling, read: Callable[[NDArray[np.int64]], Rows]) -> Rows:
    """Return rows whose means, piece by piece, come as near as they can to the rows of the dropped pieces.

    Least squares over all tokens of the counted text: a dropped token should be the mean of the rows that
    spell it now, a kept one its own row, and rows are held to where they were. `read` gives the teacher's
    rows of ids, which are asked for in chunks. Solved by conjugate gradients with the diagonal as
    preconditioner (Hestenes and Stiefel 1952).
    """
    from scipy.sparse import csr_matrix, diags

    lengths = np.diff(spelling.starts)
    known = spelling.parts >= 0
    piece = np.repeat(np.arange(len(lengths)), lengths)
    means = csr_matrix(
        (1.0 / np.repeat(lengths, lengths)[known], (piece[known], spelling.parts[known])),
        shape=(len(lengths), len(rows)),
    )
    weighted = means.T @ diags(spelling.weights)
    used = np.asarray(weighted.sum(axis=1)).ravel()
    own = (spelling.own + _HOLD * used + np.finfo(float).tiny)[:, None]
    right = np.zeros(rows.shape)
    for start in range(0, len(lengths), _CHUNK):
        chunk = slice(start, min(start + _CHUNK, len(lengths)))
        right += weighted[:, chunk] @ (read(spelling.dropped[chunk]) - means[chunk] @ rows)
    diagonal = np.asarray(weighted.multiply(means.T).sum(axis=1)) + own
    change = np.zeros(rows.shape)
    residual = right
    step = residual / diagonal
    energy = (residual * step).sum(axis=0)
    for _ in range(_STEPS):
        image = weighted @ (means @ step) + own * step
        length = energy / np.maximum((step * image).sum(axis=0), np.finfo(float).tiny)
        change += length * step
        residual = residual - length * image
        scaled = residual / diagonal
        before, energy = energy, (residual * scaled).sum(axis=0)
        step = scaled + energy / np.maximum(before, np.finfo(float).tiny) * step
    fitted: Rows = (rows + change).astype(np.float32)
    return fitted

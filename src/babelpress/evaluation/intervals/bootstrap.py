"""Bootstrap: a score on resamples of the sentences that it was computed on (Efron and Tibshirani 1993).

A resample is a count of each sentence. Main scores are sums over such counts, so that nothing is sorted or encoded
again for a resample.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babelpress.utils.files import hash_json

if TYPE_CHECKING:
    from scipy.sparse import csr_array

REPLICATES = 1000
_BATCH = 1 << 22  # numbers that a batch of resamples may hold: 32 MiB

Counts = NDArray[np.float64]
"""The count of each sentence in each resample, shape (resamples, sentences)."""
Statistic = Callable[[Counts], NDArray[np.float64]]
"""A score of each resample, shape (resamples,); NaN where it has none."""
Interval = tuple[float, float]
Place = tuple[str, str]
"""A split and a subset."""


@dataclass(frozen=True)
class ScoreStatistic:
    """A main score, 0 to 1, as a statistic of sentences (pairs, queries); mteb rounds it to `digits`."""

    statistic: Statistic
    sentences: int
    digits: int | None = None

    def score(self) -> float:
        """Return the main score of the sentences as they are."""
        value = float(self.statistic(np.ones((1, self.sentences)))[0])
        return value if self.digits is None else round(value, self.digits)


def resample(statistic: Statistic, sentences: int, *, seed: Sequence[Any]) -> NDArray[np.float32] | None:
    """Return a statistic on 1,000 resamples of the sentences; None where some resample has no value.

    The same seed and number of sentences give the same resamples, so that the difference of two models' replicates is
    that of a paired bootstrap. `seed` is anything that can be written as JSON.
    """
    from scipy import stats

    if sentences < 2:
        return None

    def of_rows(rows: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        return statistic(_count(rows, sentences))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # NaN, which is looked for below
        result = stats.bootstrap(
            (np.arange(sentences),), of_rows, n_resamples=REPLICATES, vectorized=True, method="percentile",
            batch=max(1, min(REPLICATES, _BATCH // sentences)),
            rng=np.random.default_rng(int(hash_json(list(seed)), 16)),
        )  # fmt: skip
    values = result.bootstrap_distribution
    return values.astype(np.float32) if np.isfinite(values).all() else None


def interval(replicates: ArrayLike) -> Interval:
    """Return the 95 % percentile interval."""
    low, high = np.percentile(np.asarray(replicates, dtype=np.float64), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _count(rows: NDArray[np.int64], sentences: int) -> Counts:
    """Return the count of each sentence in each resample; `rows` are sentence numbers, (resamples, any)."""
    resamples = len(rows)
    places = rows + sentences * np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resamples * sentences)
    return counts.reshape(resamples, sentences).astype(np.float64)


# --- statistics ---------------------------------------------------------------------------------


def mean_of(values: ArrayLike) -> Statistic:
    """Return the mean of a value of each sentence."""
    per_sentence = np.asarray(values, dtype=np.float64)
    return lambda counts: counts @ per_sentence / counts.sum(axis=1)


def spearman(first: ArrayLike, second: ArrayLike) -> Statistic:
    """Return Spearman's rank correlation of two values of each sentence; equal values share their mean rank."""
    ranks = [_ranks(np.asarray(values)) for values in (first, second)]

    def statistic(counts: Counts) -> NDArray[np.float64]:
        middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
        left, right = (rank(counts) - middle for rank in ranks)
        spread = np.einsum("rs,rs,rs->r", counts, left, left) * np.einsum("rs,rs,rs->r", counts, right, right)
        with np.errstate(invalid="ignore"):  # all values equal: 0 / 0
            return np.asarray(np.einsum("rs,rs,rs->r", counts, left, right) / np.sqrt(spread))

    return statistic


def macro_f1(gold: ArrayLike, predicted: ArrayLike) -> Statistic:
    """Return F1, the mean over the classes that occur in a resample, as scikit-learn computes it.

    `predicted` holds a row of classes for each experiment, (experiments, sentences); their mean is taken.
    """
    truth, guesses = np.asarray(gold), np.atleast_2d(np.asarray(predicted))
    names, codes = np.unique(np.concatenate([truth[None], guesses]), return_inverse=True)
    gold_members, *guessed_members = (_members(row, len(names)) for row in codes.reshape(1 + len(guesses), -1))
    hits = [truth == row for row in guesses]

    def statistic(counts: Counts) -> NDArray[np.float64]:
        true = counts @ gold_members
        scores = []
        for members, right in zip(guessed_members, hits, strict=True):
            sizes = true + counts @ members
            per_class = np.divide(
                2 * ((counts * right) @ gold_members), sizes, out=np.zeros_like(sizes), where=sizes > 0
            )
            scores.append(per_class.sum(axis=1) / (sizes > 0).sum(axis=1))
        return np.asarray(np.mean(scores, axis=0))

    return statistic


def average_precision(gold: ArrayLike, values: ArrayLike) -> Statistic:
    """Return the average precision of values for gold labels 0 and 1; NaN without a 1 among them."""
    scores, labels = np.asarray(values), np.asarray(gold, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # equal values share a threshold

    def statistic(counts: Counts) -> NDArray[np.float64]:
        ordered = counts[:, order]
        taken = ordered.cumsum(axis=1)[:, ends]
        right = (ordered * labels[order]).cumsum(axis=1)[:, ends]
        precision = np.divide(right, taken, out=np.zeros_like(right), where=taken > 0)
        with np.errstate(invalid="ignore"):
            return np.asarray((np.diff(right, axis=1, prepend=0) * precision).sum(axis=1) / right[:, -1])

    return statistic


def best_of(statistics: Sequence[Statistic]) -> Statistic:
    """Return the highest of several statistics, in each resample anew."""
    return lambda counts: np.asarray(np.max([statistic(counts) for statistic in statistics], axis=0))


def _ranks(values: NDArray[Any]) -> Callable[[Counts], NDArray[np.float64]]:
    """Return what gives each sentence's rank in each resample, (resamples, sentences), 1 being the lowest."""
    order = np.argsort(values, kind="stable")
    _, starts, places = np.unique(values[order], return_index=True, return_inverse=True)
    place = np.empty_like(places)
    place[order] = places

    def rank(counts: Counts) -> NDArray[np.float64]:
        equal = np.add.reduceat(counts[:, order], starts, axis=1)
        middle = equal.cumsum(axis=1) - (equal - 1) / 2
        return np.asarray(middle[:, place])

    return rank


def _members(codes: NDArray[np.int64], classes: int) -> csr_array:
    """Return a 1 where a sentence is of a class, shape (sentences, classes)."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), classes))

"""Replicates of statistics, against scipy and scikit-learn on the same resamples, and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score

from babelpress.evaluation.intervals.bootstrap import (
    ScoreStatistic,
    average_precision,
    best_of,
    interval,
    macro_f1,
    mean_of,
    resample,
    spearman,
)
from babelpress.utils.files import hash_json

SEED = ("a task", "test")
DRAW = np.random.default_rng(5)
GOLD = np.round(DRAW.uniform(0, 5, 40) * 2) / 2  # with equal values
NEAR = (GOLD + DRAW.normal(0, 2, 40)).round(1).astype(np.float32)
LABELS = DRAW.integers(0, 4, 40)
GUESSES = np.where(DRAW.random((3, 40)) < 0.6, LABELS, DRAW.integers(0, 5, (3, 40)))


def same_resamples(sentences: int, count: int = 1000) -> np.ndarray:
    """The rows that scipy draws for this seed, (resamples, sentences), drawn here again."""
    rng = np.random.default_rng(int(hash_json(list(SEED)), 16))
    return rng.integers(0, sentences, (count, sentences))


# --- the bootstrap ------------------------------------------------------------------------------


def test_replicates_and_interval_are_those_of_scipys_paired_bootstrap():
    truth = stats.bootstrap(
        (NEAR, GOLD), lambda one, other: stats.spearmanr(one, other).statistic, paired=True, n_resamples=1000,
        vectorized=False, method="percentile", rng=np.random.default_rng(int(hash_json(list(SEED)), 16)),
    )  # fmt: skip
    found = resample(spearman(NEAR, GOLD), len(GOLD), seed=SEED)
    assert np.allclose(found, truth.bootstrap_distribution, atol=1e-6)
    assert interval(found) == pytest.approx(tuple(truth.confidence_interval), abs=1e-4)


def test_an_interval_of_hits_is_that_of_the_binomial_distribution():
    """60 of 100: the bootstrap of a share is binomial, and its 95 % bounds are 50 and 69 or 70 of 100."""
    low, high = interval(100 * resample(mean_of([1.0] * 60 + [0.0] * 40), 100, seed=SEED))
    exact = stats.binom(100, 0.6).ppf([0.025, 0.975])
    assert (low, high) == pytest.approx(tuple(exact), abs=1.01)


def test_the_same_seed_gives_two_models_the_same_resamples():
    values = DRAW.normal(size=30)
    one, other = (resample(mean_of(own), 30, seed=SEED) for own in (values, values + 7))
    assert np.allclose(other - one, 7, atol=1e-5)


def test_another_task_or_split_gives_other_resamples():
    values = DRAW.normal(size=30)
    found = [resample(mean_of(values), 30, seed=seed) for seed in (SEED, ("a task", "dev"), ("another", "test"))]
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_the_paired_difference_of_like_models_is_narrower_than_an_unpaired_one():
    hard = DRAW.random(200)  # of both models: what one finds, the other mostly finds
    one, other = (mean_of(DRAW.random(200) < 0.2 + 0.8 * (hard > 0.5)) for _ in range(2))
    paired = resample(one, 200, seed=SEED) - resample(other, 200, seed=SEED)
    unpaired = resample(one, 200, seed=SEED) - resample(other, 200, seed=("another", "test"))
    assert np.ptp(interval(paired)) < 0.8 * np.ptp(interval(unpaired))


def test_resamples_do_not_hang_on_how_many_are_in_the_memory_at_a_time(monkeypatch):
    values = np.arange(50.0)
    at_once = resample(mean_of(values), 50, seed=SEED)
    monkeypatch.setattr("babelpress.evaluation.intervals.bootstrap._BATCH", 50 * 7)
    assert np.array_equal(resample(mean_of(values), 50, seed=SEED), at_once)


def test_there_are_1000_replicates_in_float32():
    found = resample(mean_of([1.0, 2.0, 4.0]), 3, seed=SEED)
    assert (found.shape, found.dtype) == ((1000,), np.float32)


@pytest.mark.parametrize("statistic", [spearman([1, 1, 1], [1, 2, 3]), average_precision([0, 0, 0], [1, 2, 3])])
def test_a_score_that_resamples_do_not_have_gives_no_replicates(statistic):
    assert resample(statistic, 3, seed=SEED) is None


def test_one_sentence_cannot_be_resampled():
    assert resample(mean_of([1.0]), 1, seed=SEED) is None


def test_the_interval_is_between_the_percentiles():
    # 0, 1, ..., 1000: 2.5 % of the way is 25
    assert interval(np.arange(1001)) == (25.0, 975.0)


# --- statistics ---------------------------------------------------------------------------------

BY_HAND = {
    "mean": (mean_of(NEAR), lambda rows: NEAR[rows].mean()),
    "spearman": (spearman(NEAR, GOLD), lambda rows: stats.spearmanr(NEAR[rows], GOLD[rows]).statistic),
    "macro f1": (
        macro_f1(LABELS, GUESSES),
        lambda rows: np.mean([f1_score(LABELS[rows], own[rows], average="macro") for own in GUESSES]),
    ),
    "average precision": (
        average_precision(LABELS == 1, NEAR),
        lambda rows: average_precision_score(LABELS[rows] == 1, NEAR[rows]),
    ),
    "best of two": (
        best_of([average_precision(LABELS == 1, NEAR), average_precision(LABELS == 1, -NEAR)]),
        lambda rows: max(average_precision_score(LABELS[rows] == 1, sign * NEAR[rows]) for sign in (1, -1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_a_statistic_of_the_sentences_as_they_are_is_the_librarys(name):
    statistic, library = BY_HAND[name]
    assert ScoreStatistic(statistic, 40).score() == pytest.approx(library(np.arange(40)), abs=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_statistic_of_every_resample_is_the_librarys(name):
    statistic, library = BY_HAND[name]
    found = resample(statistic, 40, seed=SEED)
    assert found == pytest.approx([library(rows) for rows in same_resamples(40)], abs=1e-6)


def test_classes_may_be_words():
    gold = np.array(["yes", "no", "yes"])
    assert ScoreStatistic(macro_f1(gold, [["yes", "no", "no"]]), 3).score() == pytest.approx(
        2 / 3
    )  # 2/3 for each class

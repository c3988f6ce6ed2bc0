"""Measures of parallel sentences: whether languages share one space, and whether translations meet in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.intrinsic import normalised
from babelpress.schema.results import Parallel

_TIE = 1e-6  # cosines of fp32 embeddings that are nearer than this are equal
_FOLDS = 5

Rows = NDArray[np.float64]


def measure_parallel(vectors: Mapping[str, NDArray[np.floating]], *, seed: int = 0) -> Parallel:
    """Measure language → embeddings, each (sentences, dimensions), row i of all the same meaning.

    Raises EvaluationError for fewer than 2 languages or 3 sentences, for differing shapes, and for embeddings that
    are not finite.
    """
    _check(vectors)
    rows = {language: normalised(np.asarray(values)) for language, values in vectors.items()}
    ranked = [ranks_of_translations(rows[query], rows[other]) for query, other in permutations(rows, 2)]
    ranks, hits = (np.concatenate(parts) for parts in zip(*ranked, strict=True))
    return Parallel(
        languages=len(rows),
        sentences=len(next(iter(rows.values()))),
        accuracy=float(hits.mean()),
        mean_rank=float(ranks.mean()),
        language_probe=probe_languages(rows, seed=seed),
        language_chance=1 / len(rows),
        alignment=alignment(rows),
        uniformity=uniformity(rows),
    )


def ranks_of_translations(queries: Rows, others: Rows) -> tuple[Rows, Rows]:
    """Return, for each query, its translation's rank among all others by cosine, and its share of rank 1.

    Both inputs are (sentences, dimensions) of unit rows. Ties with the translation count half a rank, and share
    rank 1: a collapsed model has the rank and the accuracy of guessing.
    """
    scores = queries @ others.T
    lead = scores - scores.diagonal()[:, None]
    nearer = (lead > _TIE).sum(axis=1)
    equal = (np.abs(lead) <= _TIE).sum(axis=1)  # itself among them
    return 1 + nearer + (equal - 1) / 2, np.where(nearer == 0, 1 / equal, 0.0)


def probe_languages(rows: Mapping[str, Rows], *, seed: int = 0) -> float:
    """Return the accuracy of a linear probe for the language, on meanings that it was not trained on.

    Logistic regression on standardised dimensions; cross-validation in five folds (fewer for fewer meanings) of whole
    meanings, so that no translation of a tested sentence is learned from.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sentences = len(next(iter(rows.values())))
    meanings = np.tile(np.arange(sentences), len(rows))
    languages = np.repeat(np.arange(len(rows)), sentences)
    folds = GroupKFold(min(_FOLDS, sentences), shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    accuracies = cross_val_score(classifier, np.concatenate(list(rows.values())), languages, groups=meanings, cv=folds)
    return float(accuracies.mean())


def alignment(rows: Mapping[str, Rows]) -> float:
    """Return the mean squared distance of translations, over all pairs of languages (alpha = 2)."""
    gaps = [((first - second) ** 2).sum(axis=1).mean() for first, second in combinations(rows.values(), 2)]
    return float(np.mean(gaps))


def uniformity(rows: Mapping[str, Rows]) -> float:
    """Return the logarithm of the mean of exp(-2 * squared distance) (t = 2), over pairs of different meanings.

    Translations are no pairs here: the measure is of sentences drawn independently, which never mean the same.
    """
    means = []
    for first, second in product(rows.values(), repeat=2):
        weights = np.exp(-2 * np.maximum(2 - 2 * first @ second.T, 0))
        means.append(weights[~np.eye(len(weights), dtype=bool)].mean())
    return math.log(float(np.mean(means)))


def _check(vectors: Mapping[str, NDArray[np.floating]]) -> None:
    shapes = {values.shape for values in vectors.values()}
    if len(shapes) > 1:
        shown = ", ".join(f"{language} {values.shape}" for language, values in vectors.items())
        raise EvaluationError(f"parallel sentences must have one shape in all languages; there are {shown}")
    sentences = next(iter(shapes))[0] if shapes else 0
    if len(vectors) < 2 or sentences < 3:
        raise EvaluationError(
            f"{sentences} parallel sentences in {len(vectors)} languages; at least 3 in 2 languages are needed"
        )
    for language, values in vectors.items():
        if not np.isfinite(values).all():
            raise EvaluationError(f"the embeddings of {language} are not all finite numbers")

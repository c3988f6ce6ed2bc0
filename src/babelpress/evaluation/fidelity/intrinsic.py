"""Measures that need no labels: fidelity, retrieval of translations, rank correlation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Fidelity:
    """Cosine of a model's embeddings to the teacher's, over held-out sentences."""

    mean: float
    p5: float
    sentences: int


def fidelity(model: Embeddings, teacher: Embeddings) -> Fidelity:
    """Compare embeddings row by row; both (sentences, dimensions)."""
    cosines = np.einsum("sd,sd->s", normalised(model), normalised(teacher))
    return Fidelity(float(cosines.mean()), float(np.percentile(cosines, 5)), len(cosines))


def bitext_hits(embeddings: dict[str, Embeddings]) -> dict[str, NDArray[np.float64]]:
    """Return, for each pair of languages (`de-en`) and each meaning, how often the translation is the nearest sentence.

    Both directions count equally: 0, 0.5 or 1; the mean over all is the accuracy. Row i of every language has the
    same meaning.
    """
    hits = {}
    for first, second in combinations(sorted(embeddings), 2):
        scores = normalised(embeddings[first]) @ normalised(embeddings[second]).T
        truth = np.arange(len(scores))
        ways = [scores.argmax(axis=1) == truth, scores.argmax(axis=0) == truth]
        hits[f"{first}-{second}"] = np.asarray(np.mean(ways, axis=0))
    return hits


def similarity_correlation(model: Embeddings, teacher: Embeddings) -> float:
    """Return Spearman's rank correlation of all pairwise cosines with the teacher's; 0 for a collapsed model."""
    upper = np.triu_indices(len(model), k=1)
    of_model, of_teacher = ((normalised(values) @ normalised(values).T)[upper] for values in (model, teacher))
    if np.ptp(of_model) == 0 or np.ptp(of_teacher) == 0:
        return 0.0
    return float(spearmanr(of_model, of_teacher).statistic)


def normalised(values: Embeddings) -> NDArray[np.float64]:
    """Return rows of length 1 in double precision."""
    wide = np.asarray(values, dtype=np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)

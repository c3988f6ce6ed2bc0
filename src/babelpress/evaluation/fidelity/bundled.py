"""Scores on the bundled sentences: retrieval of translations, and rank correlation with the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from babelpress.corpus.bundled import held_out_meanings
from babelpress.evaluation.fidelity.intrinsic import Embeddings, bitext_hits, similarity_correlation
from babelpress.evaluation.intervals.bootstrap import ScoreStatistic, mean_of
from babelpress.evaluation.intervals.replicates import Replicates, Rows, interval_of, make_row
from babelpress.schema.results import TEACHER, Score
from babelpress.utils.progress import track

BITEXT = "bundled bitext retrieval"
SIMILARITY = "bundled similarity correlation"


def all_languages() -> tuple[str, ...]:
    """Return the languages of the bundled sentences."""
    return tuple(sorted(held_out_meanings()[0].texts))


def bundled_texts(languages: tuple[str, ...], *, sentences: int | None = None) -> dict[str, list[str]]:
    """Return the held-out bundled sentences of each language that has them, row by row the same meaning."""
    meanings = held_out_meanings()[:sentences]
    have = [code for code in languages if all(code in meaning.texts for meaning in meanings)]
    return {code: [meaning.texts[code] for meaning in meanings] for code in have}


def bundled_scores(
    encode: Mapping[str, Callable[[list[str]], Embeddings]], languages: tuple[str, ...]
) -> dict[str, tuple[dict[str, Score], Rows]]:
    """Return the scores on the bundled sentences, and retrieval's replicates."""
    texts = bundled_texts(languages)
    if not texts:
        return {name: ({}, {}) for name in encode}
    results: dict[str, tuple[dict[str, Score], Rows]] = {}
    shown = track(encode, "evaluation: bundled sentences", total=len(encode), unit="models")
    vectors = {name: {code: encode[name](lines) for code, lines in texts.items()} for name in shown}
    stacked = {name: np.concatenate(list(by_language.values())) for name, by_language in vectors.items()}
    for name in encode:
        rank = similarity_correlation(stacked[name], stacked[TEACHER])
        scores = {SIMILARITY: Score(kind="Similarity", score=round(100 * rank, 4))}
        rows: Rows = {}
        if len(texts) > 1:
            scores[BITEXT], rows = score_bitext(vectors[name])
        results[name] = scores, rows
    return results


def find_translations(
    encode: Callable[[list[str]], Embeddings], languages: tuple[str, ...]
) -> tuple[Score, Rows] | None:
    """Return one model's retrieval and its replicates; None where fewer than two languages have bundled sentences."""
    texts = bundled_texts(languages)
    if len(texts) < 2:
        return None
    return score_bitext({code: encode(lines) for code, lines in texts.items()})


def score_bitext(vectors: dict[str, NDArray[np.float32]]) -> tuple[Score, Rows]:
    """Return retrieval among the bundled sentences, and its replicates: resamples of the queried meanings.

    Its subsets are the pairs of languages, both directions together, so that scores over different languages differ
    in their subsets.
    """
    hits = bitext_hits(vectors)
    rows = {
        ("test", pair): make_row(
            ScoreStatistic(mean_of(values), len(values)), float(values.mean()), seed=(BITEXT, "test")
        )
        for pair, values in hits.items()
    }
    score = Score(
        kind="Bitext",
        score=round(100 * float(np.mean(list(hits.values()))), 4),
        subsets={pair: round(100 * float(values.mean()), 4) for pair, values in hits.items()},
        interval=interval_of(Replicates.of(rows).over(hits)),
    )
    return score, rows

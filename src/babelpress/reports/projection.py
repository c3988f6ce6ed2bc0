"""What the picture of parallel sentences shows: their texts, and embeddings in two dimensions."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.bundled import bundled_texts
from babelpress.recipe import HubSource, ParallelSource, Recipe


def parallel_texts(recipe: Recipe, *, data_dir: Path | None) -> dict[str, list[str]]:
    """Return language → sentences, row by row the same meaning. Raises EvaluationError when there are none."""
    settings = recipe.visualization
    if settings.source is None:
        texts = bundled_texts(recipe.languages, sentences=settings.sentences)
    else:
        texts = _hub_texts(settings.source, settings.sentences, data_dir=data_dir)
    if not texts or count_sentences(texts) < 3:
        raise EvaluationError(
            "there are no parallel sentences in the recipe's languages to draw; name some under visualization.source"
        )
    return texts


def count_sentences(texts: dict[str, list[str]]) -> int:
    """Return how many sentences each language has."""
    return len(next(iter(texts.values()), []))


def project(vectors: NDArray[np.float32], *, seed: int, neighbours: int, min_distance: float) -> NDArray[np.float32]:
    """Return UMAP coordinates (McInnes et al. 2018, arXiv 1802.03426) by cosine, shape (sentences, 2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap tells that a seed means one thread
        logging.getLogger("numba").setLevel(logging.ERROR)
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=min(neighbours, len(vectors) - 1),
            min_dist=min_distance,
            metric="cosine",
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(reducer.fit_transform(vectors), dtype=np.float32)


def _hub_texts(source: ParallelSource, sentences: int, *, data_dir: Path | None) -> dict[str, list[str]]:
    """Return the first sentences whose id every subset has, in the order of the first subset."""
    from babelpress.corpus.hub_sources import stream_rows

    by_language: dict[str, dict[str, str]] = {}
    for subset, language in source.subsets.items():
        hub = HubSource(
            kind="hub",
            dataset=source.dataset,
            revision=source.revision,
            split=source.split,
            columns=(source.text_column,),
        )
        rows = stream_rows(hub, subset, data_dir=data_dir)
        by_language[language] = dict(_id_and_text(row, source) for row in rows)
    first = next(iter(by_language.values()))
    shared = [key for key in first if all(key in rows for rows in by_language.values())][:sentences]
    return {language: [rows[key] for key in shared] for language, rows in by_language.items()}


def _id_and_text(row: dict[str, Any], source: ParallelSource) -> tuple[str, str]:
    for column in (source.id_column, source.text_column):
        if column not in row:
            raise EvaluationError(
                f"{source.dataset} has no column {column!r} for the picture; it has: {', '.join(row)}"
            )
    return str(row[source.id_column]), str(row[source.text_column])

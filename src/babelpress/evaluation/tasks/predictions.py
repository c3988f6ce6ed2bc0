"""A task's main score as a statistic of its sentences, from mteb's predictions, so that it can be resampled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from babelpress.evaluation.intervals.bootstrap import (
    Place,
    ScoreStatistic,
    average_precision,
    best_of,
    macro_f1,
    mean_of,
    spearman,
)

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask

# pytrec_eval's names of the measures that mteb takes from it.
_MEASURES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "hit_rate": "success"}


def allows_intervals(task: AbsTask) -> bool:
    """Tell whether the task's main score is a statistic of sentences that mteb keeps predictions of."""
    kind = _kind(task)
    return kind in _KINDS and _KINDS[kind].allows(task)


def read_statistics(task: AbsTask, predictions: Mapping[str, Any]) -> Iterator[tuple[Place, ScoreStatistic]]:
    """Yield the statistic of each split and subset in mteb's predictions file; the task's data must be loaded."""
    kind = _KINDS[_kind(task)]
    for subset, splits in predictions.items():
        if subset == "mteb_model_meta":
            continue
        for split, predicted in splits.items():
            if subset == "parallel":  # all pairs of languages, translations in one table
                for pair, neighbours in predicted.items():
                    yield (split, pair), _translations(task, neighbours)
            else:
                yield (split, subset), kind.read(task, _table(task, split, subset), predicted)


def _kind(task: AbsTask) -> str:
    """Return the name of mteb's class for this kind of task."""
    return next(base.__name__ for base in type(task).__mro__ if base.__module__.startswith("mteb.abstasks"))


def _table(task: AbsTask, split: str, subset: str) -> Any:
    data: Any = task.dataset
    return data.get(subset, data)[split]  # a task of one subset may have splits alone


# --- kinds of tasks -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """Which tasks of a kind can be resampled, and how: from a table of the task's data and mteb's predictions."""

    allows: Callable[[Any], bool]
    read: Callable[[Any, Any, Any], ScoreStatistic]


def _pairs(_: Any, table: Any, predicted: Any) -> ScoreStatistic:
    scores = predicted["cosine_scores"]
    return ScoreStatistic(spearman(scores, table["score"]), len(scores))


def _classes(task: Any, table: Any, predicted: Any) -> ScoreStatistic:
    gold, guesses = np.asarray(table[task.label_column_name]), np.asarray(predicted)
    if task.metadata.main_score == "accuracy":
        return ScoreStatistic(mean_of((guesses == gold).mean(axis=0)), len(gold))
    return ScoreStatistic(macro_f1(gold, guesses), len(gold))


def _translations(task: Any, neighbours: Any) -> ScoreStatistic:
    """Sentence i's translation is i. A class is a sentence, so that F1 is the mean of a value of each sentence."""
    nearest = np.array([row["corpus_id"] for row in neighbours])
    hits = (nearest == np.arange(len(nearest))).astype(np.float64)
    if task.metadata.main_score == "accuracy":
        return ScoreStatistic(mean_of(hits), len(hits))
    taken = np.bincount(nearest, minlength=len(nearest))[: len(nearest)]
    return ScoreStatistic(mean_of(2 * hits / (1 + taken)), len(hits))


def _pair_classes(task: Any, table: Any, predicted: Any) -> ScoreStatistic:
    labels = (table[0] if len(table) == 1 else table)[task.label_column_name]  # older data: all pairs in one row
    measures = [
        np.asarray(predicted[name]) * sign
        for name, sign in (
            ("similarity_scores", 1), ("cosine_scores", 1), ("dot_scores", 1), ("manhattan_distances", -1),
            ("euclidean_distances", -1),
        )
    ]  # fmt: skip
    return ScoreStatistic(best_of([average_precision(labels, values) for values in measures]), len(labels))


def _queries(task: Any, table: Any, predicted: Any) -> ScoreStatistic:
    import pytrec_eval

    measure, _, cut = task.metadata.main_score.partition("_at_")
    measure = f"{_MEASURES[measure]}.{cut}"
    skip_identical = task.ignore_identical_ids
    rankings = {
        query: {name: score for name, score in documents.items() if not (skip_identical and name == query)}
        for query, documents in predicted.items()
    }
    scores = pytrec_eval.RelevanceEvaluator(table["relevant_docs"], {measure}).evaluate(rankings)
    values = [scores[query][measure.replace(".", "_")] for query in sorted(scores)]
    return ScoreStatistic(mean_of(values), len(values), digits=5)


def _ranked(task: Any) -> bool:
    known = re.fullmatch(rf"({'|'.join(_MEASURES)})_at_\d+", task.metadata.main_score)
    return bool(known) and not task.skip_first_result


_RETRIEVAL = _Kind(_ranked, _queries)
_KINDS = {
    "AbsTaskSTS": _Kind(lambda task: task.metadata.main_score == "cosine_spearman", _pairs),
    "AbsTaskClassification": _Kind(
        lambda task: task.metadata.main_score in {"accuracy", "f1"} and not task.is_cross_validation, _classes
    ),
    "AbsTaskBitextMining": _Kind(
        lambda task: task.metadata.main_score in {"accuracy", "f1"},
        lambda task, _, predicted: _translations(task, next(iter(predicted.values()))),
    ),
    "AbsTaskPairClassification": _Kind(lambda task: task.metadata.main_score == "max_ap", _pair_classes),
    "AbsTaskRetrieval": _RETRIEVAL,
    "AbsTaskReranking": _RETRIEVAL,
}

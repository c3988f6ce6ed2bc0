"""How scores are averaged, as on the reference card, for measured and published scores.

A task's score is the mean over its subsets, a group's the mean of its tasks, the overall one the mean of all tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from babelpress.schema.results import Score

BEST_SUBSETS = 5
# Kinds of scores on the bundled sentences; no mteb task has them.
BUNDLED_KINDS = frozenset({"Bitext", "Similarity"})

Groups = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TaskMean:
    """A task's score, and its best subsets where it has several."""

    task: str
    score: float
    best: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class GroupMean:
    """A group of tasks and the mean of their scores."""

    name: str
    tasks: tuple[TaskMean, ...]
    score: float


@dataclass(frozen=True)
class Means:
    """All tables of one model; `score` is the mean of all tasks, None where there are none."""

    groups: tuple[GroupMean, ...]
    score: float | None


def count_means(scores: Mapping[str, Score], groups: Groups) -> Means:
    """Average one model's scores. Tasks without a score are left out, and groups without a task."""
    counted = []
    for name, tasks in groups.items():
        rows = tuple(TaskMean(task, scores[task].score, best_subsets(scores[task])) for task in tasks if task in scores)
        if rows:
            counted.append(GroupMean(name, rows, mean(row.score for row in rows)))
    every = [row.score for group in counted for row in group.tasks]
    return Means(tuple(counted), mean(every) if every else None)


def group_by_kind(
    scores: Mapping[str, Score], *, without: Collection[str] = BUNDLED_KINDS
) -> dict[str, tuple[str, ...]]:
    """Return the tasks of each kind, in the order of the scores."""
    groups: dict[str, tuple[str, ...]] = {}
    for task, score in scores.items():
        if score.kind not in without:
            groups[score.kind] = (*groups.get(score.kind, ()), task)
    return groups


def best_subsets(score: Score, *, count: int = BEST_SUBSETS) -> tuple[tuple[str, float], ...]:
    """Return a task's best subsets, best first; nothing for a task of one subset."""
    if len(score.subsets) < 2:
        return ()
    return tuple(sorted(score.subsets.items(), key=lambda item: (-item[1], item[0]))[:count])


def score_over(score: Score, subsets: Collection[str]) -> float:
    """Return a task's score over some of its subsets: as stated for all of them, else their mean."""
    if set(subsets) == set(score.subsets):
        return score.score
    return mean(score.subsets[subset] for subset in subsets)


def kept(score: float, baseline: float) -> float | None:
    """Return the share of the baseline's score that is kept; None unless that is above 0."""
    return score / baseline if baseline > 0 else None


def mean(values: Iterable[float]) -> float:
    """Return the mean of at least one value."""
    listed = list(values)
    return sum(listed) / len(listed)

"""A model's scores as mteb wrote them, each with its data set, revision, split, subset and metric."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from babelpress.errors import EvaluationError

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Entry:
    """A task's main score, in percent, on one subset of one split.

    `dataset` is the hub's id of the task's data. `revision` is its commit, None where it is not known: for a local
    copy, and for data that mteb reads at the head of a branch.
    """

    task: str
    kind: str
    dataset: str
    subset: str
    split: str
    revision: str | None
    metric: str
    score: float


def read_entries(cache: Path, tasks: Iterable[str], *, model_id: str, weights_hash: str) -> tuple[Entry, ...]:
    """Read the result files that `run_tasks` left in `cache` for a model; nothing is fetched.

    Splits and subsets in the order of the files; a score that is no number is left out. Raises EvaluationError for a
    task whose file is gone.
    """
    import mteb
    from mteb.cache import ResultCache
    from mteb.results import TaskResult

    entries = []
    for name in tasks:
        path = ResultCache(cache).get_task_result_path(name, model_id, weights_hash)
        if not path.is_file():
            raise EvaluationError(
                f"{path} is gone, which holds the scores of {name}; remove {cache.parent} and run again"
            )
        result, metadata = TaskResult.from_disk(path), mteb.get_task(name).metadata
        revision = result.dataset_revision if _COMMIT.fullmatch(result.dataset_revision) else None
        entries += [
            Entry(
                task=name, kind=metadata.type, dataset=metadata.dataset["path"], subset=row["hf_subset"], split=split,
                revision=revision, metric=metadata.main_score, score=round(100 * row["main_score"], 4),
            )
            for split, rows in result.scores.items()
            for row in rows
            if math.isfinite(row["main_score"])
        ]  # fmt: skip
    return tuple(entries)

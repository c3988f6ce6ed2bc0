"""Replicates of scores: files next to mteb's results, averaged like scores.

A mean's replicates are the means of its parts' replicates. Subsets of a task share their resamples (rows that are
translations of each other stay together), tasks are resampled independently.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from babelpress.evaluation.intervals.bootstrap import Interval, Place, ScoreStatistic, interval, resample
from babelpress.schema.results import Score
from babelpress.utils.files import replace_file

Values = NDArray[np.float64]
"""A score in percent on each resample, shape (1,000,)."""

_AGREE = 1e-6  # a main score is 0 to 1; mteb writes six digits of it


@dataclass(frozen=True)
class Row:
    """A main score as mteb computed it, 0 to 1, and its replicates; None where they do not reproduce the score."""

    score: float
    replicates: NDArray[np.float32] | None


Rows = dict[Place, Row]


@dataclass(frozen=True, eq=False)
class Replicates:
    """A task's score in percent on 1,000 resamples, for each subset that allows it; "" where there are no subsets."""

    subsets: dict[str, Values]

    @classmethod
    def of(cls, rows: Rows) -> Replicates:
        """Take the mean over splits."""
        splits: dict[str, list[NDArray[np.float32] | None]] = {}
        for (_, subset), row in rows.items():
            splits.setdefault(subset, []).append(row.replicates)
        means = {subset: mean_values(values) for subset, values in splits.items()}
        return cls({subset: 100 * values for subset, values in means.items() if values is not None})

    def over(self, subsets: Collection[str]) -> Values | None:
        """Return the replicates of the mean over subsets, None where one of them has none."""
        return mean_values([self.subsets.get(subset) for subset in subsets or ("",)])


def make_row(statistic: ScoreStatistic, score: float, *, seed: tuple[Any, ...]) -> Row:
    """Resample a main score; without replicates where the predictions do not reproduce mteb's score.

    `seed` names the task and the split, and not the subset: where subsets are translations of the same sentences, a
    resample must be of the same sentences in all of them. Where they are not, it makes no difference.
    """
    if not abs(statistic.score() - score) <= _AGREE:
        return Row(score, None)
    return Row(score, resample(statistic.statistic, statistic.sentences, seed=(*seed, statistic.sentences)))


def agree(first: float, second: float) -> bool:
    """Tell whether two main scores, 0 to 1, are the same to what mteb writes of them."""
    return abs(first - second) <= _AGREE or (math.isnan(first) and math.isnan(second))


def mean_values(parts: Iterable[NDArray[Any] | None]) -> Values | None:
    """Return the replicates of a mean; None where a part has none, or where there are no parts."""
    listed = list(parts)
    known = [np.asarray(values, dtype=np.float64) for values in listed if values is not None]
    return np.mean(known, axis=0) if listed and len(known) == len(listed) else None


def interval_of(values: Values | None) -> Interval | None:
    """Return the 95 % interval of replicates."""
    return None if values is None else interval(values)


def paired_difference(values: Values | None, baseline: Values | None) -> Interval | None:
    """Return the 95 % interval of the difference of two models' scores on the same resamples."""
    return None if values is None or baseline is None else interval(values - baseline)


def paired_share(values: Values | None, baseline: Values | None) -> Interval | None:
    """Return the 95 % interval of the ratio to the baseline; None also where the baseline may be 0."""
    return None if values is None or baseline is None or baseline.min() <= 0 else interval(values / baseline)


# --- files --------------------------------------------------------------------------------------


def rows_path(cache: Path, *, model_id: str, weights_hash: str, task: str) -> Path:
    """Return the file of a task's replicates, laid out as mteb lays out its results."""
    return _folder(cache, model_id) / weights_hash / _file_name(task)


def read_rows(path: Path) -> Rows:
    """Read what `write_rows` wrote; nothing for a missing or damaged file."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            scores: dict[str, float] = json.loads(file.metadata()["main_scores"])
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return {}
    return {_place(name): Row(score, kept.get(name)) for name, score in scores.items()}


def write_rows(path: Path, rows: Rows) -> None:
    """Write a task's replicates (float32) and the main scores that they are of, atomically."""
    tensors = {_name(place): row.replicates for place, row in rows.items() if row.replicates is not None}
    scores = json.dumps({_name(place): row.score for place, row in rows.items()})
    replace_file(path, lambda file: save_file(tensors, str(file), metadata={"main_scores": scores}))


def find_replicates(cache: Path, model_id: str, scores: Mapping[str, Score]) -> dict[str, Replicates]:
    """Return a model's replicates in a cache, for those of its scores that they reproduce."""
    by_task = {}
    for task, score in scores.items():
        for path in sorted(_folder(cache, model_id).glob(f"*/{_file_name(task)}")):
            rows = read_rows(path)
            if rows and _are_of(rows, score):
                by_task[task] = Replicates.of(rows)
    return by_task


def _are_of(rows: Rows, score: Score) -> bool:
    """Return whether replicates belong to these scores, which are in percent and rounded."""
    splits: dict[str, list[float]] = {}
    for (_, subset), row in rows.items():
        splits.setdefault(subset, []).append(100 * row.score)
    said = score.subsets or {"": score.score}
    return said.keys() == splits.keys() and all(
        math.isclose(sum(values) / len(values), said[subset], abs_tol=1e-3) for subset, values in splits.items()
    )


def _folder(cache: Path, model_id: str) -> Path:
    return cache / "bootstrap" / model_id.replace("/", "__").replace(" ", "_")


def _file_name(task: str) -> str:
    return f"{task.replace(' ', '_')}.safetensors"


def _name(place: Place) -> str:
    return "/".join(place)


def _place(name: str) -> Place:
    split, _, subset = name.partition("/")
    return split, subset

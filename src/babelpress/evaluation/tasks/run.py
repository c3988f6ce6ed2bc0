"""One task for one model: scored by mteb, subset by subset, with replicates of the score, or taken from the cache."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from babelpress.evaluation.intervals.bootstrap import Place
from babelpress.evaluation.intervals.replicates import (
    Replicates,
    Row,
    Rows,
    agree,
    interval_of,
    make_row,
    read_rows,
    write_rows,
)
from babelpress.evaluation.tasks.predictions import allows_intervals, read_statistics
from babelpress.schema.results import Score

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask
    from mteb.cache import ResultCache
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
    from mteb.results import TaskResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskScore:
    """A task's main score in percent: the mean over its subsets, and each of them; not `ran`: taken from the cache."""

    task: str
    kind: str
    score: float
    subsets: dict[str, float]
    replicates: Replicates = field(default=Replicates({}), compare=False)
    ran: bool = field(default=True, compare=False)

    def as_score(self) -> Score:
        """Return the score with its interval, as results.json holds it."""
        interval = interval_of(self.replicates.over(self.subsets))
        return Score(kind=self.kind, score=self.score, subsets=self.subsets, interval=interval)


def score_task(
    encoder: SentenceTransformerEncoderWrapper, task: AbsTask, *, cache: Path, replicates: Path, batch_size: int
) -> TaskScore:
    """Score a model on a task, or take what `cache` keeps; `replicates` is the file of its replicates there."""
    from mteb.cache import ResultCache

    job = _Job(encoder, task, ResultCache(cache), batch_size)
    known = job.known()
    rows: Rows = {}
    if allows_intervals(task):
        scores = _main_scores(known) if known is not None else {}
        rows = {place: row for place, row in read_rows(replicates).items() if _is_of(row, scores.get(place))}
        known = job.forget_others(known, rows)
    if known is not None and not known.get_missing_evaluations(task):
        return job.score(known, rows, ran=False)
    scored = job.evaluate_and_resample(rows, replicates) if allows_intervals(task) else job.evaluate()
    kept = job.known()  # rounded, as a later run will find it
    return job.score(scored if kept is None else kept, rows, ran=True)


@dataclass(frozen=True)
class _Job:
    """A model and a task."""

    encoder: SentenceTransformerEncoderWrapper
    task: AbsTask
    cache: ResultCache
    batch_size: int

    def known(self) -> TaskResult | None:
        """Return the task's cached result; a half-written file of a killed process is removed."""
        name, meta = self.task.metadata.name, self.encoder.mteb_model_meta
        try:
            return self.cache.load_task_result(name, meta)
        except ValueError:
            self.cache.get_task_result_path(name, meta).unlink()
            return None

    def forget_others(self, known: TaskResult | None, rows: Rows) -> TaskResult | None:
        """Drop cached scores without replicates (of a killed process or an older version), to score them again."""
        if known is None or _main_scores(known).keys() == rows.keys():
            return known
        name, meta = self.task.metadata.name, self.encoder.mteb_model_meta
        if not rows:
            self.cache.get_task_result_path(name, meta).unlink()
            return None
        fewer = {
            split: [row for row in rows_of if (split, row["hf_subset"]) in rows]
            for split, rows_of in known.scores.items()
        }
        left = known.model_copy(update={"scores": {split: rows_of for split, rows_of in fewer.items() if rows_of}})
        self.cache.save_to_cache(left, meta)
        return left

    def evaluate(self, **more: Any) -> TaskResult:
        """Let mteb score what the cache lacks."""
        import mteb

        results = mteb.evaluate(
            self.encoder, [self.task], cache=self.cache, encode_kwargs={"batch_size": self.batch_size},
            show_progress_bar=False, **more,
        )  # fmt: skip
        return results.task_results[0]

    def evaluate_and_resample(self, rows: Rows, path: Path) -> TaskResult:
        """Score what the cache lacks of the task, and add its replicates to `rows` and their file.

        Subset by subset, as mteb does it, so that the disk holds the predictions of one subset at a time, and a killed
        process loses at most one.
        """
        from mteb.abstasks import AbsTaskBitextMining

        task, subsets = self.task, list(self.task.hf_subsets)
        task.load_data()  # once, and not again for every subset
        together = isinstance(task, AbsTaskBitextMining)
        for part in [subsets] if together else [[subset] for subset in subsets]:
            task.hf_subsets = part
            with TemporaryDirectory(prefix="babelpress-") as folder:
                result = self.evaluate(prediction_folder=folder)
                rows |= _new_rows(task, result, Path(folder) / task.prediction_file_name, rows)
            write_rows(path, rows)
        task.hf_subsets = subsets
        task.unload_data()
        return result

    def score(self, result: TaskResult, rows: Rows, *, ran: bool) -> TaskScore:
        """Return a result in percent."""
        subsets: dict[str, list[float]] = {}
        for (_, subset), score in _main_scores(result).items():
            subsets.setdefault(subset, []).append(100 * score)
        means = {subset: round(sum(values) / len(values), 4) for subset, values in sorted(subsets.items())}
        return TaskScore(
            self.task.metadata.name, self.task.metadata.type, round(float(100 * result.get_score()), 4), means,
            Replicates.of(rows), ran,
        )  # fmt: skip


def _main_scores(result: TaskResult) -> dict[Place, float]:
    """Return the main scores, 0 to 1, of a result's splits and subsets."""
    return {(split, row["hf_subset"]): row["main_score"] for split, rows in result.scores.items() for row in rows}


def _is_of(row: Row, score: float | None) -> bool:
    return score is not None and agree(row.score, score)


def _new_rows(task: AbsTask, result: TaskResult, predictions: Path, known: Rows) -> Rows:
    """Resample what mteb's predictions file holds: what it scored just now, of a result that may hold more."""
    scores = _main_scores(result)
    rows = {place: Row(score, None) for place, score in scores.items() if place not in known}
    try:
        predicted = json.loads(predictions.read_text(encoding="utf-8")) if predictions.is_file() else {}
        for place, statistic in read_statistics(task, predicted):
            rows[place] = make_row(statistic, scores[place], seed=(task.metadata.name, place[0]))
    except (LookupError, TypeError, ValueError) as error:
        logger.warning("%s: no interval: mteb's predictions have an unknown layout (%r)", task.metadata.name, error)
    return rows

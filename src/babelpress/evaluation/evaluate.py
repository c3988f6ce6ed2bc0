"""Score teacher, pruned and distilled student in one run, on the same texts with the same prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from babelpress.architectures.encoders import encode_texts, load_encoder
from babelpress.evaluation.fidelity.bundled import BITEXT, SIMILARITY, bundled_scores
from babelpress.evaluation.fidelity.measures import measure_models
from babelpress.evaluation.fidelity.shares import evenly
from babelpress.evaluation.intervals.replicates import (
    Replicates,
    Values,
    interval_of,
    mean_values,
    paired_share,
    write_rows,
)
from babelpress.evaluation.model_folders import model_facts
from babelpress.evaluation.speed.measure import measure_speed
from babelpress.evaluation.tasks.missing import write_missing
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, score_models
from babelpress.recipe import EvaluationSection
from babelpress.schema.results import TEACHER, ModelResult, Score, Speed
from babelpress.utils.tensors import open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class RunModel:
    """A model of a run: its folder, and the name that its results have in mteb's cache."""

    folder: Path
    model_id: str


def evaluate_models(
    models: dict[str, RunModel],
    *,
    settings: EvaluationSection,
    held_out: Mapping[str, list[str]],
    languages: tuple[str, ...],
    data_dir: Path | None,
    cache: Path,
    trust_remote_code: bool = False,
) -> dict[str, ModelResult]:
    """Measure the models of a run; "teacher" must be one of them, the others are compared with it.

    `held_out` are texts by language that no model was trained on. `cache` keeps mteb's results, the replicates of
    scores and, where the settings allow tasks to fail, the failed ones (`read_missing`).
    """
    encoders = {name: load_encoder(model.folder, trust_remote_code=trust_remote_code) for name, model in models.items()}
    flat = [text for texts in held_out.values() for text in texts]
    measures = measure_models(encoders, held_out, sample=len(flat), batch_size=settings.batch_size)
    timed = evenly(flat, settings.speed_sentences)
    speed = _speeds(models, timed, trust_remote_code=trust_remote_code)
    scores, replicates = _all_scores(encoders, models, settings, languages=languages, data_dir=data_dir, cache=cache)
    averages = {name: average(by_task) for name, by_task in scores.items()}
    resampled = {name: average_values(by_task, replicates[name]) for name, by_task in scores.items()}
    return {
        name: ModelResult(
            **model_facts(model.folder),
            fidelity_mean=measures[name].overall.cosine,
            fidelity_p5=measures[name].overall.cosine_p5,
            tokens_per_sentence=_tokens_per_sentence(encoders[name], flat),
            scores=scores[name],
            average=averages[name],
            retention=averages[name] / averages[TEACHER] if averages[TEACHER] else 0.0,
            measures=measures[name],
            speed=speed.get(name),
            average_interval=interval_of(resampled[name]),
            retention_interval=None if name == TEACHER else paired_share(resampled[name], resampled[TEACHER]),
        )
        for name, model in models.items()
    }


def _all_scores(
    encoders: dict[str, SentenceTransformer],
    models: dict[str, RunModel],
    settings: EvaluationSection,
    *,
    languages: tuple[str, ...],
    data_dir: Path | None,
    cache: Path,
) -> tuple[dict[str, dict[str, Score]], dict[str, dict[str, Replicates]]]:
    """Return each model's scores, on the bundled sentences and on tasks, and the replicates of each."""
    subjects = {
        name: Subject(encoders[name], model.model_id, open_checkpoint(model.folder).content_hash())
        for name, model in models.items()
    }
    scores: dict[str, dict[str, Score]] = {name: {} for name in models}
    replicates: dict[str, dict[str, Replicates]] = {name: {} for name in models}
    if settings.bundled:
        encode = {
            name: partial(encode_texts, encoder, batch_size=settings.batch_size) for name, encoder in encoders.items()
        }
        for name, (bundled, rows) in bundled_scores(encode, languages).items():
            scores[name] |= bundled
            replicates[name][BITEXT] = Replicates.of(rows)
            if rows:
                write_rows(subjects[name].rows_path(cache, BITEXT), rows)
    by_model, missing = score_models(
        subjects, settings.chosen_tasks(),
        ScoringSettings(cache, settings.chosen_languages(), data_dir, settings.prompts, settings.batch_size),
        allow_missing=settings.allow_missing,
    )  # fmt: skip
    write_missing(cache, missing)
    for name, tasks in by_model.items():
        scores[name] |= {task: result.as_score() for task, result in tasks.items()}
        replicates[name] |= {task: result.replicates for task, result in tasks.items()}
    return scores, replicates


def average(scores: dict[str, Score]) -> float:
    """Return the mean score, without the correlation with the teacher, which is 100 for the teacher by definition."""
    counted = [score.score for name, score in scores.items() if name != SIMILARITY]
    return float(np.mean(counted)) if counted else 0.0


def average_values(scores: dict[str, Score], replicates: dict[str, Replicates]) -> Values | None:
    """Return the replicates of the mean score; None where one of its scores has none."""
    nothing = Replicates({})
    return mean_values(
        replicates.get(name, nothing).over(score.subsets) for name, score in scores.items() if name != SIMILARITY
    )


def _speeds(models: dict[str, RunModel], texts: list[str], *, trust_remote_code: bool) -> dict[str, Speed]:
    if not texts:
        return {}
    folders = {name: model.folder for name, model in models.items()}
    return measure_speed(folders, texts, trust_remote_code=trust_remote_code)


def _tokens_per_sentence(model: SentenceTransformer, texts: list[str]) -> float:
    ids = model.tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"]
    return float(np.mean([len(numbers) for numbers in ids]))

"""Score teacher, pruned and distilled student in one run, on the same texts with the same prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babelpress.architectures import find_family
from babelpress.architectures.bert import FAMILY as BERT
from babelpress.architectures.encoders import encode_texts, load_encoder
from babelpress.evaluation.fidelity.embedded import BITEXT, SIMILARITY, embedded_scores
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
from babelpress.evaluation.speed.measure import measure_speed
from babelpress.evaluation.tasks.missing import write_missing
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, score_models
from babelpress.recipe import EvaluationSection
from babelpress.schema.model_files import model_bytes
from babelpress.schema.results import STUDENT, TEACHER, ModelResult, Score, Speed
from babelpress.utils.files import read_json
from babelpress.utils.tensors import open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Candidate:
    """A model to be measured: its folder and the name that its results are kept under."""

    folder: Path
    model_id: str


def model_id(recipe: str, name: str) -> str:
    """Return what a run's model is called where its results are kept."""
    return f"babelpress/{recipe}" if name == STUDENT else f"babelpress/{recipe}-{name}"


def evaluate_models(
    candidates: dict[str, Candidate],
    *,
    settings: EvaluationSection,
    held_out: Mapping[str, list[str]],
    languages: tuple[str, ...],
    data_dir: Path | None,
    cache: Path,
    trust_remote_code: bool = False,
) -> dict[str, ModelResult]:
    """Measure models; `candidates` must hold "teacher", which the others are compared with.

    `held_out` are texts by language that no model was trained on. mteb results are kept in `cache`, with the
    replicates of scores and, where the settings allow tasks to fail, with those that did (`read_missing`).
    """
    models = {name: load_encoder(c.folder, trust_remote_code=trust_remote_code) for name, c in candidates.items()}
    flat = [text for texts in held_out.values() for text in texts]
    measures = measure_models(models, held_out, sample=len(flat), batch_size=settings.batch_size)
    timed = evenly(flat, settings.speed_sentences)
    speed = _speeds(candidates, timed, trust_remote_code=trust_remote_code)
    scores, replicates = _all_scores(models, candidates, settings, languages=languages, data_dir=data_dir, cache=cache)
    averages = {name: average(own) for name, own in scores.items()}
    resampled = {name: average_values(own, replicates[name]) for name, own in scores.items()}
    return {
        name: ModelResult(
            **model_facts(candidate.folder),
            fidelity_mean=measures[name].overall.cosine,
            fidelity_p5=measures[name].overall.cosine_p5,
            tokens_per_sentence=_tokens_per_sentence(models[name], flat),
            scores=scores[name],
            average=averages[name],
            retention=averages[name] / averages[TEACHER] if averages[TEACHER] else 0.0,
            measures=measures[name],
            speed=speed.get(name),
            average_interval=interval_of(resampled[name]),
            retention_interval=None if name == TEACHER else paired_share(resampled[name], resampled[TEACHER]),
        )
        for name, candidate in candidates.items()
    }


def _all_scores(
    models: dict[str, SentenceTransformer],
    candidates: dict[str, Candidate],
    settings: EvaluationSection,
    *,
    languages: tuple[str, ...],
    data_dir: Path | None,
    cache: Path,
) -> tuple[dict[str, dict[str, Score]], dict[str, dict[str, Replicates]]]:
    """Return each model's scores, on the embedded sentences and on tasks, and the replicates of each."""
    subjects = {
        name: Subject(models[name], candidate.model_id, open_checkpoint(candidate.folder).content_hash())
        for name, candidate in candidates.items()
    }
    scores: dict[str, dict[str, Score]] = {name: {} for name in models}
    replicates: dict[str, dict[str, Replicates]] = {name: {} for name in models}
    if settings.bundled:
        encode = {name: partial(encode_texts, model, batch_size=settings.batch_size) for name, model in models.items()}
        for name, (bundled, rows) in embedded_scores(encode, languages).items():
            scores[name] |= bundled
            replicates[name][BITEXT] = Replicates.of(rows)
            if rows:
                write_rows(subjects[name].rows_path(cache, BITEXT), rows)
    found, missing = score_models(
        subjects, settings.chosen_tasks(),
        ScoringSettings(cache, settings.chosen_languages(), data_dir, settings.prompts, settings.batch_size),
        allow_missing=settings.allow_missing,
    )  # fmt: skip
    write_missing(cache, missing)
    for name, tasks in found.items():
        scores[name] |= {task: one.as_score() for task, one in tasks.items()}
        replicates[name] |= {task: one.replicates for task, one in tasks.items()}
    return scores, replicates


def average(scores: dict[str, Score]) -> float:
    """Return the mean score; the correlation with the teacher is none (the teacher's own is 100 by definition)."""
    counted = [score.score for name, score in scores.items() if name != SIMILARITY]
    return float(np.mean(counted)) if counted else 0.0


def average_values(scores: dict[str, Score], replicates: dict[str, Replicates]) -> Values | None:
    """Return the replicates of the mean score, None where a score that is in it allows none."""
    nothing = Replicates({})
    return mean_values(
        replicates.get(name, nothing).over(score.subsets) for name, score in scores.items() if name != SIMILARITY
    )


def model_facts(folder: Path) -> dict[str, Any]:
    """Return what can be counted in a model folder: layers, embedding rows, parameters, bytes (of `model_files`)."""
    config = read_json(folder / "config.json")
    checkpoint = open_checkpoint(folder)
    names = [name for name in checkpoint.names() if "position_ids" not in name]
    total = sum(checkpoint.size(name) for name in names)
    family = find_family(config.get("model_type")) or BERT
    optional = [name for name in names if any(f".{part}" in f".{name}" for part in family.optional)]
    pooler = sum(map(checkpoint.size, optional))
    return {
        "layers": config[family.keys.layers],
        "dimensions": config[family.keys.hidden],
        "vocab_size": config["vocab_size"],
        "parameters": total,
        "parameters_without_pooler": total - pooler,
        "weight_bytes": checkpoint.bytes_on_disk(),
        "stored_as": checkpoint.stored_as(),
        "folder_bytes": model_bytes(folder),
    }


def _speeds(candidates: dict[str, Candidate], texts: list[str], *, trust_remote_code: bool) -> dict[str, Speed]:
    if not texts:
        return {}
    folders = {name: candidate.folder for name, candidate in candidates.items()}
    return measure_speed(folders, texts, trust_remote_code=trust_remote_code)


def _tokens_per_sentence(model: SentenceTransformer, texts: list[str]) -> float:
    ids = model.tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"]
    return float(np.mean([len(numbers) for numbers in ids]))

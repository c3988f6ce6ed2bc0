"""Score teacher, pressed and distilled student in one run, on the same texts with the same prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from babelpress.corpus.bundled import held_out_meanings
from babelpress.encoders import load_encoder
from babelpress.evaluation.intrinsic import bitext_accuracy, fidelity, similarity_correlation
from babelpress.evaluation.results import ModelResult, Score, Speed
from babelpress.evaluation.speed import measure_speed
from babelpress.evaluation.tasks import run_tasks
from babelpress.files import list_files, read_json
from babelpress.progress import track
from babelpress.recipe import EvaluationSection
from babelpress.tensors import open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEACHER = "teacher"
BITEXT = "bundled bitext retrieval"
SIMILARITY = "bundled similarity correlation"


@dataclass(frozen=True)
class Candidate:
    """A model to be measured: its folder and the name that its results are kept under."""

    folder: Path
    model_id: str


def evaluate_models(
    candidates: dict[str, Candidate],
    *,
    settings: EvaluationSection,
    held_out: list[str],
    languages: tuple[str, ...],
    data_dir: Path | None,
    cache: Path,
    trust_remote_code: bool = False,
) -> dict[str, ModelResult]:
    """Measure models; `candidates` must hold "teacher", which the others are compared with.

    `held_out` are texts that no model was trained on. mteb results are kept in `cache`.
    """
    models = {name: load_encoder(c.folder, trust_remote_code=trust_remote_code) for name, c in candidates.items()}
    encode = {name: partial(encode_texts, model, batch_size=settings.batch_size) for name, model in models.items()}
    vectors = {
        name: encode[name](held_out) for name in track(models, "evaluation: fidelity", total=len(models), unit="models")
    }
    scores: dict[str, dict[str, Score]] = {name: {} for name in models}
    if settings.bundled:
        for name, bundled in _bundled_scores(encode, languages).items():
            scores[name] |= bundled
    speed = _speeds(candidates, held_out[: settings.speed_sentences], trust_remote_code=trust_remote_code)
    for name, candidate in candidates.items():
        weights = open_checkpoint(candidate.folder).content_hash()
        found = run_tasks(
            models[name], settings.chosen_tasks(), model_id=candidate.model_id, weights_hash=weights,
            cache=cache, languages=settings.chosen_languages(), data_dir=data_dir, prompts=settings.prompts,
            batch_size=settings.batch_size,
        )  # fmt: skip
        scores[name] |= {task.task: Score(kind=task.kind, score=task.score, subsets=task.subsets) for task in found}
    near = {name: fidelity(vectors[name], vectors[TEACHER]) for name in models}
    averages = {name: average(own) for name, own in scores.items()}
    return {
        name: ModelResult(
            **model_facts(candidate.folder),
            fidelity_mean=near[name].mean,
            fidelity_p5=near[name].p5,
            tokens_per_sentence=_tokens_per_sentence(models[name], held_out),
            scores=scores[name],
            average=averages[name],
            retention=averages[name] / averages[TEACHER] if averages[TEACHER] else 0.0,
            speed=speed.get(name),
        )
        for name, candidate in candidates.items()
    }


def average(scores: dict[str, Score]) -> float:
    """Return the mean score; the correlation with the teacher is none (the teacher's own is 100 by definition)."""
    counted = [score.score for name, score in scores.items() if name != SIMILARITY]
    return float(np.mean(counted)) if counted else 0.0


def model_facts(folder: Path) -> dict[str, Any]:
    """Return what can be counted in a model folder: layers, tokens, parameters, bytes."""
    config = read_json(folder / "config.json")
    checkpoint = open_checkpoint(folder)
    names = [name for name in checkpoint.names() if "position_ids" not in name]
    total = sum(checkpoint.size(name) for name in names)
    pooler = sum(checkpoint.size(name) for name in names if ".pooler." in f".{name}")
    return {
        "layers": config["num_hidden_layers"],
        "dimensions": config["hidden_size"],
        "tokens": config["vocab_size"],
        "parameters": total,
        "parameters_without_pooler": total - pooler,
        "weight_bytes": checkpoint.bytes_on_disk(),
        "stored_as": checkpoint.stored_as(),
        "folder_bytes": sum(file.stat().st_size for file in list_files(folder)),
    }


def bundled_texts(languages: tuple[str, ...], *, sentences: int | None = None) -> dict[str, list[str]]:
    """Return the held-out embedded sentences of each language that has them, row by row the same meaning."""
    meanings = held_out_meanings()[:sentences]
    have = [code for code in languages if all(code in meaning.texts for meaning in meanings)]
    return {code: [meaning.texts[code] for meaning in meanings] for code in have}


def _bundled_scores(encode: dict[str, Any], languages: tuple[str, ...]) -> dict[str, dict[str, Score]]:
    texts = bundled_texts(languages)
    if not texts:
        return {name: {} for name in encode}
    found: dict[str, dict[str, Score]] = {}
    shown = track(encode, "evaluation: embedded sentences", total=len(encode), unit="models")
    vectors = {name: {code: encode[name](lines) for code, lines in texts.items()} for name in shown}
    stacked = {name: np.concatenate(list(own.values())) for name, own in vectors.items()}
    for name in encode:
        rank = similarity_correlation(stacked[name], stacked[TEACHER])
        found[name] = {SIMILARITY: Score(kind="Similarity", score=round(100 * rank, 4))}
        if len(texts) > 1:
            accuracy = bitext_accuracy(vectors[name])
            found[name][BITEXT] = Score(kind="Bitext", score=round(100 * accuracy, 4))
    return found


def _speeds(candidates: dict[str, Candidate], texts: list[str], *, trust_remote_code: bool) -> dict[str, Speed]:
    if not texts:
        return {}
    folders = {name: candidate.folder for name, candidate in candidates.items()}
    return measure_speed(folders, texts, trust_remote_code=trust_remote_code)


def encode_texts(model: SentenceTransformer, texts: list[str], *, batch_size: int) -> NDArray[np.float32]:
    """Return embeddings, shape (texts, dimensions)."""
    return np.asarray(model.encode(list(texts), batch_size=batch_size, show_progress_bar=False), dtype=np.float32)


def _tokens_per_sentence(model: SentenceTransformer, texts: list[str]) -> float:
    ids = model.tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"]
    return float(np.mean([len(numbers) for numbers in ids]))

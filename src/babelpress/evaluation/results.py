"""The figures of a run, as results.json holds them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Figures):
    """One evaluation of one model, in percent; subsets are those of the task."""

    kind: str
    score: float
    subsets: dict[str, float] = {}


class ModelResult(_Figures):
    """Everything measured of one model. Cosines are to the teacher's embeddings."""

    layers: int
    dimensions: int
    tokens: int
    parameters: int
    parameters_without_pooler: int
    weight_bytes: int
    stored_as: str
    folder_bytes: int
    fidelity_mean: float
    fidelity_p5: float
    tokens_per_sentence: float
    sentences_per_second: float
    scores: dict[str, Score]
    average: float
    retention: float


class Results(_Figures):
    """The final table and what it was measured on."""

    recipe: str
    teacher_id: str
    languages: tuple[str, ...]
    models: dict[str, ModelResult]
    corpus: dict[str, Any]
    distillation: dict[str, Any]
    held_out_sentences: int
    machine: dict[str, Any]
    versions: dict[str, str]
    paths: dict[str, str] = {}

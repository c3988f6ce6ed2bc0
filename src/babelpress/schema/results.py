"""The figures of a run, as results.json holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from babelpress.schema.exports import Export, Missed
from babelpress.utils.files import read_json

# The models of a run, by the names that its results give them.
TEACHER, PRUNED, STUDENT = "teacher", "pruned", "distilled"

# What version 0.1 called a model and a field.
_FORMER_MODELS = {"pressed": PRUNED}
_FORMER_FIELDS = {"tokens": "vocab_size", "disturbed": "perturbed"}


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(_Figures):
    """One evaluation of one model, in percent; subsets are those of the task.

    `interval` is the 95 % bootstrap interval over the task's sentences, None where the task allows none.
    """

    kind: str
    score: float
    subsets: dict[str, float] = {}
    interval: tuple[float, float] | None = None


class Spread(_Figures):
    """What several rounds of a timing gave."""

    median: float
    low: float
    high: float


class Speed(_Figures):
    """A model alone in a process of its own, the models' rounds in turn.

    `batched` is in sentences a second in batches of 32, `single_p50` and `single_p95` in milliseconds for one
    sentence at a time, `load` in seconds from the folder to a model (libraries imported, the disk warm), `resident`
    in MiB of the process with its libraries after load and encoding, `libraries` in MiB before the first load.
    """

    batched: Spread
    single_p50: Spread
    single_p95: Spread
    load: Spread
    resident: Spread
    libraries: float


class Closeness(_Figures):
    """How near a model's embeddings of some texts are to the teacher's.

    `overlap` is the share of a text's ten nearest texts that are the same ten for both (each in its own space);
    `student_queries` the share of the teacher's ten nearest that are found by the model's embedding of the query in
    an index of the teacher's embeddings, `teacher_queries` the reverse. They are None for fewer than 20 texts.
    """

    texts: int
    cosine: float
    cosine_p5: float
    overlap: float | None = None
    student_queries: float | None = None
    teacher_queries: float | None = None


class AtLength(_Figures):
    """Cosine to the teacher for texts of `tokens` of the teacher's tokens each."""

    tokens: int
    texts: int
    cosine: float
    cosine_p5: float


class Perturbed(_Figures):
    """Robustness to perturbed text: how often the nearest plain text is the original, and the cosine to the original.

    `texts` is the number of texts that the perturbation changes; only these count.
    """

    found: float
    cosine: float
    texts: int = 0


class Measures(_Figures):
    """What can be measured of any text: nearness to the teacher, by language and length, and robustness."""

    overall: Closeness
    by_language: dict[str, Closeness] = {}
    by_length: tuple[AtLength, ...] = ()
    perturbed: dict[str, Perturbed] = {}

    @model_validator(mode="before")
    @classmethod
    def _former_fields(cls, values: Any) -> Any:
        return renamed(values, _FORMER_FIELDS)


class Parallel(_Figures):
    """What parallel sentences say of a model, the numbers behind the picture.

    `accuracy` and `mean_rank` are of the translation among all sentences of the other language, over all ordered
    pairs of languages; `language_probe` is the cross-validated accuracy of a linear probe that tells the language
    (lower is better, `language_chance` is that of guessing); `alignment` and `uniformity` are those of Wang and Isola
    2020 (arXiv 2005.10242) with translations as positives (lower is better).
    """

    languages: int
    sentences: int
    accuracy: float
    mean_rank: float
    language_probe: float
    language_chance: float
    alignment: float
    uniformity: float


class ModelResult(_Figures):
    """Everything measured of one model. Cosines are to the teacher's embeddings; `vocab_size` counts embedding rows."""

    layers: int
    dimensions: int
    vocab_size: int
    parameters: int
    parameters_without_pooler: int
    weight_bytes: int
    stored_as: str
    folder_bytes: int
    fidelity_mean: float
    fidelity_p5: float
    tokens_per_sentence: float
    scores: dict[str, Score]
    average: float
    retention: float
    measures: Measures
    average_interval: tuple[float, float] | None = None
    retention_interval: tuple[float, float] | None = None
    speed: Speed | None = None
    parallel: Parallel | None = None

    @model_validator(mode="before")
    @classmethod
    def _former_fields(cls, values: Any) -> Any:
        return renamed(values, _FORMER_FIELDS)


class Results(_Figures):
    """The final table and what it was measured on.

    `missing` are tasks that failed and were allowed to, with why; `missed_exports` were below the recipe's floor, and
    so were not written.
    """

    recipe: str
    teacher_id: str
    languages: tuple[str, ...]
    models: dict[str, ModelResult]
    missing: dict[str, str] = {}
    exports: tuple[Export, ...] = ()
    missed_exports: tuple[Missed, ...] = ()
    corpus: dict[str, Any]
    distillation: dict[str, Any]
    held_out_sentences: int
    machine: dict[str, Any]
    versions: dict[str, str]
    paths: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _former_models(cls, values: Any) -> Any:
        return {**values, "models": renamed(values["models"], _FORMER_MODELS)} if _has_models(values) else values


def renamed(values: Any, names: dict[str, str]) -> Any:
    """Return a mapping with the keys of today in the place of former ones; anything else as it is."""
    return {names.get(key, key): value for key, value in values.items()} if isinstance(values, dict) else values


def current_model(name: str) -> str:
    """Return the name of today for a model's name of any version."""
    return _FORMER_MODELS.get(name, name)


def by_model(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of any version holds by model, under the names of today."""
    current: dict[str, Any] = renamed(values, _FORMER_MODELS)
    return current


def read_models(path: Path) -> dict[str, ModelResult]:
    """Return the figures of models.json by model."""
    return {name: ModelResult.model_validate(values) for name, values in by_model(read_json(path)).items()}


def _has_models(values: Any) -> bool:
    return isinstance(values, dict) and "models" in values

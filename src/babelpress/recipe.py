"""A recipe: everything a run depends on, in one validated YAML file.

Unknown keys are errors. `--set a.b=value` goes through the same validation as the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from babelpress.errors import EvaluationError, ExportError, RecipeError
from babelpress.schema.choice import Choice
from babelpress.schema.formats import choose_formats
from babelpress.schema.languages import UNKNOWN, language_code
from babelpress.schema.losses import LOSSES
from babelpress.schema.objectives import FERTILITY, OBJECTIVES
from babelpress.schema.recipe_text import load_yaml, override_value, read_recipe_text
from babelpress.schema.suites import did_you_mean, find_suite


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_enum_values=False, protected_namespaces=(), allow_inf_nan=False
    )


class LayerMethod(Choice):
    """How the kept layers are chosen."""

    EXPLICIT = "explicit"
    UNIFORM = "uniform"
    FIRST = "first"
    LAST = "last"
    ENDS = "ends"
    IMPORTANCE = "importance"


class VocabularyMethod(Choice):
    """How many pieces are kept: an exact number of rows, a share of every language's tokens, or all in use."""

    BUDGET = "budget"
    COVERAGE = "coverage"
    SEEN = "seen"


class SpecialText(Choice):
    """What text that spells a special token (`</s>`) does: what it does with the teacher, or nothing special."""

    AS_TEACHER = "as_teacher"
    PLAIN = "plain"


class NewRows(Choice):
    """What the embedding rows of new (byte) pieces start from.

    `noise` is the reference's: the mean of the kept rows and noise. `dropped` is the mean of the rows of
    the dropped pieces that such a byte helps to spell, weighed by how often they occur.
    """

    NOISE = "noise", "new rows start from the mean of the kept rows and noise"
    DROPPED = "dropped", "new rows start from the rows of dropped pieces that they help to spell"


class KeptRows(Choice):
    """What the embedding rows of kept pieces start from.

    `teacher` leaves them as they are. `fitted` moves them so that the mean of the rows that spell a
    dropped piece comes near that piece's own row; text whose pieces were kept is then embedded a little
    differently.
    """

    TEACHER = "teacher", "kept rows from the teacher's own"
    FITTED = "fitted", "kept rows from the teacher's, fitted to spell dropped pieces"


class StoredAs(Choice):
    """Number format of the final student's weights on disk; they are loaded as fp32 in either case."""

    FP32 = "fp32"
    FP16 = "fp16"


class Pooler(Choice):
    """What happens to BERT's pooler, which sentence embeddings do not use."""

    KEEP = "keep"
    DROP = "drop"


class Precision(Choice):
    """Number format of the matrix products in training; weights stay fp32. `auto` is bf16 where that is fast."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class TargetPrecision(Choice):
    """Number format of the teacher's pass: `auto` is bf16 where this machine multiplies it fast and a sample agrees."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class Reduction(Choice):
    """Over the dimensions of an embedding: `mean` is what torch's MSELoss does, `sum` the squared distance."""

    MEAN = "mean"
    SUM = "sum"


_CODE = r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$"


def _not_false(value: Any) -> Any:
    """Raise ValueError for Norwegian without quotes, which YAML reads as false."""
    if value is False:
        raise ValueError('no is false in YAML; write "no" in quotes')
    return value


Language = Annotated[str, BeforeValidator(_not_false), Field(pattern=_CODE)]


def _spelled_language(written: str) -> str:
    """Return the code of a language as people write it. Raises ValueError for what names none."""
    code = language_code(written)
    if re.match(_CODE, written) and ("-" in written or code == UNKNOWN):
        return written  # a region or script is kept, as is a code that is in no registry
    if code == UNKNOWN:
        raise ValueError(f"{written!r} names no language; give a code such as de")
    return code


SpelledLanguage = Annotated[str, AfterValidator(_spelled_language)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class TeacherSection(_Section):
    """Which model is pressed; everything else about it is read from its folder."""

    model: str = Field(min_length=1)
    revision: str | None = None
    prompts: dict[str, str] | None = None
    trust_remote_code: bool = False


class BundledSource(_Section):
    """The parallel sentences inside the package; `variants` adds deterministic rewrites of each."""

    kind: Literal["bundled"]
    variants: int = Field(default=0, ge=0, le=64)


class PiecesSource(_Section):
    """`texts` word lists made of the teacher's own pieces: targets for words that the corpus lacks."""

    kind: Literal["pieces"]
    texts: int = Field(ge=1)


class _OthersText(_Section):
    """A source of text with authors: its licence and whom they want named, for the card; neither changes a run."""

    licence: str | None = Field(default=None, min_length=1)
    attribution: str | None = Field(default=None, min_length=1)


CITATION = frozenset(_OthersText.model_fields)


class FileSource(_OthersText):
    """The user's own files: txt, jsonl, csv and tsv, each also as .gz, and parquet.

    Paths may be globs and may hold `{language}`, which stands for each language of the recipe.
    Without `columns`, txt takes the line, tables take `text`, and jsonl rows whose keys are
    language codes are taken as parallel sentences.
    """

    kind: Literal["files"]
    paths: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = ()
    language: SpelledLanguage | None = None
    language_column: str | None = None
    limit: int | None = Field(default=None, ge=1)


class HubSource(_OthersText):
    """A hub data set: subsets are given as `{subset: language}`; `limit` is per subset."""

    kind: Literal["hub"]
    dataset: str = Field(min_length=1)
    revision: str | None = None
    subsets: dict[str, SpelledLanguage] = Field(default_factory=dict)
    language: SpelledLanguage | None = None
    split: str = "train"
    columns: tuple[str, ...] = Field(min_length=1)
    data_files: str | None = None
    limit: int | None = Field(default=None, ge=1)
    min_chars: int = Field(default=0, ge=0)


class MtebTrainSource(_OthersText):
    """The *train* splits of mteb tasks, in the recipe's languages."""

    kind: Literal["mteb_train"]
    tasks: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(default=None, ge=1)


Source = Annotated[BundledSource | PiecesSource | FileSource | HubSource | MtebTrainSource, Field(discriminator="kind")]


class CorpusSection(_Section):
    """Where the sentences come from and which of them are set aside.

    `decontaminate` leaves out every sentence that the test data of evaluation.tasks have, exactly or nearly; those
    data must then be there (hub or --data-dir) before the corpus is made.
    """

    sources: tuple[Source, ...] = Field(min_length=1)
    min_chars: int = Field(default=2, ge=1)
    max_chars: int = Field(default=4000, ge=1)
    held_out: float = Field(default=0.01, gt=0.0, lt=1.0)
    held_out_limit: int = Field(default=4000, ge=1)
    decontaminate: bool = True


class LayersSection(_Section):
    """Which of the teacher's layers stay: `keep` (a list) or `method` and `count`."""

    method: LayerMethod = LayerMethod.UNIFORM
    keep: tuple[int, ...] | None = None
    count: int | None = None
    sample: int = Field(default=512, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> LayersSection:
        explicit = self.method is LayerMethod.EXPLICIT
        if explicit != (self.keep is not None):
            raise ValueError("layers.keep goes with method 'explicit' and with no other")
        if explicit == (self.count is not None):
            raise ValueError(f"method '{self.method}' needs layers.{'keep' if explicit else 'count'} alone")
        return self


class VocabularySection(_Section):
    """Which pieces stay.

    A budget is `size` (embedding rows, byte pieces included) or `mib` (fp32 weights of the whole student).
    `coverage` keeps, for every language, the fewest pieces that make up this share of its tokens.
    `language_exponent` weighs languages as (their share of the corpus) ** exponent: 1 counts every
    token alike, 0 gives every language the same say (Conneau et al. 2020, section 3.1, use 0.3).
    `byte_rate` is the share of a language's tokens that may be byte pieces; characters are kept for it,
    as far as `character_share` of the room.
    """

    method: VocabularyMethod = VocabularyMethod.BUDGET
    size: int | None = Field(default=None, ge=1)
    mib: float | None = Field(default=None, gt=0.0)
    coverage: float | None = Field(default=None, gt=0.0, le=1.0)
    objective: str = FERTILITY
    min_count: int = Field(default=1, ge=1)
    language_exponent: float = Field(default=0.3, ge=0.0, le=1.0)
    alphabet: bool = True
    byte_fallback: bool = True
    byte_rate: float = Field(default=0.001, ge=0.0, le=1.0)
    character_share: float = Field(default=0.2, ge=0.0, le=1.0)
    special_text: SpecialText = SpecialText.AS_TEACHER

    @field_validator("objective")
    @classmethod
    def _registered(cls, name: str) -> str:
        if name not in OBJECTIVES:
            raise ValueError(f"no such objective{did_you_mean(name, OBJECTIVES)}; there are: {', '.join(OBJECTIVES)}")
        return name

    @model_validator(mode="after")
    def _amount_with_method(self) -> VocabularySection:
        given = [name for name in ("size", "mib", "coverage") if getattr(self, name) is not None]
        amounts: dict[VocabularyMethod, list[list[str]]] = {
            VocabularyMethod.BUDGET: [["size"], ["mib"]],
            VocabularyMethod.COVERAGE: [["coverage"]],
            VocabularyMethod.SEEN: [[]],
        }
        allowed = amounts[self.method]
        if given not in allowed:
            wanted = " or ".join(f"vocabulary.{names[0]}" if names else "no amount" for names in allowed)
            raise ValueError(
                f"method '{self.method}' goes with {wanted} alone (given: {', '.join(given) or 'none of them'})"
            )
        return self


class StudentSection(_Section):
    """What the student folder holds besides the kept weights, and how they are stored.

    `fold_projection` adds the projection that a student of other dimensions learned, so that its embeddings stand
    beside the teacher's.
    """

    pooler: Pooler = Pooler.KEEP
    new_rows: NewRows = NewRows.DROPPED
    kept_rows: KeptRows = KeptRows.TEACHER
    stored_as: StoredAs = StoredAs.FP32
    fold_projection: bool = True


class LossSection(_Section):
    """Weights of the loss terms by name (`schema/losses.py`), all on normalised embeddings, and their options.

    A weight of 0 leaves a term out. `mse_reduction` and `temperature` are options of `mse` and `distribution`.
    `centre` subtracts the teacher's mean embedding first; `matryoshka` lists shorter embeddings to train as well.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[float, Field(ge=0.0)]] = Field(init=False)

    mse_reduction: Reduction = Reduction.SUM
    temperature: float = Field(default=0.05, gt=0.0)
    centre: bool = False
    matryoshka: tuple[Annotated[int, Field(ge=1)], ...] = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> float:
            """Return a term's weight."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        unknown = [name for name in values if name not in LOSSES and name not in cls.model_fields]
        if unknown:
            near = did_you_mean(str(unknown[0]), (*LOSSES, *cls.model_fields))
            raise ValueError(f"no such key: {unknown[0]}{near}; loss terms are {', '.join(LOSSES)}")
        return {name: term.default for name, term in LOSSES.items()} | dict(values)

    @model_validator(mode="after")
    def _something(self) -> LossSection:
        compared = [name for name, term in LOSSES.items() if not term.hidden]
        if not any(self.weight(name) for name in compared):
            listed = f"{', '.join(compared[:-1])} or {compared[-1]}"
            raise ValueError(f"every loss weight is 0; give {listed} a weight")
        if len(set(self.matryoshka)) < len(self.matryoshka):
            raise ValueError(f"matryoshka: {', '.join(map(str, self.matryoshka))} has a length twice")
        return self

    def weight(self, name: str) -> float:
        """Return the weight of a term."""
        return float((self.__pydantic_extra__ or {}).get(name, LOSSES[name].default))

    def weights(self) -> dict[str, float]:
        """Return the terms that have a weight above 0, with it."""
        return {name: self.weight(name) for name in LOSSES if self.weight(name) > 0}

    def compares_hidden_states(self) -> bool:
        """Tell whether a term with a weight needs the teacher's hidden states."""
        return any(LOSSES[name].hidden for name in self.weights())


class DistillationSection(_Section):
    """How the student learns the teacher's embeddings. Lengths are in the teacher's tokens.

    `max_length` is where most texts are cut; `long_share` of them are, instead, cut at `long_length`, texts that
    are shorter being joined to that length. `batch_size` is that of all processes together; larger batches than
    `micro_batch_tokens` a process (8,192 on a CPU, 131,072 on a GPU) are taken in parts, whose gradients add up;
    terms that compare the sentences of a batch see a part.

    `sentences` trains on the first so many of the corpus, whose order is that of hashes: a fair sample. Runs that
    differ in it share their targets. The learning rate falls from its peak to `final_learning_rate` times the peak,
    in `cycles` that start again at the peak; `embedding_rate` multiplies it for the embeddings. With `average`, the
    weights that are kept are a running mean of those trained, of which each step leaves this share. `seed` decides the
    order of the batches, the recipe's unless given.
    """

    seed: int | None = Field(default=None, ge=0, lt=2**31)
    sentences: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=128, ge=1)
    micro_batch_tokens: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0.0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    embedding_rate: float = Field(default=1.0, ge=0.0)
    warmup: Share = 0.0
    cycles: int = Field(default=1, ge=1)
    final_learning_rate: Share = 0.0
    average: Share = 0.0
    clip_norm: float = Field(default=1.0, gt=0.0)
    max_length: int = Field(default=64, ge=4)
    long_length: int | None = Field(default=None, ge=4)
    long_share: Share = 0.0
    prompts: tuple[str, ...] = Field(default=("",), min_length=1)
    loss: LossSection = LossSection()
    precision: Precision = Precision.AUTO
    target_precision: TargetPrecision = TargetPrecision.AUTO
    gradient_checkpointing: bool = False
    compile: bool = False
    patience: int | None = Field(default=3, ge=1)
    checkpoint_steps: int = Field(default=500, ge=1)
    trackers: tuple[str, ...] = ("tensorboard",)

    @model_validator(mode="after")
    def _lengths(self) -> DistillationSection:
        if (self.long_length is None) != (self.long_share == 0.0):
            raise ValueError("long_length and long_share go together; give both or neither")
        if self.long_length is not None and self.long_length <= self.max_length:
            raise ValueError(f"long_length is {self.long_length}; it must be above max_length, {self.max_length}")
        return self


class EvaluationSection(_Section):
    """What the three models are scored on: a shipped suite, or names of mteb tasks, which stand in for the suite's.

    `speed_sentences` held-out sentences are timed; 0: speed and memory are not measured.
    A task that fails ends the run; with `allow_missing` it is left out for all models instead, said to be missing,
    and tried again at the next run.
    """

    bundled: bool = True
    suite: str | None = None
    tasks: tuple[str, ...] | None = None
    languages: tuple[Language, ...] | None = None
    prompts: dict[str, str] = Field(default_factory=dict)
    batch_size: int = Field(default=64, ge=1)
    speed_sentences: int = Field(default=256, ge=0)
    allow_missing: bool = False

    @field_validator("suite")
    @classmethod
    def _shipped(cls, name: str | None) -> str | None:
        try:
            return find_suite(name).name if name is not None else None
        except EvaluationError as error:
            raise ValueError(str(error)) from None

    def chosen_tasks(self) -> tuple[str, ...]:
        """Return the tasks that are scored: those named here, or else the suite's."""
        if self.tasks is not None or self.suite is None:
            return self.tasks or ()
        return find_suite(self.suite).tasks

    def chosen_languages(self) -> tuple[str, ...] | None:
        """Return the languages that subsets are restricted to: those named here, or else the suite's."""
        if self.languages is not None or self.suite is None:
            return self.languages
        return find_suite(self.suite).languages


class ExportSection(_Section):
    """What the student is exported to, and how near an export must be to it.

    `mean` and `p5` are the least mean and 5th percentile of the cosine to the student's embeddings; `points` the most
    that the mean of the scores may lose, those of the bundled sentences and of `tasks` (all tasks of the evaluation
    unless given).
    """

    formats: tuple[str, ...] = ()
    mean: float = Field(default=0.995, ge=-1.0, le=1.0)
    p5: float = Field(default=0.99, ge=-1.0, le=1.0)
    points: float = Field(default=0.5, ge=0.0)
    tasks: tuple[str, ...] | None = None

    @field_validator("formats")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(one.name for one in choose_formats(names)) if names else ()
        except ExportError as error:
            raise ValueError(str(error)) from None


class ParallelSource(_Section):
    """Parallel sentences for the picture: a hub data set whose rows share an id over its subsets."""

    dataset: str
    revision: str | None = None
    split: str = "test"
    subsets: dict[str, str]
    id_column: str = "id"
    text_column: str = "text"


class VisualizationSection(_Section):
    """The picture of parallel sentences; without `source`, the held-out bundled ones."""

    sentences: int = Field(default=50, ge=3)
    source: ParallelSource | None = None
    neighbours: int = Field(default=15, ge=2)
    min_distance: float = Field(default=0.1, ge=0.0, le=1.0)


class CardSection(_Section):
    """What the model card says that cannot be measured; `licence` is the student's, the teacher's unless given."""

    model_id: str | None = None
    licence: str | None = Field(default=None, min_length=1)
    title: str | None = None
    notes: str = ""


class Recipe(_Section):
    """Everything a run depends on."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    description: str = ""
    seed: int = Field(default=20, ge=0, lt=2**31)
    languages: tuple[Language, ...] = Field(min_length=1)
    teacher: TeacherSection
    corpus: CorpusSection
    layers: LayersSection
    vocabulary: VocabularySection
    student: StudentSection = StudentSection()
    distillation: DistillationSection = DistillationSection()
    evaluation: EvaluationSection = EvaluationSection()
    export: ExportSection = ExportSection()
    visualization: VisualizationSection = VisualizationSection()
    card: CardSection = CardSection()

    @model_validator(mode="after")
    def _distinct_languages(self) -> Recipe:
        doubled = sorted({code for code in self.languages if self.languages.count(code) > 1})
        if doubled:
            raise ValueError(f"languages: {', '.join(doubled)} stands there twice")
        return self

    @model_validator(mode="after")
    def _exported_tasks(self) -> Recipe:
        scored = self.evaluation.chosen_tasks()
        unknown = [name for name in self.export.tasks or () if name not in scored]
        if unknown:
            raise ValueError(f"export.tasks: {unknown[0]} is not among the tasks of the evaluation")
        return self

    @classmethod
    def load(cls, name_or_path: str | Path, *, overrides: Iterable[str] = ()) -> Recipe:
        """Read a shipped recipe by name or a YAML file by path.

        `overrides` are `section.key=value` strings; values are YAML. Raises RecipeError.
        """
        return cls.parse(read_recipe_text(name_or_path), origin=str(name_or_path), overrides=overrides)

    def override(self, overrides: Iterable[str]) -> Recipe:
        """Return the recipe with `section.key=value` strings applied, validated like a file. Raises RecipeError."""
        changes = tuple(overrides)
        if not changes:
            return self
        text = yaml.safe_dump(self.model_dump(mode="json"), allow_unicode=True)
        return Recipe.parse(text, origin=self.name, overrides=changes)

    @classmethod
    def parse(cls, text: str, *, origin: str = "recipe", overrides: Iterable[str] = ()) -> Recipe:
        """Validate YAML text. Raises RecipeError with the key, the value and what is allowed."""
        try:
            values = load_yaml(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise RecipeError(f"{origin}: a recipe is a mapping of sections, this is a {type(values).__name__}")
        for override in overrides:
            override_value(values, override)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{origin}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    fault = faults[0]
    where = ".".join(str(part) for part in fault["loc"]) or "recipe"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "no such key"
    given = fault.get("input")
    shown = (
        "" if isinstance(given, Mapping | list | BaseModel) or fault["type"] == "missing" else f" (given: {given!r})"
    )
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{where}: {message}{shown}{more}"

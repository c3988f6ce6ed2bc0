"""The result of a comparison: models, and tables of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from babelpress.evaluation.intervals.bootstrap import Interval
from babelpress.evaluation.intervals.replicates import Replicates
from babelpress.schema.choice import Choice
from babelpress.schema.results import Score


class SubsetRule(Choice):
    """What a task's score is the mean of: the subsets that all models have, or all that the model has, as on a card."""

    COMMON = "common"
    ALL = "all"


@dataclass(frozen=True)
class Scored:
    """A model's scores and where they come from: `published`, `run` or `measured`.

    `replicates` are those of tasks that allow intervals; published scores have none. `parameters` is the size, where
    it is known.
    """

    name: str
    scores: dict[str, Score]
    origin: str
    replicates: Mapping[str, Replicates] = field(default_factory=dict, compare=False)
    parameters: int | None = None


@dataclass(frozen=True)
class Cell:
    """A score in percent and its share of the baseline's score.

    `interval` is the 95 % bootstrap interval of the score, `difference` that of the score minus the baseline's, on
    the same resamples of the sentences (paired). They are None where a score has no interval.
    """

    score: float
    kept: float | None
    interval: Interval | None = None
    difference: Interval | None = None

    @property
    def is_noise(self) -> bool:
        """Whether the interval of the difference to the baseline contains 0."""
        return self.difference is not None and self.difference[0] <= 0 <= self.difference[1]


@dataclass(frozen=True)
class Row:
    """A row of a table: a cell for each model, in their order; each is the mean of `count` scores."""

    name: str
    cells: tuple[Cell, ...]
    count: int


@dataclass(frozen=True)
class GroupRows:
    """A group's mean and the tasks that it is the mean of."""

    mean: Row
    tasks: tuple[Row, ...]


@dataclass(frozen=True)
class Missing:
    """A task that is left out, and the models without a score of it."""

    task: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Narrowed:
    """A task that models were scored on over different subsets; all models share `common` of them."""

    task: str
    common: int
    subsets: dict[str, int]


@dataclass(frozen=True)
class Comparison:
    """All tables. `languages` hold the subsets of one language each, `pairs` the mean over cross-lingual ones.

    `prompts` are those that model folders were scored with, None where none was scored.
    """

    models: tuple[str, ...]
    origins: tuple[str, ...]
    against: str
    rule: SubsetRule
    groups: tuple[GroupRows, ...]
    overall: Row
    languages: tuple[Row, ...]
    pairs: Row | None
    missing: tuple[Missing, ...]
    narrowed: tuple[Narrowed, ...]
    parameters: tuple[int | None, ...]
    prompts: dict[str, str] | None = None

    def facts(self) -> dict[str, Any]:
        """Return the comparison as JSON-able values."""
        return {**asdict(self), "rule": str(self.rule)}

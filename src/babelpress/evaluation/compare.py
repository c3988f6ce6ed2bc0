"""Compare models on what all of them were scored on: per group, per task, per language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.evaluation.means import Groups, group_by_kind, kept, mean, score_over
from babelpress.evaluation.results import Score
from babelpress.evaluation.subset_names import subset_language
from babelpress.evaluation.suites import did_you_mean

_SIMILARITY = (
    "Similarity"  # with the teacher's own embeddings: 100 for the teacher by definition, so nothing to compare
)


class SubsetRule(str, Enum):
    """What a task's score is the mean of: the subsets that all models have, or all that the model has, as on a card."""

    COMMON = "common"
    ALL = "all"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Scored:
    """A model's scores and where they come from: `published`, `run` or `measured`."""

    name: str
    scores: dict[str, Score]
    origin: str


@dataclass(frozen=True)
class Cell:
    """A score in percent and the share of the first model's score that it is.

    `interval` is the place of a 95 % bootstrap interval: it needs the predictions of every sentence, which are not
    kept yet, and is None until then.
    """

    score: float
    kept: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table: a cell for each model, in their order, and of how many scores each cell is the mean."""

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
    """A task that is in no table, and the models that have no score of it."""

    task: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Narrowed:
    """A task that models were scored on over different subsets; `common` of them are those of all models."""

    task: str
    common: int
    subsets: dict[str, int]


@dataclass(frozen=True)
class Comparison:
    """All tables. `languages` hold the subsets of one language each, `pairs` the mean over cross-lingual ones."""

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

    def facts(self) -> dict[str, Any]:
        """Return the comparison as JSON-able values."""
        return {**asdict(self), "rule": str(self.rule)}


def compare_scores(
    models: Sequence[Scored],
    *,
    against: str | None = None,
    groups: Groups | None = None,
    rule: SubsetRule = SubsetRule.COMMON,
) -> Comparison:
    """Compare at least two models with the first one, or with `against`.

    `groups` are the wanted tasks; without, they are all that any model has, by kind. A task that a model lacks is
    left out for all and told under `missing`, never counted as 0. Raises EvaluationError when no task is left.
    """
    names = distinct_names([model.name for model in models])
    if len(models) < 2:
        raise EvaluationError(f"{len(models)} model is no comparison; give two or more")
    if against is not None and against not in names:
        near = did_you_mean(against, names)
        raise EvaluationError(f"--against {against!r} is none of the models{near}; they are: {', '.join(names)}")
    first = names.index(against) if against is not None else 0
    scores = [{task: score for task, score in model.scores.items() if score.kind != _SIMILARITY} for model in models]
    wanted = groups if groups is not None else _all_groups(scores)
    used, missing, narrowed = _common_subsets(scores, names, wanted, rule)
    if not used:
        lacking = "; ".join(f"{', '.join(gap.models)} has none of {gap.task}" for gap in missing[:3])
        raise EvaluationError(f"no task has scores of all {len(models)} models{': ' if lacking else ''}{lacking}")
    lines = _Lines(first)
    per_task = {
        task: [score_over(own[task], subsets) for own, subsets in zip(scores, of_models, strict=True)]
        for task, of_models in used.items()
    }
    tables = []
    for name, tasks in wanted.items():
        rows = tuple(lines.row(task, [per_task[task]]) for task in tasks if task in used)
        if rows:
            tables.append(GroupRows(lines.row(name, [per_task[task] for task in tasks if task in used]), rows))
    languages, pairs = _by_language(scores, used, lines)
    return Comparison(
        models=tuple(names), origins=tuple(model.origin for model in models), against=names[first], rule=rule,
        groups=tuple(tables), overall=lines.row("all", list(per_task.values())), languages=languages, pairs=pairs,
        missing=missing, narrowed=narrowed,
    )  # fmt: skip


@dataclass(frozen=True)
class _Lines:
    """Makes rows whose shares are those of one model."""

    first: int

    def row(self, name: str, scores: list[list[float]]) -> Row:
        """Return the mean of lines of scores, one score for each model in each."""
        means = [mean(column) for column in zip(*scores, strict=True)]
        return Row(name, tuple(Cell(own, kept(own, means[self.first])) for own in means), len(scores))


def _all_groups(scores: Sequence[Mapping[str, Score]]) -> dict[str, tuple[str, ...]]:
    union: dict[str, Score] = {}
    for own in scores:
        union |= {task: score for task, score in own.items() if task not in union}
    return group_by_kind(union, without=())


def _common_subsets(
    scores: Sequence[Mapping[str, Score]], names: Sequence[str], wanted: Groups, rule: SubsetRule
) -> tuple[dict[str, list[list[str]]], tuple[Missing, ...], tuple[Narrowed, ...]]:
    """Return, for each task that all have, the subsets that count of each model; and what is missing."""
    used: dict[str, list[list[str]]] = {}
    missing, narrowed = [], []
    for task in dict.fromkeys(task for tasks in wanted.values() for task in tasks):
        lacking = tuple(name for name, own in zip(names, scores, strict=True) if task not in own)
        if lacking:
            missing.append(Missing(task, lacking))
            continue
        subsets = [own[task].subsets for own in scores]
        common = [subset for subset in subsets[0] if all(subset in others for others in subsets)]
        if any(len(own) != len(common) for own in subsets):
            narrowed.append(Narrowed(task, len(common), {n: len(own) for n, own in zip(names, subsets, strict=True)}))
            if rule is SubsetRule.COMMON and not common:
                continue
        used[task] = [common if rule is SubsetRule.COMMON else list(own) for own in subsets]
    return used, tuple(missing), tuple(narrowed)


def _by_language(
    scores: Sequence[Mapping[str, Score]], used: Mapping[str, list[list[str]]], lines: _Lines
) -> tuple[tuple[Row, ...], Row | None]:
    """Return a row for each language and one for pairs; a row is the mean over tasks, of subsets all models have."""
    tasks_of: dict[str, list[list[float]]] = {}
    for task, of_models in used.items():
        found: dict[str, list[list[float]]] = {}
        for subset in of_models[0]:
            language = subset_language(subset)
            if language is not None and all(subset in own[task].subsets for own in scores):
                found.setdefault(language, []).append([own[task].subsets[subset] for own in scores])
        for language, rows in found.items():
            tasks_of.setdefault(language, []).append([mean(column) for column in zip(*rows, strict=True)])
    pairs = tasks_of.pop("", None)
    ordered = sorted(tasks_of, key=lambda code: (-len(tasks_of[code]), code))
    languages = tuple(lines.row(code, tasks_of[code]) for code in ordered)
    return languages, lines.row("pairs of languages", pairs) if pairs else None


def distinct_names(names: Iterable[str]) -> list[str]:
    """Number names that stand there twice."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct

"""Compare models on what all of them were scored on: per group, per task, per language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.comparison import (
    Cell,
    Comparison,
    GroupRows,
    Missing,
    Narrowed,
    Row,
    Scored,
    SubsetRule,
)
from babelpress.evaluation.intervals.bootstrap import Interval
from babelpress.evaluation.intervals.means import BUNDLED_KINDS, Groups, group_by_kind, kept, mean, score_over
from babelpress.evaluation.intervals.replicates import Values, interval_of, mean_values, paired_difference
from babelpress.evaluation.model_folders import distinct_names
from babelpress.evaluation.tasks.subset_names import subset_language
from babelpress.schema.results import Score
from babelpress.schema.suites import did_you_mean

_SIMILARITY = "Similarity"  # with the teacher's embeddings, so 100 for the teacher by definition


def compare_scores(
    models: Sequence[Scored],
    *,
    against: str | None = None,
    groups: Groups | None = None,
    rule: SubsetRule = SubsetRule.COMMON,
    prompts: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare at least two models with the first one, or with `against`.

    `groups` are the wanted tasks; without, they are all that any model has, by kind. A task that a model lacks is
    left out for all and listed under `missing`, never counted as 0. Raises EvaluationError when no task is left.
    """
    names = distinct_names([model.name for model in models])
    check_names(names, against=against)
    first = names.index(against) if against is not None else 0
    scores = [{task: score for task, score in model.scores.items() if score.kind != _SIMILARITY} for model in models]
    wanted = groups if groups is not None else _all_groups(scores)
    used, missing, narrowed = _common_subsets(scores, names, wanted, rule)
    if not used:
        lacking = "; ".join(f"{', '.join(gap.models)} has none of {gap.task}" for gap in missing[:3])
        raise EvaluationError(f"no task has scores of all {len(models)} models{': ' if lacking else ''}{lacking}")
    lines = _Lines(first, len(models))
    per_task = {
        task: [
            _Value.of(score_over(by_task[task], subsets), model, task, subsets)
            for model, by_task, subsets in zip(models, scores, of_models, strict=True)
        ]
        for task, of_models in used.items()
    }
    tables = []
    for name, tasks in wanted.items():
        rows = tuple(lines.row(task, [per_task[task]]) for task in tasks if task in used)
        if rows:
            tables.append(GroupRows(lines.row(name, [per_task[task] for task in tasks if task in used]), rows))
    languages, pairs = _by_language(models, scores, used, lines)
    return Comparison(
        models=tuple(names), origins=tuple(model.origin for model in models), against=names[first], rule=rule,
        groups=tuple(tables), overall=lines.row("all", list(per_task.values())), languages=languages, pairs=pairs,
        missing=missing, narrowed=narrowed, parameters=tuple(model.parameters for model in models),
        prompts=None if prompts is None else dict(prompts),
    )  # fmt: skip


@dataclass(frozen=True)
class _Value:
    """A score, its interval, and the same on resamples where those are at hand."""

    score: float
    interval: Interval | None
    replicates: Values | None

    @classmethod
    def of(cls, score: float, model: Scored, task: str, subsets: Sequence[str]) -> _Value:
        """Take a model's task over some subsets; over all of them its interval is known without replicates."""
        whole, known = model.scores[task], model.replicates.get(task)
        replicates = known.over(subsets if whole.subsets else ()) if known is not None else None
        known_interval = whole.interval if set(subsets) == set(whole.subsets) else None
        return cls(score, known_interval if replicates is None else interval_of(replicates), replicates)

    @classmethod
    def mean(cls, values: Sequence[_Value]) -> _Value:
        """Return the mean; its interval needs the replicates of all."""
        replicates = mean_values(value.replicates for value in values)
        interval = values[0].interval if len(values) == 1 else interval_of(replicates)
        return cls(mean(value.score for value in values), interval, replicates)


@dataclass(frozen=True)
class _Lines:
    """Makes rows with shares of and differences to the baseline, the model at `first`."""

    first: int
    models: int

    def row(self, name: str, values: list[list[_Value]]) -> Row:
        """Return the mean of several rows; each has a score of every model."""
        means = [_Value.mean([line[place] for line in values]) for place in range(self.models)]
        return Row(
            name, tuple(self._cell(place, value, means[self.first]) for place, value in enumerate(means)), len(values)
        )

    def _cell(self, place: int, value: _Value, baseline: _Value) -> Cell:
        difference = None if place == self.first else paired_difference(value.replicates, baseline.replicates)
        return Cell(value.score, kept(value.score, baseline.score), value.interval, difference)


def _all_groups(scores: Sequence[Mapping[str, Score]]) -> dict[str, tuple[str, ...]]:
    union: dict[str, Score] = {}
    for by_task in scores:
        union |= {task: score for task, score in by_task.items() if task not in union}
    return group_by_kind(union, without=())


def _common_subsets(
    scores: Sequence[Mapping[str, Score]], names: Sequence[str], wanted: Groups, rule: SubsetRule
) -> tuple[dict[str, list[list[str]]], tuple[Missing, ...], tuple[Narrowed, ...]]:
    """Return, for each task that all have, the subsets that count of each model; and what is missing."""
    used: dict[str, list[list[str]]] = {}
    missing, narrowed = [], []
    for task in dict.fromkeys(task for tasks in wanted.values() for task in tasks):
        lacking = tuple(name for name, by_task in zip(names, scores, strict=True) if task not in by_task)
        if lacking:
            missing.append(Missing(task, lacking))
            continue
        subsets = [by_task[task].subsets for by_task in scores]
        common = [subset for subset in subsets[0] if all(subset in others for others in subsets)]
        if any(len(scored) != len(common) for scored in subsets):
            narrowed.append(Narrowed(task, len(common), dict(zip(names, map(len, subsets), strict=True))))
            if rule is SubsetRule.COMMON and not common:
                continue
        used[task] = [common if rule is SubsetRule.COMMON else list(scored) for scored in subsets]
    return used, tuple(missing), tuple(narrowed)


def _by_language(
    models: Sequence[Scored],
    scores: Sequence[Mapping[str, Score]],
    used: Mapping[str, list[list[str]]],
    lines: _Lines,
) -> tuple[tuple[Row, ...], Row | None]:
    """Return a row for each language and one for pairs; a row is the mean over tasks, of subsets all models have.

    The bundled sentences, whose subsets are all pairs, are not among the tasks.
    """
    tasks_of: dict[str, list[list[_Value]]] = {}
    for task, of_models in used.items():
        if scores[0][task].kind in BUNDLED_KINDS:
            continue
        by_language: dict[str, list[str]] = {}
        for subset in of_models[0]:
            language = subset_language(subset)
            if language is not None and all(subset in by_task[task].subsets for by_task in scores):
                by_language.setdefault(language, []).append(subset)
        for language, subsets in by_language.items():
            tasks_of.setdefault(language, []).append([
                _Value.of(mean(by_task[task].subsets[subset] for subset in subsets), model, task, subsets)
                for model, by_task in zip(models, scores, strict=True)
            ])  # fmt: skip
    pairs = tasks_of.pop("", None)
    ordered = sorted(tasks_of, key=lambda code: (-len(tasks_of[code]), code))
    languages = tuple(lines.row(code, tasks_of[code]) for code in ordered)
    return languages, lines.row("pairs of languages", pairs) if pairs else None


def check_names(names: Sequence[str], *, against: str | None) -> None:
    """Raise EvaluationError for fewer than two models, and for a baseline that is none of them."""
    if len(names) < 2:
        raise EvaluationError(f"a comparison needs two models or more; {len(names)} was given")
    if against is not None and against not in names:
        near = did_you_mean(against, names)
        raise EvaluationError(f"--against {against!r} is none of the models{near}; they are: {', '.join(names)}")

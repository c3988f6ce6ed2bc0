"""Scores: groups, tasks, languages and subsets, teacher, pruned and student beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from langcodes import standardize_tag

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.compare import compare_scores
from babelpress.evaluation.compare.comparison import Comparison, Scored, SubsetRule
from babelpress.evaluation.compare.comparison import Row as ScoreRow
from babelpress.evaluation.fidelity.bundled import SIMILARITY
from babelpress.evaluation.intervals.means import BUNDLED_KINDS
from babelpress.reports.page.asked import suite_groups
from babelpress.reports.page.blocks import Block, Cell, Column, Details, Prose, Row, Section, Table, present
from babelpress.reports.page.drawings import Mark
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import LABELS, MISSING, NOT_MEASURED, decimal, interval, language, percent, plural
from babelpress.schema.results import TEACHER, ModelResult, Score

_STAGES = ("evaluation",)
_INTERVALS = "Below a score stands its 95 % bootstrap interval, where the task allows one."
Interval: TypeAlias = tuple[float, float] | None


def tell_scores(facts: PageFacts) -> Section:
    """Return the section of scores."""
    found = compare_run(facts)
    if found is None:
        nothing = Prose("Not measured: the recipe names no task, or none has a score of every model.", warning=True)
        return Section("scores", "Scores", present(nothing, _missing_table(facts), _own_table(facts)))
    tables = (_group_table(facts, found), _missing_table(facts), _task_table(facts, found))
    rest = (*_language_tables(facts, found), _subset_tables(facts), _own_table(facts))
    return Section("scores", "Scores", present(Prose(_words(facts, found)), *tables, *rest))


def compare_run(facts: PageFacts) -> Comparison | None:
    """Compare the run's models as the card counts; None where no task has a score of every model."""
    models = [Scored(name, model.scores, "run") for name, model in facts.results.models.items()]
    try:
        return compare_scores(models, against=TEACHER, groups=suite_groups(facts.recipe), rule=SubsetRule.ALL)
    except EvaluationError:
        return None


def _words(facts: PageFacts, found: Comparison) -> str:
    return (
        f"All models were scored in one run, {_prompt_words(facts)}, on {plural(found.overall.count, 'task')}. Scores "
        "are in percent; a task's is the mean over its subsets, a group's that of its tasks, the average that of all "
        f"tasks. {_INTERVALS}"
    )


def _prompt_words(facts: PageFacts) -> str:
    return "with the same prompts" if facts.recipe.evaluation.prompts else "without prompts"


@dataclass(frozen=True)
class Line:
    """A row of scores: for each model its score, the share of the teacher's, and the intervals of both."""

    name: str
    small: str
    scores: tuple[float, ...]
    kept: tuple[float | None, ...]
    intervals: tuple[Interval, ...]
    kept_intervals: tuple[Interval, ...]
    mean: bool = False

    @classmethod
    def of(cls, row: ScoreRow, *, name: str = "", small: str) -> Line:
        """Take a row of a comparison."""
        scores, kept = tuple(cell.score for cell in row.cells), tuple(cell.kept for cell in row.cells)
        intervals = tuple(cell.interval for cell in row.cells)
        return cls(name or row.name, small, scores, kept, intervals, (None,) * len(row.cells))

    def drawn(self, models: Sequence[str]) -> Row:
        """Return scores, shares of the teacher's, and all scores on a scale."""
        scores = zip(self.scores, self.intervals, strict=True)
        shares = zip(models, self.kept, self.kept_intervals, strict=True)
        cells = (
            *(Cell(decimal(score, 2), interval(bounds)) for score, bounds in scores),
            *(
                Cell(percent(share), interval(bounds, 1, factor=100), share=share)
                for model, share, bounds in shares
                if model != TEACHER
            ),
            Cell("", marks=tuple(map(Mark, models, self.scores, self.intervals))),
        )
        return Row(self.name, cells, small=self.small, mean=self.mean)


def _score_table(id_: str, caption: str, first: str, models: Sequence[str], lines: Iterable[Line]) -> Table:
    own = tuple(Column(LABELS[name], "score", name) for name in models)
    kept = tuple(Column(LABELS[name], "kept of the teacher's", name) for name in models if name != TEACHER)
    columns = (Column(first, number=False), *own, *kept, Column("0 to 100", number=False))
    return Table(id_, caption, columns, tuple(line.drawn(models) for line in lines), _STAGES)


def _group_table(facts: PageFacts, found: Comparison) -> Table:
    models = facts.results.models
    lines = [Line.of(group.mean, small=plural(group.mean.count, "task")) for group in found.groups]
    average = _average_line(list(models.values()), found)
    return _score_table("table-groups", "Means by group of tasks", "group", list(models), [*lines, average])


def _average_line(models: Sequence[ModelResult], found: Comparison) -> Line:
    """Return the run's averages, or, where a model lacks a task, those over what all have, without intervals."""
    small = plural(found.overall.count, "task")
    if any(own.scores.keys() != models[0].scores.keys() for own in models):
        return replace(Line.of(found.overall, name="average", small=small), mean=True)
    return Line(
        "average", small,
        tuple(model.average for model in models), tuple(model.retention for model in models),
        tuple(model.average_interval for model in models), tuple(model.retention_interval for model in models),
        mean=True,
    )  # fmt: skip


def _task_table(facts: PageFacts, found: Comparison) -> Table:
    models = facts.results.models
    lines = (Line.of(row, small=group.mean.name) for group in found.groups for row in group.tasks)
    return _score_table("table-tasks", "Scores by task", "task", list(models), lines)


def _language_tables(facts: PageFacts, found: Comparison) -> tuple[Table | None, Details | None]:
    """Return the scores in the recipe's languages, and folded those in the others that tasks have."""
    wanted = {standardize_tag(code, macro=True) for code in facts.recipe.languages}
    own = [_language_line(row) for row in found.languages if row.name in wanted]
    others = [_language_line(row) for row in found.languages if row.name not in wanted]
    if found.pairs:
        own.append(Line.of(found.pairs, small=plural(found.pairs.count, "task")))
    note = "Means over tasks, of the subsets in one language; subsets of two languages are a row of their own."
    table = _score_table("table-languages", "Scores by language", "language", found.models, own)
    rest = _score_table("table-other-languages", "Scores in other languages", "language", found.models, others)
    summary = f"{plural(len(others), 'language')} that the recipe does not name"
    return replace(table, note=note) if own else None, Details(summary, blocks=(rest,)) if others else None


def _language_line(row: ScoreRow) -> Line:
    return Line.of(row, name=language(row.name), small=f"{row.name}, {plural(row.count, 'task')}")


def _subset_tables(facts: PageFacts) -> Details | None:
    models = facts.results.models
    scores = [(task, score) for model in models.values() for task, score in model.scores.items()]
    tasks = dict.fromkeys(task for task, score in scores if score.kind not in BUNDLED_KINDS)
    tables: list[Block] = []
    for number, task in enumerate(tasks):
        own = {name: model.scores[task].subsets for name, model in models.items() if task in model.scores}
        subsets = dict.fromkeys(subset for of_model in own.values() for subset in of_model)
        if len(subsets) < 2:
            continue
        columns = (Column("subset", number=False), *(Column(LABELS[name], model=name) for name in own))
        rows = tuple(
            Row(subset, tuple(Cell(decimal(of_model.get(subset), 2)) for of_model in own.values()))
            for subset in subsets
        )
        tables.append(Table(f"table-subsets-{number}", task, columns, rows, _STAGES))
    return Details(f"Every subset of {plural(len(tables), 'task')}", blocks=tuple(tables)) if tables else None


def _missing_table(facts: PageFacts) -> Table | None:
    """Return the tasks without a score of every model, and why."""
    models = facts.results.models
    tasks = [*facts.results.missing, *(name for model in models.values() for name in model.scores)]
    wanted = dict.fromkeys([*facts.recipe.evaluation.chosen_tasks(), *tasks])
    rows = []
    for task in wanted:
        lacking = [LABELS[name] for name, model in models.items() if task not in model.scores]
        if task not in facts.results.missing and not lacking:
            continue
        reason = facts.results.missing.get(task, f"no score of {', '.join(lacking)}")
        scores = [model.scores.get(task) for model in models.values()]
        rows.append(Row(task, (*(_score_cell(score) for score in scores), Cell(reason))))
    columns = (
        Column("task", number=False), *(Column(LABELS[name], model=name) for name in models),
        Column("why", number=False),
    )  # fmt: skip
    note = "In no mean above, for any model."
    return Table("table-missing", "Tasks without a score", columns, tuple(rows), _STAGES, note) if rows else None


def _score_cell(score: Score | None) -> Cell:
    return Cell(MISSING) if score is None else Cell(decimal(score.score, 2))


def _own_table(facts: PageFacts) -> Table | None:
    """Return what compares with the teacher itself, and so is in no average."""
    models = facts.results.models
    if not any(SIMILARITY in model.scores for model in models.values()):
        return None
    cells = tuple(_similarity(model) for model in models.values())
    columns = (Column("", number=False), *(Column(LABELS[name], model=name) for name in models))
    note = "Rank correlation of all pairwise similarities with the teacher's; in no average, the teacher's own is 100."
    return Table("table-similarity", "Likeness to the teacher", columns, (Row(SIMILARITY, cells),), _STAGES, note)


def _similarity(model: ModelResult) -> Cell:
    score = model.scores.get(SIMILARITY)
    return Cell(NOT_MEASURED if score is None else decimal(score.score, 2), interval(score.interval if score else None))

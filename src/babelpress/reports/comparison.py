"""A comparison as text: markdown, CSV, and the tables of the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import repeat
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.comparison import Cell, Comparison, Narrowed, Row, SubsetRule
from babelpress.reports.comparison_plot import draw_comparison
from babelpress.reports.size_plot import draw_sizes, sizes_of
from babelpress.reports.style import check_ending
from babelpress.schema.suites import Suite
from babelpress.utils.files import write_text

NOISE = "≈"
_MOST_COLUMNS = 3  # models whose shares have columns of their own in 80 columns


class Form(str, Enum):
    """How a comparison is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"

    @classmethod
    def choose(
        cls, form: str | None, *, output: Path | None, plot: Path | None, pareto: Path | None = None
    ) -> tuple[Form, Form]:
        """Return the form on standard output and that of the file. Raises EvaluationError for what cannot be."""
        for option, picture in (("--plot", plot), ("--pareto", pareto)):
            if picture is not None:
                check_ending(option, picture)
        if form is not None and form not in {one.value for one in cls}:
            raise EvaluationError(f"--format {form!r} is not known; there are: {', '.join(one.value for one in cls)}")
        asked = cls(form) if form else cls.TABLE
        if output is None:
            return asked, asked
        if asked is cls.TABLE and output.suffix not in _ENDINGS:
            raise EvaluationError(f"--output {output}: its name must end in {', '.join(_ENDINGS)}, or give --format")
        return cls.TABLE, _ENDINGS[output.suffix] if asked is cls.TABLE else asked

    def text(self, found: Comparison) -> str:
        """Return the comparison in this form; a table has none."""
        if self is Form.MARKDOWN:
            return to_markdown(found)
        return to_csv(found) if self is Form.CSV else json.dumps(found.facts(), ensure_ascii=False, indent=2) + "\n"


_ENDINGS = {".md": Form.MARKDOWN, ".csv": Form.CSV, ".json": Form.JSON}


def write_comparison(
    found: Comparison, form: Form, *, output: Path | None, plot: Path | None, pareto: Path | None = None
) -> None:
    """Write the file and the pictures that were asked for. Raises EvaluationError where no size is known to draw."""
    sizes = sizes_of(found) if pareto is not None else None
    if output is not None:
        write_text(output, form.text(found))
    if plot is not None:
        draw_comparison(found, plot)
    if sizes is not None and pareto is not None:
        draw_sizes(sizes, pareto)


def to_markdown(found: Comparison) -> str:
    """Return tables per group, task and language, and notes on what is not in them."""
    square = "; in square ones the 95 % interval" if _has_intervals(found) else ""
    said = f"Scores in percent; in brackets the share of {found.against}'s{square}."
    out = [f"# {' · '.join(found.models)}", "", said, ""]
    out += ["## Groups", "", *_markdown_table(found, "group (tasks)", map(_counted, _means(found)))]
    for group in found.groups:
        out += ["", f"## {group.mean.name}", "", *_markdown_table(found, "task", group.tasks)]
    if found.languages or found.pairs:
        out += ["", "## Languages", "", *_markdown_table(found, "language (tasks)", map(_counted, _languages(found)))]
    return "\n".join([*out, "", "## Notes", "", *(f"- {note}" for note in notes(found)), ""])


def to_csv(found: Comparison) -> str:
    """Return a line for each table, row and model."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([
        "table", "group", "name", "model", "origin", "score", "kept", "count", "low", "high", "difference_low",
        "difference_high",
    ])  # fmt: skip
    for table, group, row in _every_row(found):
        for name, origin, cell in zip(found.models, found.origins, row.cells, strict=True):
            kept = "" if cell.kept is None else f"{cell.kept:.6f}"
            ends = [*_ends(cell.interval), *_ends(cell.difference)]
            writer.writerow([table, group, row.name, name, origin, f"{cell.score:.4f}", kept, row.count, *ends])
    return file.getvalue()


def comparison_view(found: Comparison) -> RenderableType:
    """Return tables that fit 80 columns; models are letters there (numbers beyond 26)."""
    letters = [chr(ord("A") + place) if place < 26 else str(place + 1) for place in range(len(found.models))]
    legend = Table.grid(padding=(0, 2))
    for letter, name, origin in zip(letters, found.models, found.origins, strict=True):
        said = f"{origin}; the measure" if name == found.against else origin
        legend.add_row(Text(letter, style="bold"), Text(f"{name} ({said})", overflow="fold"))
    means = [_counted(group.mean) for group in found.groups]
    parts: list[RenderableType] = [legend, Text(), _rows_table(found, letters, "means (tasks)", means, found.overall)]
    for group in found.groups:
        parts += [Text(), _rows_table(found, letters, group.mean.name, group.tasks, group.mean)]
    if found.languages or found.pairs:
        shown = [_counted(row) for row in _languages(found)]
        parts += [Text(), _rows_table(found, letters, "languages (tasks)", shown, None)]
    return Group(*parts, Text(), *(Text(f"- {note}", style="dim") for note in notes(found)))


def suites_view(suites: dict[str, Suite]) -> RenderableType:
    """Return a table of suites: what they are, and how many tasks each group has."""
    table = Table(pad_edge=False, show_edge=False)
    table.add_column("suite", style="bold", no_wrap=True)
    table.add_column("tasks", justify="right")
    table.add_column("groups", overflow="fold")
    table.add_column("", overflow="fold")
    for name, suite in suites.items():
        groups = ", ".join(f"{group} {len(tasks)}" for group, tasks in suite.groups.items())
        table.add_row(name, str(len(suite.tasks)), groups, escape(suite.description))
    return table


def notes(found: Comparison) -> list[str]:
    """Say what is in no table and what the tables do not say."""
    said = [f"percentages: the share of {found.against}'s score", *_interval_notes(found)]
    by_models: dict[tuple[str, ...], list[str]] = {}
    for gap in found.missing:
        by_models.setdefault(gap.models, []).append(gap.task)
    said += [
        f"not compared, no score of {', '.join(models)}: {', '.join(tasks)}" for models, tasks in by_models.items()
    ]
    if found.rule is SubsetRule.ALL:
        said += _listed("means over different subsets", [_subsets(task) for task in found.narrowed])
    else:
        apart = [task for task in found.narrowed if not task.common]
        said += _listed("not compared, no subset in common", [_subsets(task) for task in apart])
        shared = [f"{_subsets(task)}: {task.common}" for task in found.narrowed if task.common]
        said += _listed("over the subsets that all models have", shared)
    if found.languages:
        said.append("languages: means over tasks, of the subsets in one language that all models have")
    if found.prompts is not None:
        named = ", ".join(f"{name} {text!r}" for name, text in found.prompts.items())
        how = f"with the prompts {named}" if named else "without prompts but a default of their own"
        said.append(f"models were scored {how}")
    if "published" in found.origins:
        said.append("published scores were measured by others, with other versions of mteb and prompts of their choice")
    return said


def _interval_notes(found: Comparison) -> list[str]:
    said = []
    if _has_intervals(found):
        said.append(
            "intervals are of 1,000 bootstrap resamples of a task's sentences, tasks independent of each other; "
            "clustering, published scores and means that hold one have none"
        )
    if any(cell.difference for _, _, row in _every_row(found) for cell in row.cells):
        said.append(
            f"{NOISE} the difference to {found.against} is within noise: its 95 % interval, on the same resamples, "
            "holds 0"
        )
    return said


def _has_intervals(found: Comparison) -> bool:
    return any(cell.interval for _, _, row in _every_row(found) for cell in row.cells)


def _ends(interval: tuple[float, float] | None) -> list[str]:
    return ["", ""] if interval is None else [f"{end:.4f}" for end in interval]


def _listed(what: str, tasks: list[str]) -> list[str]:
    return [f"{what}: {', '.join(tasks)}"] if tasks else []


def _subsets(task: Narrowed) -> str:
    return f"{task.task} ({'/'.join(map(str, task.subsets.values()))})"


def _means(found: Comparison) -> list[Row]:
    return [*(group.mean for group in found.groups), found.overall]


def _languages(found: Comparison) -> list[Row]:
    return [*found.languages, *([found.pairs] if found.pairs else [])]


def _counted(row: Row) -> Row:
    return Row(f"{row.name} ({row.count})", row.cells, row.count)


def _every_row(found: Comparison) -> Iterator[tuple[str, str, Row]]:
    yield from (("group", group.mean.name, group.mean) for group in found.groups)
    yield "group", "", found.overall
    yield from (("task", group.mean.name, row) for group in found.groups for row in group.tasks)
    yield from (("language", "", row) for row in _languages(found))


def _markdown_table(found: Comparison, label: str, rows: Iterable[Row]) -> Iterator[str]:
    heads = [f"{name} ({origin})" for name, origin in zip(found.models, found.origins, strict=True)]
    yield f"| {label} | " + " | ".join(head.replace("|", "\\|") for head in heads) + " |"
    yield "| --- |" + " ---: |" * len(heads)
    for row in rows:
        yield f"| {row.name} | " + " | ".join(map(_cell, found.models, row.cells, repeat(found.against))) + " |"


def _cell(model: str, cell: Cell, against: str) -> str:
    share = "" if model == against or cell.kept is None else f" ({_percent(cell.kept)} %)"
    between = "" if cell.interval is None else " [{:.2f}, {:.2f}]".format(*cell.interval)
    return f"{cell.score:.2f}{between}{share}{f' {NOISE}' if cell.is_noise else ''}"


def _rows_table(found: Comparison, letters: list[str], title: str, rows: Iterable[Row], last: Row | None) -> Table:
    """Return a row for each task or language: scores, and their shares where there is room for them."""
    others = [place for place, name in enumerate(found.models) if name != found.against]
    beside = others if len(found.models) <= _MOST_COLUMNS else []
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, show_edge=False)
    table.add_column("", overflow="fold")
    for head in (*letters, *(f"{letters[place]}, %" for place in beside)):
        table.add_column(head, justify="right", no_wrap=True)

    def add(name: str, row: Row, style: str | None = None) -> None:
        shares = [_marked(_percent(row.cells[place].kept), row.cells[place]) for place in beside]
        scores = [f"{cell.score:.2f}" if beside else _marked(f"{cell.score:.2f}", cell) for cell in row.cells]
        table.add_row(escape(name), *scores, *shares, style=style)

    for row in rows:
        add(row.name, row)
    if last is not None:
        add(f"all ({last.count})" if last is found.overall else "mean", last, "bold")
        if not beside:
            table.add_row("…, %", *(_percent(cell.kept) for cell in last.cells), style="bold")
    return table


def _marked(text: str, cell: Cell) -> str:
    """Put the mark behind what may be noise, and as much room behind what is not, so that figures stay in line."""
    return text + (NOISE if cell.is_noise else " " if cell.difference is not None else "")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"

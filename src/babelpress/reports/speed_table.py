"""How a speed is shown: its figures and their units, and the table of `babelpress speed`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from babelpress.evaluation.speed.measure import ROUNDS, SINGLES, SpeedReport
from babelpress.evaluation.speed.worker import BATCH
from babelpress.recipe import Recipe
from babelpress.schema.results import ModelResult, Results, Speed, Spread
from babelpress.utils.machine import where


@dataclass(frozen=True)
class Figure:
    """A figure of a speed: its name with the unit, where it stands in a Speed, and its number format."""

    name: str
    field: str
    form: str

    @property
    def width(self) -> int:
        """Return the columns that the name needs, a word a line; no less than any value in sight."""
        return max(8, *map(len, self.name.split()))

    def median(self, speed: Speed | None) -> str:
        """Return the median, a dash where nothing was measured."""
        return "–" if speed is None else self.text(self.spread(speed).median)

    def median_and_range(self, speed: Speed | None) -> str:
        """Return the median with lowest and highest round in brackets, a dash where nothing was measured."""
        if speed is None:
            return "–"
        found = self.spread(speed)
        return f"{self.text(found.median)} ({self.text(found.low)}–{self.text(found.high)})"

    def spread(self, speed: Speed) -> Spread:
        """Return the figure of this speed."""
        found: Spread = getattr(speed, self.field)
        return found

    def text(self, value: float) -> str:
        """Return a value in the figure's number format."""
        return format(value, self.form)


FIGURES = (
    Figure("sentences/s", "batched", ",.0f"),
    Figure("one sentence p50, ms", "single_p50", ",.1f"),
    Figure("one sentence p95, ms", "single_p95", ",.1f"),
    Figure("load, s", "load", ",.2f"),
    Figure("memory, MiB", "resident", ",.0f"),
)


def speed_rows(models: Sequence[ModelResult]) -> list[tuple[str, ...]]:
    """Return a line for each figure: its name and every model's median; none where no model was timed."""
    if not any(model.speed for model in models):
        return []
    return [(figure.name, *(figure.median(model.speed) for model in models)) for figure in FIGURES]


def how_measured(*, sentences: int, rounds: int, singles: int = SINGLES) -> str:
    """Return how speed was measured, in words that card, page and a table's foot share."""
    return (
        f"each model alone in a process of its own, {rounds} rounds in turn; {sentences:,} sentences in batches of "
        f"{BATCH}, {min(singles, sentences)} of them one at a time; load is from a warm disk, libraries imported"
    )


def how_timed(recipe: Recipe, results: Results) -> str:
    """Return how a run's models were timed: on as many of the held-out sentences as the recipe says and there are."""
    sentences = min(recipe.evaluation.speed_sentences, results.held_out_sentences)
    return how_measured(sentences=sentences, rounds=ROUNDS)


def speed_view(report: SpeedReport) -> RenderableType:
    """Return a table in 80 columns: each model's medians, lowest and highest round, and ratios to the first."""
    table = Table(title="speed and memory", title_justify="left", title_style="bold", pad_edge=False, show_edge=False)
    table.add_column("", overflow="fold")
    for figure in FIGURES:
        table.add_column(figure.name, justify="right", width=figure.width, overflow="fold")
    first = next(iter(report.models.values()))
    for name, speed in report.models.items():
        spreads = [(figure, figure.spread(speed)) for figure in FIGURES]
        table.add_row(escape(name), *(figure.median(speed) for figure in FIGURES), style="bold")
        table.add_row("  lowest", *(figure.text(found.low) for figure, found in spreads), style="dim")
        table.add_row("  highest", *(figure.text(found.high) for figure, found in spreads), style="dim")
        if speed is not first:
            table.add_row("  × first", *(_times(found, figure.spread(first)) for figure, found in spreads))
    return Group(table, Text(_foot(report), style="dim"))


def _times(own: Spread, first: Spread) -> str:
    return f"{own.median / first.median:.2f}" if first.median else "–"


def _sizes(report: SpeedReport) -> str:
    sizes = [f"{name} {size / 2**20:,.1f} MiB" for name, size in report.folder_bytes.items()]
    return f"on disk: {', '.join(sizes)}"


def _foot(report: SpeedReport) -> str:
    libraries = statistics.median(speed.libraries for speed in report.models.values())
    return (
        f"{_sizes(report)}; medians; × first: what they are of the first model's; "
        f"{how_measured(sentences=report.sentences, rounds=report.rounds)}; memory is the whole process's after "
        f"encoding, {libraries:,.0f} MiB of it libraries; {where(report.machine)}"
    )

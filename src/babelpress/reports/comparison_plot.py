"""A comparison as a picture: the score of every group for every model."""

from __future__ import annotations

from pathlib import Path

from babelpress.evaluation.compare.comparison import Cell, Comparison
from babelpress.reports.style import INK, MODEL_COLOURS, check_ending, house_style, new_figure, save, tidy


def draw_comparison(found: Comparison, path: Path) -> None:
    """Draw a bar for each model in each group, and in all, with its interval; PNG or SVG, by the ending."""
    check_ending("--plot", path)
    rows = [group.mean for group in found.groups]
    rows = [*rows, found.overall] if len(rows) > 1 else rows
    models = len(found.models)
    width = 0.82 / models
    labelled = models * len(rows) <= 40
    with house_style():
        wide = max(6.4, 1.2 + len(rows) * (0.5 + (0.52 if labelled else 0.2) * models))
        figure = new_figure(wide, 4.8)
        axis = figure.subplots()
        for place, name in enumerate(found.models):
            cells = [row.cells[place] for row in rows]
            scores = [cell.score for cell in cells]
            at = [number + (place - (models - 1) / 2) * width for number in range(len(rows))]
            colour = MODEL_COLOURS[place % len(MODEL_COLOURS)]
            bars = axis.bar(
                at, scores, width=0.92 * width, color=colour, label=name,
                yerr=list(zip(*map(_reach, cells), strict=True)), ecolor=INK, error_kw={"elinewidth": 1},
            )  # fmt: skip
            if labelled:
                axis.bar_label(bars, fmt="%.1f", fontsize=8, color=INK, padding=2)
        tidy(axis, grid="y")
        axis.set_xticks(range(len(rows)), [f"{row.name}\n{count_tasks(row.count)}" for row in rows])
        axis.set_ylabel("score, %")
        axis.margins(y=0.08)
        figure.legend(loc="outside upper left", ncols=min(2, models), frameon=False, fontsize=10)
        save(figure, path)


def _reach(cell: Cell) -> tuple[float, float]:
    """Return how far the interval reaches below and above the score; nothing where there is none."""
    if cell.interval is None:
        return 0.0, 0.0
    return max(0.0, cell.score - cell.interval[0]), max(0.0, cell.interval[1] - cell.score)


def count_tasks(count: int) -> str:
    """Return a number of tasks in words."""
    return f"{count} task{'s' if count != 1 else ''}"

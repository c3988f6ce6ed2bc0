"""A comparison as a picture: the score of every group for every model, with its 95 % interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.evaluation.comparison import Cell, Comparison
from babelpress.files import replace_file

_INK, _QUIET, _LINE = "#1b1e28", "#6b7080", "#d5d8e0"
_COLOURS = ("#30638e", "#d1495b", "#edae49", "#00798c", "#9d4edd", "#6a994e", "#8d6e63", "#5f6f7f")
ENDINGS = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Refuse a file that is neither .png nor .svg. Raises EvaluationError."""
    if path.suffix.lower() not in ENDINGS:
        raise EvaluationError(f"--plot {path}: its name must end in {' or '.join(ENDINGS)}")


def draw_comparison(found: Comparison, path: Path) -> None:
    """Draw a bar for each model in each group, and in all, with its interval; PNG or SVG, by the ending."""
    check_plot(path)
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows = [group.mean for group in found.groups]
    rows = [*rows, found.overall] if len(rows) > 1 else rows
    models = len(found.models)
    width = 0.82 / models
    labelled = models * len(rows) <= 40
    style: dict[Any, Any] = {"font.family": "DejaVu Sans", "svg.hashsalt": "babelpress", "svg.fonttype": "path"}
    with plt.style.context(["default", style]):  # whatever the user's matplotlibrc says
        wide = max(6.4, 1.2 + len(rows) * (0.5 + (0.52 if labelled else 0.2) * models))
        figure, axis = plt.subplots(figsize=(wide, 4.8), layout="constrained")
        for place, name in enumerate(found.models):
            cells = [row.cells[place] for row in rows]
            scores = [cell.score for cell in cells]
            at = [number + (place - (models - 1) / 2) * width for number in range(len(rows))]
            bars = axis.bar(
                at, scores, width=0.92 * width, color=_COLOURS[place % len(_COLOURS)], label=name, zorder=2,
                yerr=list(zip(*map(_reach, cells), strict=True)), ecolor=_INK, error_kw={"elinewidth": 1, "zorder": 3},
            )  # fmt: skip
            if labelled:
                axis.bar_label(bars, fmt="%.1f", fontsize=8, color=_INK, padding=2)
        axis.set_xticks(range(len(rows)), [f"{row.name}\n{_tasks(row.count)}" for row in rows], color=_INK, fontsize=10)
        axis.set_ylabel("score, %", color=_QUIET)
        axis.tick_params(length=0, labelcolor=_INK)
        axis.grid(axis="y", color=_LINE, linewidth=0.8, zorder=0)
        axis.margins(y=0.08)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.spines["bottom"].set_color(_LINE)
        figure.legend(loc="outside upper left", ncols=min(2, models), frameon=False, fontsize=10, labelcolor=_INK)
        ending = path.suffix.lower()[1:]
        metadata: Any = {"Software": None} if ending == "png" else {"Date": None}
        replace_file(path, lambda file: figure.savefig(file, format=ending, dpi=150, metadata=metadata))
        plt.close(figure)


def _reach(cell: Cell) -> tuple[float, float]:
    """Return how far the interval reaches below and above the score; nothing where there is none."""
    if cell.interval is None:
        return 0.0, 0.0
    return max(0.0, cell.score - cell.interval[0]), max(0.0, cell.interval[1] - cell.score)


def _tasks(count: int) -> str:
    return f"{count} task{'s' if count != 1 else ''}"

"""Fidelity by length as a picture: how near each student stays to its teacher as texts grow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.evaluation.measures import TEACHER
from babelpress.evaluation.results import Measures
from babelpress.files import replace_file
from babelpress.report.comparison_plot import check_plot

_INK, _QUIET, _LINE = "#1b1e28", "#6b7080", "#d5d8e0"
_COLOURS = ("#30638e", "#d1495b", "#edae49", "#00798c", "#9d4edd", "#6a994e", "#8d6e63", "#5f6f7f")


def draw_lengths(found: Mapping[str, Measures], path: Path) -> None:
    """Draw each student's mean cosine to the teacher over the length of texts, and its 5th percentile, dashed.

    PNG or SVG, by the ending. Raises EvaluationError where no student has figures by length.
    """
    check_plot(path)
    students = {name: own.by_length for name, own in found.items() if name != TEACHER and own.by_length}
    if not students:
        raise EvaluationError(f"there is nothing to draw in {path}: no model has figures by length")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    lengths = sorted({at.tokens for by_length in students.values() for at in by_length})
    style: dict[Any, Any] = {"font.family": "DejaVu Sans", "svg.hashsalt": "babelpress", "svg.fonttype": "path"}
    with plt.style.context(["default", style]):  # whatever the user's matplotlibrc says
        figure, axis = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        axis.axhline(1.0, color=_INK, linewidth=1.2, label="teacher", zorder=2)
        for place, (name, by_length) in enumerate(students.items()):
            colour = _COLOURS[place % len(_COLOURS)]
            tokens = [at.tokens for at in by_length]
            means, lows = [at.cosine for at in by_length], [at.cosine_p5 for at in by_length]
            axis.plot(tokens, means, color=colour, marker="o", markersize=5, linewidth=1.8, label=name, zorder=4)
            axis.plot(tokens, lows, color=colour, linestyle="--", linewidth=1.0, zorder=3)
        axis.set_xscale("log", base=2)
        axis.set_xticks(lengths, [str(tokens) for tokens in lengths], color=_INK)
        axis.minorticks_off()
        axis.set_xlabel("tokens of the teacher (solid: mean, dashed: 5th percentile)", color=_QUIET)
        axis.set_ylabel("cosine to the teacher", color=_QUIET)
        axis.tick_params(length=0, labelcolor=_INK)
        axis.grid(axis="y", color=_LINE, linewidth=0.8, zorder=0)
        axis.margins(x=0.04, y=0.06)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.spines["bottom"].set_color(_LINE)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=10, labelcolor=_INK)
        ending = path.suffix.lower()[1:]
        metadata: Any = {"Software": None} if ending == "png" else {"Date": None}
        replace_file(path, lambda file: figure.savefig(file, format=ending, dpi=150, metadata=metadata))
        plt.close(figure)

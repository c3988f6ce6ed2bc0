"""Fidelity by length as a picture: how near each student stays to its teacher as texts grow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from babelpress.errors import EvaluationError
from babelpress.reports.style import INK, house_style, model_colour, new_figure, save, tidy
from babelpress.schema.results import TEACHER, AtLength, Measures


def lengths_of(found: Mapping[str, Measures]) -> dict[str, tuple[AtLength, ...]]:
    """Return the figures by length of every student that has some."""
    return {name: own.by_length for name, own in found.items() if name != TEACHER and own.by_length}


def draw_lengths(found: Mapping[str, Measures], path: Path) -> None:
    """Draw each student's mean cosine to the teacher over the length of texts, and its 5th percentile, dashed.

    PNG or SVG, by the ending, both without one. Raises EvaluationError where no student has figures by length.
    """
    students = lengths_of(found)
    if not students:
        raise EvaluationError(f"there is nothing to draw in {path}: no model has figures by length")
    lengths = sorted({at.tokens for by_length in students.values() for at in by_length})
    with house_style():
        figure = new_figure(6.4, 4.8)
        axis = figure.subplots()
        axis.axhline(1.0, color=INK, linewidth=1.2, label="teacher", zorder=2)
        for place, (name, by_length) in enumerate(students.items()):
            colour = model_colour(name, place)
            tokens = [at.tokens for at in by_length]
            means, lows = [at.cosine for at in by_length], [at.cosine_p5 for at in by_length]
            axis.plot(tokens, means, color=colour, marker="o", markersize=5, linewidth=1.8, label=name, zorder=4)
            axis.plot(tokens, lows, color=colour, linestyle="--", linewidth=1.0, zorder=3)
        axis.set_xscale("log", base=2)
        tidy(axis, grid="y")
        axis.set_xticks(lengths, [str(tokens) for tokens in lengths])
        axis.minorticks_off()
        axis.set_xlabel("tokens of the teacher (solid: mean, dashed: 5th percentile)")
        axis.set_ylabel("cosine to the teacher")
        axis.margins(x=0.04, y=0.06)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=10)
        save(figure, path)

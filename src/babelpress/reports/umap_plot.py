"""Parallel sentences as every model sees them, as a still picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babelpress.reports.style import (
    INK,
    QUIET,
    house_style,
    language_look,
    language_name,
    new_figure,
    save,
    sentence_colours,
)

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

_LETTER, _AROUND = 5.6, 48  # points: a letter of a legend of 10 points, and what stands around a label


def draw_points(points: dict[str, NDArray[np.float32]], *, languages: list[str], out: Path, title: str) -> None:
    """Write umap.png and umap.svg: two rows (coloured by language, by sentence) and a column per model.

    Points have shape (languages x sentences, 2), language by language.
    """
    count = len(next(iter(points.values()))) // len(languages)
    with house_style():
        width = 4.6 * len(points)
        figure = new_figure(width, 9.6)
        axes = figure.subplots(2, len(points), squeeze=False)
        figure.suptitle(title, fontsize=15, color=INK, x=0.01, ha="left")
        by_sentence = sentence_colours(count)
        for column, (name, where) in enumerate(points.items()):
            top, bottom = axes[0][column], axes[1][column]
            for number in range(len(languages)):
                x, y = where[number * count : (number + 1) * count].T
                colour, marker = language_look(number)
                top.scatter(x, y, s=13, color=colour, marker=marker, linewidths=0, alpha=0.85)
                bottom.scatter(x, y, s=13, color=by_sentence, linewidths=0, alpha=0.85)
            top.set_title(name, fontsize=13, color=INK)
            for axis in (top, bottom):
                axis.set(xticks=[], yticks=[])
        axes[0][0].set_ylabel("coloured by language", fontsize=11, color=QUIET)
        axes[1][0].set_ylabel("coloured by sentence", fontsize=11, color=QUIET)
        handles = _legend(languages)
        columns = fitting_columns([str(handle.get_label()) for handle in handles], points=72 * width)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
        save(figure, out / "umap")


def fitting_columns(labels: list[str], *, points: float) -> int:
    """Return in how many columns, eight at most, a legend's labels fit into a width; they go down the columns."""
    for columns in range(min(8, len(labels)), 1, -1):
        widest = [max(map(len, part)) for part in np.array_split(labels, columns)]
        if sum(_LETTER * letters + _AROUND for letters in widest) <= points:
            return columns
    return 1


def _legend(languages: list[str]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    looks = [language_look(number) for number in range(len(languages))]
    return [
        Line2D([], [], marker=marker, linestyle="", markersize=7, color=colour, label=f"{code}  {language_name(code)}")
        for code, (colour, marker) in zip(languages, looks, strict=True)
    ]

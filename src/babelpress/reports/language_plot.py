"""What models keep in each language: scores of mteb tasks, or nearness to the teacher where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.compare import compare_scores
from babelpress.evaluation.compare.comparison import Scored
from babelpress.reports.style import INK, LINE, QUIET, house_style, language_name, model_colour, new_figure, save, tidy
from babelpress.schema.results import TEACHER, ModelResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Panel:
    """A figure of every model (second) in every language (first); None where a model has none."""

    label: str
    rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class LanguageFigures:
    """Names of languages and of models, and what is shown of them; the last model loses most in the first language.

    `changes` are its scores less the teacher's; there are none of nearness, where the teacher is 1 by definition.
    """

    languages: tuple[str, ...]
    models: tuple[str, ...]
    panels: tuple[Panel, ...]
    changes: tuple[float, ...] = ()


def language_figures(models: Mapping[str, ModelResult]) -> LanguageFigures | None:
    """Return scores by language, else nearness to the teacher; None where there is neither.

    Scores are those of `compare`: means over tasks, of the subsets in one language that all models have.
    """
    return _scores(models) or _closeness(models)


def _scores(models: Mapping[str, ModelResult]) -> LanguageFigures | None:
    try:
        found = compare_scores([Scored(name, result.scores, "run") for name, result in models.items()], against=TEACHER)
    except EvaluationError:  # one model, or no task that all have
        return None
    if not found.languages:
        return None
    first = found.models.index(TEACHER)
    changes = {row.name: row.cells[-1].score - row.cells[first].score for row in found.languages}
    rows = sorted(found.languages, key=lambda row: (changes[row.name], row.name))
    label = f"mean score, % (in brackets: tasks)\nat the right: {found.models[-1]} less teacher"
    return LanguageFigures(
        languages=tuple(f"{language_name(row.name)} ({row.count})" for row in rows),
        models=found.models,
        panels=(Panel(label, tuple(tuple(cell.score for cell in row.cells) for row in rows)),),
        changes=tuple(changes[row.name] for row in rows),
    )


def _closeness(models: Mapping[str, ModelResult]) -> LanguageFigures | None:
    """Return cosines to the teacher, and the share of nearest neighbours that are the teacher's where it is known."""
    near = {
        name: result.measures.by_language
        for name, result in models.items()
        if name != TEACHER and result.measures.by_language
    }
    if not near:
        return None
    last = list(near.values())[-1]
    codes = sorted(last, key=lambda code: (last[code].cosine, code))
    found = [tuple(own.get(code) for own in near.values()) for code in codes]
    panels = [
        Panel("cosine to the teacher", tuple(tuple(one.cosine if one else None for one in row) for row in found)),
        Panel("ten nearest in common", tuple(tuple(one.overlap if one else None for one in row) for row in found)),
    ]
    return LanguageFigures(
        languages=tuple(map(language_name, codes)),
        models=tuple(near),
        panels=tuple(panel for panel in panels if any(value is not None for row in panel.rows for value in row)),
    )


def draw_languages(found: LanguageFigures, out: Path, *, title: str = "") -> None:
    """Draw a line for each language, with a dot on it for each model, and the change of the last model beside it."""
    count = len(found.languages)
    with house_style():
        figure = new_figure(2.6 + 4.6 * len(found.panels), 1.6 + 0.25 * count)
        axes = figure.subplots(1, len(found.panels), sharey=True, squeeze=False)[0]
        figure.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left")
        for axis, panel in zip(axes, found.panels, strict=True):
            _draw_panel(axis, panel, found.models)
        axes[0].set_yticks(range(count), found.languages)
        axes[0].set_ylim(count - 0.4, -0.6)
        for row, change in enumerate(found.changes):
            axes[0].annotate(
                f"{change:+.1f}".replace("-", "\N{MINUS SIGN}"), (1.0, row), xycoords=("axes fraction", "data"),
                xytext=(4, 0), textcoords="offset points", va="center", color=QUIET, fontsize=8,
            )  # fmt: skip
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=10)
        save(figure, out)


def _draw_panel(axis: Axes, panel: Panel, models: tuple[str, ...]) -> None:
    for row, values in enumerate(panel.rows):
        known = [value for value in values if value is not None]
        if known:
            axis.plot([min(known), max(known)], [row, row], color=LINE, linewidth=2.5, zorder=2)
    for place, name in enumerate(models):
        shown = [(values[place], row) for row, values in enumerate(panel.rows) if values[place] is not None]
        x, y = zip(*shown, strict=True) if shown else ((), ())
        axis.plot(x, y, "o", color=model_colour(name, place), markersize=6, label=name, zorder=3)
    axis.set_xlabel(panel.label)
    tidy(axis, grid="x")

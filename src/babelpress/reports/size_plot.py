"""Score against size: what a model costs and what it reaches, beside models that one would take instead."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.compare import compare_scores
from babelpress.evaluation.compare.comparison import Comparison, Scored
from babelpress.evaluation.compare.models import run_scored
from babelpress.evaluation.compare.published import Published
from babelpress.reports.comparison_plot import count_tasks
from babelpress.reports.style import INK, QUIET, house_style, new_figure, save, tidy
from babelpress.schema.results import ModelResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

_Place = tuple[tuple[int, int], Literal["left", "center", "right"], Literal["bottom", "center", "top"]]

_COLOURS = {"run": "#d1495b", "measured": "#edae49", "published": "#30638e"}
_WORDS = {"run": "measured in a run", "measured": "measured here", "published": "published by others"}
_FRONT: dict[str, Any] = {"color": "#a9afbd", "linewidth": 1.2, "linestyle": (0, (4, 3)), "zorder": 1}
# Where a name may stand around its dot: so many points away, and how it is aligned there.
_PLACES: tuple[_Place, ...] = (
    ((8, 0), "left", "center"), ((-8, 0), "right", "center"), ((0, 8), "center", "bottom"), ((0, -8), "center", "top"),
    ((7, 7), "left", "bottom"), ((7, -7), "left", "top"), ((-7, 7), "right", "bottom"), ((-7, -7), "right", "top"),
)  # fmt: skip


@dataclass(frozen=True)
class Sized:
    """A model whose size is known, and its mean score in percent."""

    name: str
    parameters: int
    score: float
    origin: str


@dataclass(frozen=True)
class Sizes:
    """Models, and of how many tasks their scores are the mean; the size of the `unknown` ones nobody tells."""

    models: tuple[Sized, ...]
    tasks: int
    unknown: tuple[str, ...] = ()


def sizes_of(found: Comparison) -> Sizes:
    """Return the compared models whose size is known; scores are over the tasks that all have.

    Raises EvaluationError where no size is known.
    """
    every = list(zip(found.models, found.parameters, found.overall.cells, found.origins, strict=True))
    models = tuple(Sized(name, size, cell.score, origin) for name, size, cell, origin in every if size is not None)
    unknown = tuple(name for name, size, *_ in every if size is None)
    if not models:
        raise EvaluationError(f"nobody tells how many parameters these have: {', '.join(unknown)}")
    return Sizes(models, found.overall.count, unknown)


def sizes_of_run(
    models: Mapping[str, ModelResult], *, recipe: str, teacher_id: str, published: Iterable[Published]
) -> Sizes | None:
    """Return a run's models beside published ones of known size; None where the run has no scores.

    Published are those that share most of the run's tasks, without the teacher, which the run has measured itself.
    """
    own = [run_scored(result, name, recipe=recipe, teacher_id=teacher_id) for name, result in models.items()]
    tasks = set.intersection(*(set(one.scores) for one in own)) if own else set()
    others = [model for model in published if model.parameters is not None and model.model_id != teacher_id]
    most = max((len(tasks & set(model.scores)) for model in others), default=0)
    beside = [
        Scored(model.name, model.scores, "published", parameters=model.parameters)
        for model in others
        if most and len(tasks & set(model.scores)) == most
    ]
    for shown in (own + beside, own):
        try:
            return sizes_of(compare_scores(shown))
        except EvaluationError:  # no task, or no subset of one, is common to all
            continue
    return None


def best_for_size(models: Iterable[Sized]) -> list[Sized]:
    """Return the models than which none is both no larger and better, by size: the Pareto front."""
    front: list[Sized] = []
    for model in sorted(models, key=lambda one: (one.parameters, -one.score)):
        if not front or model.score > front[-1].score:
            front.append(model)
    return front


def draw_sizes(found: Sizes, out: Path, *, title: str = "") -> None:
    """Draw a dot for each model, and a line through those that none of their size or smaller surpasses."""
    with house_style():
        figure = new_figure(8.4, 5.4)
        axis = figure.subplots()
        figure.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left")
        front = best_for_size(found.models)
        axis.step([one.parameters for one in front], [one.score for one in front], where="post", **_FRONT)
        origins = dict.fromkeys(model.origin for model in found.models)
        for origin in origins:
            shown = [(model.parameters, model.score) for model in found.models if model.origin == origin]
            x, y = zip(*shown, strict=True)
            axis.plot(x, y, "o", markersize=8, zorder=3, color=_COLOURS[origin], label=_WORDS[origin])
        _scale_sizes(axis)
        left_out = textwrap.wrap(f"left out, of unknown size: {', '.join(found.unknown)}", 100) if found.unknown else []
        axis.set_xlabel("\n".join(["parameters", *left_out]))
        axis.set_ylabel(f"mean score of {count_tasks(found.tasks)}, %")
        tidy(axis, grid="y")
        if len(origins) > 1:
            figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=10)
        figure.draw_without_rendering()  # until then nobody knows where the dots are
        _name_dots(axis, found.models)
        save(figure, out)


def _scale_sizes(axis: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.margins(x=0.25, y=0.15)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(lambda value, _: _short(value))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _short(parameters: float) -> str:
    return f"{parameters / 1e6:g}M" if parameters >= 1e5 else f"{parameters / 1e3:g}k"


def _name_dots(axis: Axes, models: tuple[Sized, ...]) -> None:
    """Write each name where it hides neither a dot nor another name, as far as there is such a place."""
    from matplotlib.transforms import Bbox

    dots = [axis.transData.transform((model.parameters, model.score)) for model in models]
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in dots]
    for model in models:
        choices = [_write_name(axis, model, place) for place in _PLACES]
        boxes = [choice.get_window_extent() for choice in choices]
        hidden = [sum(map(box.overlaps, taken)) + 10 * _outside(box, axis.bbox) for box in boxes]
        best = hidden.index(min(hidden))
        for choice in [*choices[:best], *choices[best + 1 :]]:
            choice.remove()
        taken.append(boxes[best])


def _outside(box: BboxBase, around: BboxBase) -> bool:
    return box.x0 < around.x0 or box.x1 > around.x1 or box.y0 < around.y0 or box.y1 > around.y1


def _write_name(axis: Axes, model: Sized, place: _Place) -> Annotation:
    offset, across, along = place
    return axis.annotate(
        model.name, (model.parameters, model.score), xytext=offset, textcoords="offset points", ha=across, va=along,
        fontsize=9, color=INK if model.origin != "published" else QUIET, zorder=2, in_layout=False,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip

"""How a training went: loss, its terms and the learning rate by step, from the log."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from babelpress.reports.style import INK, LINE, RUN_COLOURS, house_style, new_figure, save, tidy
from babelpress.schema.losses import LOSSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_HELD_OUT = "held_out_loss"
_MOST = 1_000
_COLOURS = ("#30638e", "#edae49", "#00798c", "#9d4edd", "#6a994e", "#8d6e63", "#c1666b")


@dataclass(frozen=True)
class Curve:
    """Figures by step: arrays of one length, nan where a figure is missing."""

    steps: Floats
    figures: dict[str, Floats]


@dataclass(frozen=True)
class Training:
    """What a log says: loss, its terms and the learning rate while it trained, and the held-out loss of epochs."""

    training: Curve
    held_out: Curve

    @property
    def empty(self) -> bool:
        """Tell whether there is no loss to draw."""
        return not self.losses

    @property
    def losses(self) -> list[Floats]:
        """Return all losses, the held-out one included."""
        trained = [values for name, values in self.training.figures.items() if name != "lr"]
        return [*trained, *self.held_out.figures.values()]


class _Bins:
    """Means of figures, in bins of so many steps that there are never more than `most` of them.

    A step that is not above the last one starts what a resumed training did again: what stood there and behind it
    is forgotten, whole bins of it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._width = 1
        self._last = -math.inf
        self._bins: dict[int, dict[str, tuple[float, int]]] = {}

    def add(self, step: int, figures: dict[str, float]) -> None:
        if step <= self._last:
            self._bins = {place: held for place, held in self._bins.items() if place < step // self._width}
        self._last = step
        _join(self._bins.setdefault(step // self._width, {}), {k: (v, 1) for k, v in {"step": step, **figures}.items()})
        while len(self._bins) > self._most:
            self._widen()

    def _widen(self) -> None:
        narrow, self._bins, self._width = self._bins, {}, 2 * self._width
        for place, held in narrow.items():
            _join(self._bins.setdefault(place // 2, {}), held)

    def curve(self, names: tuple[str, ...]) -> Curve:
        """Return the means of those of the figures that were there."""
        ordered = [self._bins[place] for place in sorted(self._bins)]
        means = {name: np.array([_mean(held.get(name)) for held in ordered]) for name in ("step", *names)}
        return Curve(means["step"], {name: means[name] for name in names if not np.isnan(means[name]).all()})


def _join(held: dict[str, tuple[float, int]], more: dict[str, tuple[float, int]]) -> None:
    for name, (total, count) in more.items():
        old, number = held.get(name, (0.0, 0))
        held[name] = (old + total, number + count)


def _mean(found: tuple[float, int] | None) -> float:
    return found[0] / found[1] if found else math.nan


def read_training(log: Path, *, most: int = _MOST) -> Training:
    """Read a log of any length in one pass and constant memory; lines that are torn or of no number are left out."""
    training, held_out = _Bins(most), _Bins(most)
    terms: dict[str, None] = {}
    for line in _lines(log):
        figures = {
            name: float(value) for name, value in line.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        }  # fmt: skip
        if "step" not in figures:
            continue
        step = int(figures.pop("step"))
        (held_out if any(name.startswith("held_out_") for name in line) else training).add(step, figures)
        terms |= dict.fromkeys(name for name in figures if name.partition("@")[0] in LOSSES)
    return Training(training.curve(("loss", *terms, "lr")), held_out.curve((_HELD_OUT,)))


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    if not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found


def smooth(values: Floats, *, window: int) -> Floats:
    """Return the mean of so many neighbours of each value, as many on either side; what is nan is left out.

    Towards the ends there are fewer, so that a steep beginning stays where it is.
    """
    place = np.arange(len(values))
    half = np.minimum(window // 2, np.minimum(place, place[::-1]))
    known = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    number = counts[place + half + 1] - counts[place - half]
    return np.where(number > 0, (sums[place + half + 1] - sums[place - half]) / np.maximum(number, 1), np.nan)


def draw_loss(found: Training, out: Path, *, title: str = "") -> bool:
    """Draw the losses above a strip of the learning rate; False, and no file, where the log holds nothing."""
    if found.empty:
        return False
    with house_style():
        figure = new_figure(8.4, 5.4)
        top, strip = figure.subplots(2, 1, sharex=True, height_ratios=[6, 1])
        figure.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left")
        _draw_training(top, found.training)
        _draw_held_out(top, found.held_out)
        if _spans_decades(found):
            top.set_yscale("log")
            top.yaxis.set_major_formatter("{x:g}")
        else:
            top.set_ylim(bottom=0)
        top.set_ylabel("loss; terms before their weights")
        _draw_rate(strip, found.training)
        strip.set_xlabel("step")
        strip.set_xlim(left=0)
        strip.xaxis.set_major_formatter("{x:,.0f}")
        tidy(top, grid="y")
        tidy(strip, grid="y")
        figure.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=10)
        save(figure, out)
    return True


def _draw_training(axis: Axes, curve: Curve) -> None:
    """Draw the terms and their sum, each as the mean of its neighbours, and the sum as it is, faintly."""
    window = 1 + 2 * min(15, len(curve.steps) // 20)
    terms = [name for name in curve.figures if name not in ("loss", "lr")]
    for place, name in enumerate(terms):
        values = smooth(curve.figures[name], window=window)
        axis.plot(curve.steps, values, color=_COLOURS[place % len(_COLOURS)], linewidth=1.2, label=_words(name))
    if "loss" in curve.figures:
        total = curve.figures["loss"]
        axis.plot(curve.steps, total, color=LINE, linewidth=0.8, zorder=1)
        axis.plot(curve.steps, smooth(total, window=window), color=INK, linewidth=1.8, label="training loss")


def _draw_held_out(axis: Axes, curve: Curve) -> None:
    values = curve.figures.get(_HELD_OUT)
    if values is None:
        return
    best, colour = int(np.nanargmin(values)), RUN_COLOURS["distilled"]
    label = f"held-out loss, best {values[best]:.4g}"
    axis.plot(curve.steps, values, "o", color=colour, markersize=5, label=label, zorder=4)
    axis.plot(curve.steps[best], values[best], "o", color="none", markeredgecolor=colour, markersize=11, zorder=4)


def _draw_rate(axis: Axes, curve: Curve) -> None:
    axis.set_ylabel("learning\nrate")
    axis.set_yticks([])
    rate = curve.figures.get("lr")
    if rate is None:
        return
    highest = float(np.nanmax(rate))
    axis.fill_between(curve.steps, rate, color=LINE, linewidth=0)
    axis.plot(curve.steps, rate, color=INK, linewidth=0.8)
    axis.set_ylim(0, 1.05 * highest or 1.0)
    axis.set_yticks([0, highest], ["0", f"{highest:.2g}"])


def _words(term: str) -> str:
    name, _, dimensions = term.partition("@")
    return f"{name}, {dimensions} dimensions" if dimensions else name


def _spans_decades(found: Training) -> bool:
    """Tell whether all losses are positive and some more than twenty times others."""
    every = np.concatenate(found.losses)
    return bool(np.nanmin(every) > 0 and np.nanmax(every) > 20 * np.nanmin(every))

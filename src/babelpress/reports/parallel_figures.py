"""The figures of parallel sentences, and how to read each: what card and page show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from babelpress.schema.results import Parallel


@dataclass(frozen=True)
class ParallelFigure:
    """A figure: its name, how it is written, and how it is read, with what guessing gives for these sentences."""

    name: str
    text: Callable[[Parallel], str]
    reading: Callable[[Parallel], str]


PARALLEL_FIGURES = (
    ParallelFigure(
        "translation is the nearest",
        lambda own: _percent(own.accuracy),
        lambda own: f"higher is better; guessing gives {_percent(1 / own.sentences)}",
    ),
    ParallelFigure(
        "mean rank of the translation",
        lambda own: f"{own.mean_rank:.2f}",
        lambda own: f"1 is best, of {own.sentences}; guessing gives {(own.sentences + 1) / 2:.1f}",
    ),
    ParallelFigure(
        "language told by a linear probe",
        lambda own: _percent(own.language_probe),
        lambda own: f"lower is better; guessing gives {_percent(own.language_chance)}",
    ),
    ParallelFigure(
        "alignment",
        lambda own: f"{own.alignment:.3f}",
        lambda _: "squared distance of translations; lower is better where uniformity is as low",
    ),
    ParallelFigure(
        "uniformity",
        lambda own: f"{own.uniformity:.3f}",
        lambda _: "lower is better: different meanings lie further apart",
    ),
)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

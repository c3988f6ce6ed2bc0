"""Tables of the card that set the models' measures side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from babelpress.evaluation.results import ModelResult, Parallel
from babelpress.evaluation.speed import ROUNDS
from babelpress.report.speed_table import FIGURES, how_measured


def speed_table(teacher: ModelResult, student: ModelResult, *, sentences: int) -> dict[str, Any]:
    """Return the rows of speed and memory and how they were measured; no rows where nothing was."""
    if student.speed is None:
        return {"rows": [], "how": ""}
    rows = [
        {
            "name": figure.name,
            "teacher": figure.median_and_range(teacher.speed),
            "student": figure.median_and_range(student.speed),
        }
        for figure in FIGURES
    ]
    return {"rows": rows, "how": how_measured(sentences=sentences, rounds=ROUNDS)}


def parallel_table(teacher: ModelResult, pressed: ModelResult, student: ModelResult) -> list[dict[str, str]]:
    """Return the numbers behind the picture and how to read each; none where one of the models has none."""
    columns = {"teacher": teacher.parallel, "pressed": pressed.parallel, "student": student.parallel}
    found = {name: values for name, values in columns.items() if values is not None}
    if len(found) < len(columns):
        return []
    one = found["student"]
    rank, guess = f"{(one.sentences + 1) / 2:.1f}", "guessing gives"

    def row(name: str, value: Callable[[Parallel], str], read: str) -> dict[str, str]:
        return {"name": name, **{column: value(values) for column, values in found.items()}, "read": read}

    return [
        row(
            "translation is the nearest", lambda model: _percent(model.accuracy),
            f"higher is better; {guess} {_percent(1 / one.sentences)}",
        ),
        row(
            "mean rank of the translation", lambda model: f"{model.mean_rank:.2f}",
            f"1 is best, of {one.sentences}; {guess} {rank}",
        ),
        row(
            "language told by a linear probe", lambda model: _percent(model.language_probe),
            f"lower is better; {guess} {_percent(one.language_chance)}",
        ),
        row(
            "alignment", lambda model: f"{model.alignment:.3f}",
            "squared distance of translations; lower is better where uniformity is as low",
        ),
        row(
            "uniformity", lambda model: f"{model.uniformity:.3f}",
            "lower is better: different meanings lie further apart",
        ),
    ]  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

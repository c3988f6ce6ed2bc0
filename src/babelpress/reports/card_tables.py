"""Tables of the card that set the models' measures side by side."""

from __future__ import annotations

from babelpress.reports.parallel_figures import PARALLEL_FIGURES
from babelpress.reports.speed_table import FIGURES
from babelpress.schema.results import ModelResult


def speed_table(teacher: ModelResult, student: ModelResult) -> list[dict[str, str]]:
    """Return the rows of speed and memory; none where the student was not timed."""
    if student.speed is None:
        return []
    return [
        {
            "name": figure.name,
            "teacher": figure.median_and_range(teacher.speed),
            "student": figure.median_and_range(student.speed),
        }
        for figure in FIGURES
    ]


def parallel_table(teacher: ModelResult, pruned: ModelResult, student: ModelResult) -> list[dict[str, str]]:
    """Return the numbers behind the picture and how to read each; none where one of the models has none."""
    columns = {"teacher": teacher.parallel, "pruned": pruned.parallel, "student": student.parallel}
    found = {name: values for name, values in columns.items() if values is not None}
    if len(found) < len(columns):
        return []
    return [
        {
            "name": figure.name,
            **{column: figure.text(values) for column, values in found.items()},
            "read": figure.reading(found["student"]),
        }
        for figure in PARALLEL_FIGURES
    ]

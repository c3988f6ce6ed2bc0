"""Speed and memory: each model alone, teacher, pruned and student beside each other."""

from __future__ import annotations

from collections.abc import Mapping

from babelpress.reports.page.blocks import Cell, Column, Prose, Row, Section, Table
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import LABELS, NOT_MEASURED, decimal, times
from babelpress.reports.speed_table import FIGURES, Figure, how_timed
from babelpress.schema.results import STUDENT, TEACHER, ModelResult
from babelpress.utils.machine import where

_STAGES = ("evaluation",)


def tell_speed(facts: PageFacts) -> Section:
    """Return the section of speed and memory."""
    models = facts.results.models
    columns = (Column("", number=False), *(Column(LABELS[name], model=name) for name in models))
    rows = [_tokens_row(models)]
    measured = any(model.speed is not None for model in models.values())
    words = "Speed and memory: not measured."
    if measured:
        words = (
            f"Speed and memory: {how_timed(facts.recipe, facts.results)}; memory is the whole process's after "
            f"encoding; {where(facts.results.machine)}."
        )
        rows += [_spread_row(figure, models) for figure in FIGURES]
        rows.append(_libraries_row(models))
    note = "Of speed and memory, the median of the rounds; below it the lowest and the highest."
    table = Table(
        "table-speed", "Tokens, speed and memory", (*columns, Column("student to teacher")), tuple(rows), _STAGES,
        note if measured else "",
    )  # fmt: skip
    return Section("speed", "Speed and memory", (Prose(words), table))


def _tokens_row(models: Mapping[str, ModelResult]) -> Row:
    values = {name: own.tokens_per_sentence for name, own in models.items()}
    cells = (Cell(decimal(value, 1)) for value in values.values())
    return Row("tokens a sentence", (*cells, _ratio(values[STUDENT], values[TEACHER])))


def _spread_row(figure: Figure, models: Mapping[str, ModelResult]) -> Row:
    spreads = {name: None if own.speed is None else figure.spread(own.speed) for name, own in models.items()}
    cells = (
        Cell(NOT_MEASURED)
        if one is None
        else Cell(figure.text(one.median), f"{figure.text(one.low)} – {figure.text(one.high)}")
        for one in spreads.values()
    )
    medians = [None if one is None else one.median for one in (spreads[STUDENT], spreads[TEACHER])]
    return Row(figure.name, (*cells, _ratio(*medians)))


def _libraries_row(models: Mapping[str, ModelResult]) -> Row:
    cells = (Cell(decimal(None if own.speed is None else own.speed.libraries, 0)) for own in models.values())
    return Row("… of it libraries, before the first load", (*cells, Cell("")))


def _ratio(own: float | None, theirs: float | None) -> Cell:
    return Cell(times(own / theirs) if own is not None and theirs else NOT_MEASURED)

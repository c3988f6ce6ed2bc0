"""Speed and memory: each model alone, teacher, pressed and student beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from babelpress.evaluation.results import STUDENT, TEACHER, ModelResult, Speed, Spread
from babelpress.report.page.blocks import Cell, Column, Prose, Row, Section, Table
from babelpress.report.page.facts import PageFacts
from babelpress.report.page.wording import LABELS, NOT_MEASURED, decimal, span, times

_STAGES = ("evaluation",)
# What it is, its unit, digits behind the point.
_FIGURES: dict[str, tuple[str, int, Callable[[Speed], Spread]]] = {
    "sentences a second": ("batches of 32", 1, lambda own: own.batched),
    "one sentence, median": ("ms", 2, lambda own: own.single_p50),
    "one sentence, 95th percentile": ("ms", 2, lambda own: own.single_p95),
    "load": ("s, libraries imported before", 2, lambda own: own.load),
    "resident memory": ("MiB, with its libraries", 1, lambda own: own.resident),
}


def tell_speed(facts: PageFacts) -> Section:
    """Return the section of speed and memory."""
    models = facts.results.models
    columns = (Column("", number=False), *(Column(LABELS[name], model=name) for name in models))
    rows = [_ratio_row("tokens a sentence", "", {name: own.tokens_per_sentence for name, own in models.items()}, 1)]
    measured = any(model.speed is not None for model in models.values())
    words = "Speed and memory: not measured."
    if measured:
        words = f"Each model alone in a process of its own, on {_where(facts)}."
        rows += [_spread_row(name, unit, models, read, digits) for name, (unit, digits, read) in _FIGURES.items()]
        rows.append(_libraries_row(models))
    note = "Of timings, the median of the rounds, which the models take in turn; below it the lowest and the highest."
    table = Table(
        "table-speed", "Tokens, speed and memory", (*columns, Column("student to teacher")), tuple(rows), _STAGES,
        note if measured else "",
    )  # fmt: skip
    return Section("speed", "Speed and memory", (Prose(words), table))


def _where(facts: PageFacts) -> str:
    machine = facts.results.machine
    accelerator = f" with {machine['accelerator']}" if machine.get("accelerator") else ""
    return f"{machine['threads']} threads of {machine['processor']}{accelerator}"


def _ratio_row(name: str, unit: str, values: Mapping[str, float], digits: int) -> Row:
    cells = (Cell(decimal(value, digits)) for value in values.values())
    return Row(name, (*cells, _ratio(values[STUDENT], values[TEACHER])), small=unit)


def _spread_row(
    name: str, unit: str, models: Mapping[str, ModelResult], read: Callable[[Speed], Spread], digits: int
) -> Row:
    spreads = {name: None if own.speed is None else read(own.speed) for name, own in models.items()}
    cells = (
        Cell(NOT_MEASURED) if one is None else Cell(decimal(one.median, digits), span(one.low, one.high, digits))
        for one in spreads.values()
    )
    medians = [None if one is None else one.median for one in (spreads[STUDENT], spreads[TEACHER])]
    return Row(name, (*cells, _ratio(*medians)), small=unit)


def _libraries_row(models: Mapping[str, ModelResult]) -> Row:
    cells = (Cell(decimal(None if own.speed is None else own.speed.libraries, 1)) for own in models.values())
    return Row("… of it before the first load", (*cells, Cell("")), small="MiB")


def _ratio(own: float | None, theirs: float | None) -> Cell:
    return Cell(times(own / theirs) if own is not None and theirs else NOT_MEASURED)

"""The head of a page: one sentence, and the four numbers that matter most."""

from __future__ import annotations

from markupsafe import Markup

from babelpress.recipe import Recipe
from babelpress.reports.page.blocks import Tile
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import (
    NOT_MEASURED,
    decimal,
    interval,
    link,
    mib,
    percent,
    plural,
    short,
    times,
    whole,
)
from babelpress.reports.training import trained_sentences


def say_what_it_is(facts: PageFacts) -> Markup:
    """Return the one sentence that says what was pressed into what."""
    student, original = facts.student, facts.original
    name = link(facts.teacher_page, facts.teacher_name) if facts.teacher_page else facts.teacher_name
    trained = trained_sentences(facts.recipe, facts.results)
    text = Markup("{}, pressed from {} to {} and from {} to {} embedding rows").format(
        name, original.layers, plural(student.layers, "layer"), whole(original.vocab_size), whole(student.vocab_size)
    )
    languages = plural(len(facts.results.languages), "language")
    learnt = f", then distilled on {trained:,} sentences in {languages}." if trained else f", in {languages}."
    return text + learnt


def name_student(recipe: Recipe) -> str:
    """Return what the page is called."""
    return recipe.card.title or recipe.card.model_id or recipe.name


def measure_tiles(facts: PageFacts) -> list[Tile]:
    """Return the four numbers that matter most."""
    student, original = facts.student, facts.original
    before, after = 4 * original.parameters, 4 * student.parameters
    return [
        Tile(
            "weights in fp32", f"{after / 2**20:.1f}", "MiB",
            f"{percent(after / before)} of the teacher's {mib(before)}: {times(before / after)} smaller",
            ("evaluation",),
        ),
        Tile(
            "parameters", *_unit(short(student.parameters)),
            f"of {short(original.parameters)} ({whole(student.parameters)} of {whole(original.parameters)})",
            ("evaluation",),
        ),
        _retention_tile(facts),
        _speed_tile(facts),
    ]  # fmt: skip


def _retention_tile(facts: PageFacts) -> Tile:
    student, original = facts.student, facts.original
    if not original.average:
        return Tile("of the teacher's average score", NOT_MEASURED, "", "no task was scored", ("evaluation",))
    bounds = interval(student.retention_interval, 1, factor=100)
    said = f"{decimal(student.average, 2)} of {decimal(original.average, 2)}"
    detail = f"95\N{NO-BREAK SPACE}% interval {bounds}; {said}" if bounds else f"{said}; no interval was measured"
    return Tile(
        "of the teacher's average score", decimal(100 * student.retention, 1), "%", detail, ("evaluation",)
    )  # fmt: skip


def _speed_tile(facts: PageFacts) -> Tile:
    student, original = facts.student, facts.original
    label = "as many sentences a second as the teacher"
    if student.speed is None or original.speed is None:
        return Tile(label, NOT_MEASURED, "", "", ("evaluation",))
    own, theirs = student.speed.batched.median, original.speed.batched.median
    return Tile(
        label, decimal(own / theirs, 2), "×", f"{decimal(own, 0)} instead of {decimal(theirs, 0)}", ("evaluation",)
    )


def _unit(text: str) -> tuple[str, str]:
    value, _, unit = text.partition("\N{NO-BREAK SPACE}")
    return value, unit

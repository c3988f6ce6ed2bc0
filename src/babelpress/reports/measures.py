"""Measures as the tables of the command line, in 80 columns; students are letters there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from babelpress.evaluation.fidelity.neighbours import LEAST_TEXTS, NEIGHBOURS
from babelpress.evaluation.fidelity.perturb import PERTURBATION_LABELS
from babelpress.schema.results import TEACHER, AtLength, Closeness, Measures, Perturbed

_BESIDE = 2  # students with a group of columns each
_BESIDE_OVERALL = 6  # students with one column each

Lettered = Sequence[tuple[str, Measures]]


def measures_view(found: Mapping[str, Measures]) -> RenderableType:
    """Return tables over all, by language, by length and of disturbed text; the teacher stands in the last alone."""
    students = [name for name in found if name != TEACHER]
    letters = [chr(ord("A") + place) if place < 26 else str(place + 1) for place in range(len(students))]
    lettered = [(letter, found[name]) for letter, name in zip(letters, students, strict=True)]
    legend = Table.grid(padding=(0, 2))
    for letter, name in zip(letters, students, strict=True):
        legend.add_row(Text(letter, style="bold"), Text(name, overflow="fold"))
    parts: list[RenderableType] = [legend]
    parts += [_overall(some) for some in _some(lettered, _BESIDE_OVERALL)]
    if len(found[TEACHER].by_language) > 1:
        parts += [_by_language(some) for some in _some(lettered, _BESIDE)]
    if any(measures.by_length for _, measures in lettered):
        parts += [_by_length(some) for some in _some(lettered, _BESIDE)]
    if found[TEACHER].perturbed:
        parts += [_disturbed(found[TEACHER], some) for some in _some(lettered, _BESIDE)]
    spaced = [part for table in parts for part in (table, Text())]
    return Group(*spaced, *(Text(f"- {note}", style="dim") for note in notes(found)))


def notes(found: Mapping[str, Measures]) -> list[str]:
    """Say what the figures are and what is left out."""
    overall, languages = found[TEACHER].overall.texts, found[TEACHER].by_language
    said = [
        f"same: how many of a text's {NEIGHBOURS} nearest texts are those that the teacher finds; asks: of the "
        "teacher's, how many the student's query finds among the teacher's embeddings"
    ]
    if overall >= LEAST_TEXTS:
        said.append(f"by chance {_chance(overall)} of {overall:,} texts")
        sizes = [near.texts for near in languages.values() if near.texts >= LEAST_TEXTS]
        if len(languages) > 1 and sizes:
            said[-1] += f", and {_chance(min(sizes))} within a language of {min(sizes):,}"
    if any(measures.by_length for measures in found.values()):
        said.append("tokens are the teacher's; a length stands there where a model reads 3 of 4 texts or more whole")
    if found[TEACHER].perturbed:
        said.append("found: how often a disturbed text's nearest text is its own, undisturbed, for the same model")
        said.append("; ".join(f"{name}: {PERTURBATION_LABELS[name]}" for name in found[TEACHER].perturbed))
    return said


def _chance(texts: int) -> str:
    return f"{100 * NEIGHBOURS / (texts - 1):.1f} %"


def _some(lettered: Lettered, most: int) -> Iterator[Lettered]:
    yield from (lettered[start : start + most] for start in range(0, len(lettered), most))


def _table(title: str, first: str, heads: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _overall(students: Lettered) -> Table:
    overall = [measures.overall for _, measures in students]
    table = _table(f"{overall[0].texts:,} texts", "", [letter for letter, _ in students])
    table.add_row("cosine to the teacher", *(f"{near.cosine:.3f}" for near in overall))
    table.add_row("… 5th percentile", *(f"{near.cosine_p5:.3f}" for near in overall))
    table.add_row(f"same {NEIGHBOURS} neighbours, %", *(_percent(near.overlap) for near in overall))
    table.add_row("student asks, teacher's index, %", *(_percent(near.student_queries) for near in overall))
    table.add_row("teacher asks, student's index, %", *(_percent(near.teacher_queries) for near in overall))
    return table


def _by_language(students: Lettered) -> Table:
    heads = [f"{letter}\n{head}" for letter, _ in students for head in ("cosine", "same", "asks")]
    table = _table("by language: cosine; neighbours, %", "", ["texts", *heads])
    for code, near in students[0][1].by_language.items():
        cells = (cell for _, measures in students for cell in _closeness(measures.by_language[code]))
        table.add_row(escape(code), f"{near.texts:,}", *cells)
    return table


def _closeness(near: Closeness) -> tuple[str, str, str]:
    return f"{near.cosine:.3f}", _percent(near.overlap), _percent(near.student_queries)


def _by_length(students: Lettered) -> Table:
    heads = [f"{letter}\n{head}" for letter, _ in students for head in ("texts", "cosine", "5th pct.")]
    table = _table("by length", "tokens", heads)
    by_length = [{at.tokens: at for at in measures.by_length} for _, measures in students]
    for tokens in sorted({tokens for own in by_length for tokens in own}):
        cells = (cell for own in by_length for cell in _at_length(own.get(tokens)))
        table.add_row(str(tokens), *cells)
    return table


def _at_length(at: AtLength | None) -> tuple[str, str, str]:
    return ("–", "–", "–") if at is None else (f"{at.texts:,}", f"{at.cosine:.3f}", f"{at.cosine_p5:.3f}")


def _disturbed(teacher: Measures, students: Lettered) -> Table:
    models = [(TEACHER, teacher), *students]
    heads = [f"{name}\n{head}" for name, _ in models for head in ("found", "cosine")]
    table = _table("disturbed text: its own found, %; cosine", "", ["texts", *heads])
    for name, changed in teacher.perturbed.items():
        cells = (cell for _, measures in models for cell in _robust(measures.perturbed[name]))
        table.add_row(name, f"{changed.texts:,}", *cells)
    return table


def _robust(changed: Perturbed) -> tuple[str, str]:
    return f"{100 * changed.found:.1f}", f"{changed.cosine:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"

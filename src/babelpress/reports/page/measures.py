"""Beyond scores: nearness to the teacher, disturbed text, parallel sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from babelpress.evaluation.fidelity.perturb import PERTURBATION_LABELS
from babelpress.reports.page.blocks import Cell, Chapter, Column, Prose, Row, Section, Table, present
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import LABELS, NOT_MEASURED, decimal, language, link, listed, percent, whole
from babelpress.reports.parallel_figures import PARALLEL_FIGURES
from babelpress.schema.results import TEACHER, AtLength, Closeness, Measures, Parallel, Perturbed

_STAGES = ("evaluation",)
_ALIGNMENT = "https://arxiv.org/abs/2005.10242"
_NEARNESS: dict[str, Callable[[Closeness], Cell]] = {
    "cosine": lambda near: _cosine_cell(near.cosine),
    "5th pct.": lambda near: _cosine_cell(near.cosine_p5),
    "same ten": lambda near: _share_cell(near.overlap),
    "own queries": lambda near: _share_cell(near.student_queries),
    "teacher's queries": lambda near: _share_cell(near.teacher_queries),
}


def tell_measures(facts: PageFacts) -> Section:
    """Return the section of what any text tells."""
    models = facts.results.models
    measured = {name: model.measures for name, model in models.items()}
    parallel = {name: model.parallel for name, model in models.items() if model.parallel is not None}
    near = {name: own for name, own in measured.items() if name != TEACHER}
    chapters = {
        "disturbed text": _disturbed({name: own for name, own in measured.items() if own.perturbed}),
        "parallel sentences": _parallel(parallel),
    }
    absent = [name for name, chapter in chapters.items() if chapter is None]
    said = Prose(f"{listed(absent).capitalize()}: not measured.") if absent else None
    return Section("measures", "Beyond the tasks", present(_closeness(facts, near), *chapters.values(), said))


# --- nearness to the teacher --------------------------------------------------------------------


def _closeness(facts: PageFacts, near: Mapping[str, Measures]) -> Chapter:
    held_out = facts.results.held_out_sentences
    words = (
        f"Cosines are to the teacher's embeddings of the same text, over {held_out:,} held-out sentences that were not "
        "trained on; the teacher's own are 1 by definition. 5th pct.: the cosine that 95 % of the texts reach. Same "
        "ten: of a text's ten nearest texts, the share that are the same ten for both, each in its own space. Own "
        "queries: the share of the teacher's ten nearest that are found when the model embeds the query and the "
        "teacher the texts; teacher's queries: the reverse."
    )
    tables = (_overall_table(near), _by_language(near), _by_length(near))
    return Chapter("closeness", "Nearness to the teacher", (Prose(words), *present(*tables)))


def _overall_table(near: Mapping[str, Measures]) -> Table:
    rows = tuple(Row(name, tuple(draw(own.overall) for own in near.values())) for name, draw in _NEARNESS.items())
    texts = Row("texts", tuple(Cell(whole(own.overall.texts)) for own in near.values()))
    return Table("table-closeness", "Nearness, all languages", _columns("", near), (texts, *rows), _STAGES)


def _by_language(near: Mapping[str, Measures]) -> Table | None:
    codes = list(dict.fromkeys(code for own in near.values() for code in own.by_language))
    if not codes:
        return None
    columns = tuple(Column(name, LABELS[model], model) for model in near for name in _NEARNESS)
    rows = []
    for code in codes:
        found = [own.by_language.get(code) for own in near.values()]
        cells = (cell for own in found for cell in _nearness_cells(own))
        rows.append(Row(language(code), (_texts_cell(found), *cells), small=code))
    heads = (Column("language", number=False), Column("texts"))
    table = Table("table-closeness-languages", "Nearness by language", (*heads, *columns), tuple(rows), _STAGES)
    return table.without_empty_columns()


def _nearness_cells(near: Closeness | None) -> tuple[Cell, ...]:
    if near is None:
        return (Cell(NOT_MEASURED),) * len(_NEARNESS)
    return tuple(Cell(draw(near).text) for draw in _NEARNESS.values())


def _texts_cell(found: Sequence[Closeness | AtLength | Perturbed | None]) -> Cell:
    """Return how many texts all models were measured on."""
    return Cell(", ".join(dict.fromkeys(whole(own.texts) for own in found if own is not None)))


def _by_length(near: Mapping[str, Measures]) -> Table | None:
    lengths = sorted({at.tokens for own in near.values() for at in own.by_length})
    if not lengths:
        return None
    names = ("cosine", "5th pct.")
    columns = tuple(Column(name, LABELS[model], model) for model in near for name in names)
    rows = []
    for tokens in lengths:
        found = [next((at for at in own.by_length if at.tokens == tokens), None) for own in near.values()]
        pairs = ((at.cosine, at.cosine_p5) if at else (None, None) for at in found)
        cells = (Cell(decimal(value, 3)) for pair in pairs for value in pair)
        rows.append(Row(whole(tokens), (_texts_cell(found), *cells)))
    heads = (Column("teacher's tokens"), Column("texts"))
    return Table("table-lengths", "Cosine to the teacher by length", (*heads, *columns), tuple(rows), _STAGES)


# --- disturbed text, parallel sentences ---------------------------------------------------------


def _disturbed(measured: Mapping[str, Measures]) -> Chapter | None:
    kinds = list(dict.fromkeys(kind for own in measured.values() for kind in own.perturbed))
    if not kinds:
        return None
    columns = tuple(Column(name, LABELS[model], model) for model in measured for name in ("found", "cosine"))
    rows = []
    for kind in kinds:
        found = [own.perturbed.get(kind) for own in measured.values()]
        pairs = ((percent(one.found), decimal(one.cosine, 3)) if one else (NOT_MEASURED,) * 2 for one in found)
        rows.append(
            Row(PERTURBATION_LABELS[kind], (_texts_cell(found), *(Cell(text) for pair in pairs for text in pair)))
        )
    words = (
        "Text is disturbed and embedded by the same model. Found: how often its nearest undisturbed text is its own; "
        "cosine: between the two embeddings. A student should fall no further than its teacher."
    )
    heads = (Column("disturbance", number=False), Column("texts"))
    table = Table("table-disturbed", "Disturbed text", (*heads, *columns), tuple(rows), _STAGES)
    return Chapter("disturbed", "Disturbed text", (Prose(words), table))


def _parallel(models: Mapping[str, Parallel]) -> Chapter | None:
    if not models:
        return None
    first = next(iter(models.values()))
    rows = tuple(
        Row(figure.name, tuple(Cell(figure.text(own)) for own in models.values()), small=figure.reading(first))
        for figure in PARALLEL_FIGURES
    )
    words = Markup(
        "{} sentences in each of {} languages, each the same meaning; every ordered pair of languages counts. "
        "Alignment and uniformity are those of Wang and Isola 2020 ({}), with translations as positives."
    ).format(whole(first.sentences), first.languages, link(_ALIGNMENT, "arXiv 2005.10242"))
    table = Table("table-parallel", "Parallel sentences", _columns("", models), rows, ("umap",))
    return Chapter("parallel", "Parallel sentences", (Prose(words), table))


def _cosine_cell(cosine: float) -> Cell:
    return Cell(decimal(cosine, 3), share=cosine)


def _share_cell(share: float | None) -> Cell:
    return Cell(percent(share), share=share)


def _columns(first: str, models: Mapping[str, object]) -> tuple[Column, ...]:
    return (Column(first, number=False), *(Column(LABELS[name], model=name) for name in models))

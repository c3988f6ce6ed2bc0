"""What was kept of the teacher and what was dropped: layers, vocabulary, parameters, bytes."""

from __future__ import annotations

from babelpress.architectures.family import LayerWidths
from babelpress.reports.page.blocks import Block, Cell, Chapter, Column, Prose, Row, Section, Table
from babelpress.reports.page.drawings import Bar, Bars, LayerBox, Part, Strip
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import (
    LABELS,
    NOT_MEASURED,
    decimal,
    language,
    listed,
    mib,
    percent,
    plural,
    whole,
)
from babelpress.schema.results import ModelResult
from babelpress.vocabulary.fertility import LanguageFertility
from babelpress.vocabulary.plan import LanguageCoverage

_HELD_OUT = "held out for stopping"  # the validation split; scores and cosines are of the test split


def tell_kept(facts: PageFacts) -> Section:
    """Return the section of what is left of the teacher."""
    return Section(
        "kept",
        "What was kept and what was dropped",
        (
            Chapter("layers", "Layers", (draw_layers(facts),)),
            Chapter("vocabulary", "Vocabulary", _vocabulary(facts)),
            Chapter("parameters", "Where the parameters are", (draw_parameters(facts), _parameter_table(facts))),
        ),
    )


def draw_layers(facts: PageFacts) -> Strip:
    """Return the teacher's layers, kept ones filled; below them what each was found to do, where that was measured."""
    plan = facts.layers
    most = max(plan.influence, default=0.0)
    boxes = tuple(
        LayerBox(number, number in plan.kept, plan.influence[number] / most if most > 0 else None)
        for number in range(plan.of)
    )
    kept = listed([str(number) for number in plan.kept])
    words = f"Layers {kept} of {plan.of} (counted from 0) are kept: {plan.reason}."
    if plan.influence:
        values = ", ".join(f"{number}: {decimal(value, 4)}" for number, value in enumerate(plan.influence))
        words += f" The bars are how much each layer turns the sentence embeddings (1 - cosine): {values}."
    return Strip(f"{len(plan.kept)} of {plan.of} layers are kept: {kept}", boxes, ("layers",), words)


# --- vocabulary ---------------------------------------------------------------------------------


def _vocabulary(facts: PageFacts) -> tuple[Block, ...]:
    plan, before = facts.vocabulary, facts.original.vocab_size
    new = len(plan.new_pieces)
    bar = Bars(
        "Embedding rows",
        (
            Bar("teacher", whole(before), (Part("the teacher's rows", whole(before), 1.0),)),
            Bar(
                "student", whole(plan.rows),
                tuple(
                    Part(name, whole(count), count / before)
                    for name, count in (("the teacher's rows", len(plan.kept)), ("new byte pieces", new)) if count
                ),
            ),
        ),
        ("vocabulary",),
    )  # fmt: skip
    words = f"{whole(len(plan.kept))} of the teacher's {before:,} embedding rows stay"
    words += f" and {plural(new, 'byte piece')} are new" if new else "; no byte piece is new"
    words += f"; {plural(plan.unseen, 'kept piece')} did not occur in the training text."
    alphabet = plan.alphabet_kept + len(plan.alphabet_missing)
    if alphabet:
        words += (
            f" Of the {alphabet:,} characters of the languages' alphabets, {plan.alphabet_kept:,} are pieces of the "
            "teacher."
        )
    return bar, Prose(words, ("vocabulary",)), language_table(facts)


def language_table(facts: PageFacts) -> Table:
    """Return what the vocabulary does to each language's text."""
    columns = (
        Column("language", number=False),
        Column("sentences", "training text"),
        Column("pieces kept", "training text"),
        Column("sentences", _HELD_OUT),
        Column("tokens", _HELD_OUT, model="teacher"),
        Column("tokens", _HELD_OUT, model="distilled"),
        Column("longer", _HELD_OUT),
        Column("in bytes", _HELD_OUT),
        Column("unknown", _HELD_OUT, model="teacher"),
    )
    rows = tuple(
        Row(language(code), _language_cells(cover, facts.fertility.get(code)), small=code)
        for code, cover in facts.vocabulary.languages.items()
    )
    note = (
        "Pieces kept: the share of the teacher's tokens whose piece stays; text whose pieces are all kept is cut as "
        "the teacher cuts it. Tokens are those of a sentence, special ones not counted. In bytes: the share of the "
        "student's tokens that are byte pieces. Unknown: the share of the teacher's that are its unknown piece."
    )
    table = Table("table-vocabulary", "Vocabulary by language", columns, rows, ("corpus", "vocabulary"), note)
    return table.without_empty_columns()


def _language_cells(cover: LanguageCoverage, text: LanguageFertility | None) -> tuple[Cell, ...]:
    counted = (Cell(whole(cover.sentences)), Cell(percent(cover.kept), share=cover.kept))
    if text is None:
        return (*counted, *(Cell(NOT_MEASURED) for _ in range(6)))
    return (
        *counted,
        Cell(whole(text.sentences)),
        Cell(decimal(text.teacher, 1)),
        Cell(decimal(text.student, 1)),
        Cell(percent(text.ratio - 1, 1)),
        Cell(percent(text.byte_rate, 2)),
        Cell(percent(text.unknown_to_teacher, 2)),
    )


# --- parameters and sizes -----------------------------------------------------------------------


def count_parts(facts: PageFacts, model: ModelResult) -> dict[str, int]:
    """Return where a model's parameters are; what is in no known part is called `other`."""
    width = model.dimensions
    parts = {
        "token embeddings": model.vocab_size * width,
        "layers": model.layers * facts.teacher.family.layer_parameters(LayerWidths(width, facts.teacher.feed_forward)),
        "pooler": model.parameters - model.parameters_without_pooler,
    }
    parts["positions and the rest"] = model.parameters - sum(parts.values())
    return parts


def draw_parameters(facts: PageFacts) -> Bars:
    """Return the parameters of teacher and student as bars on one scale."""
    models = {"teacher": facts.original, "student": facts.student}
    longest = max(model.parameters for model in models.values())
    bars = tuple(
        Bar(
            name,
            whole(model.parameters),
            tuple(Part(p, whole(n), n / longest) for p, n in count_parts(facts, model).items() if n > 0),
        )
        for name, model in models.items()
    )
    return Bars("Parameters", bars, ("evaluation",))


def _parameter_table(facts: PageFacts) -> Table:
    theirs, ours = count_parts(facts, facts.original), count_parts(facts, facts.student)
    rows = [_kept_row(name, theirs[name], ours[name]) for name in theirs if theirs[name] or ours[name]]
    rows.append(_kept_row("all", facts.original.parameters, facts.student.parameters, mean=True))
    columns = (Column("part", number=False), *_model_columns("teacher", "distilled"), Column("kept"))
    return Table("table-parameters", "Parameters by part", columns, tuple(rows), ("evaluation",))


def _kept_row(name: str, theirs: int, ours: int, *, mean: bool = False) -> Row:
    share = ours / theirs if theirs else None
    kept = Cell(percent(share), share=share) if share is not None else Cell("")
    return Row(name, (Cell(whole(theirs)), Cell(whole(ours)), kept), mean=mean)


def _model_columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(LABELS[name], model=name) for name in names)


def tell_sizes(facts: PageFacts) -> Section:
    """Return the section of sizes."""
    models = facts.results.models
    size_of = {
        "layers": lambda model: whole(model.layers),
        "dimensions": lambda model: whole(model.dimensions),
        "embedding rows": lambda model: whole(model.vocab_size),
        "parameters": lambda model: whole(model.parameters),
        "… without BERT's pooler": lambda model: whole(model.parameters_without_pooler),
        "weights in fp32": lambda model: mib(4 * model.parameters),
        "weights on disk": lambda model: mib(model.weight_bytes),
        "… stored as": lambda model: model.stored_as,
        "whole folder": lambda model: mib(model.folder_bytes),
    }
    rows = tuple(Row(name, tuple(Cell(write(model)) for model in models.values())) for name, write in size_of.items())
    columns = (Column("", number=False), *_model_columns(*models))
    note = "Ratios on this page compare weights in fp32, whatever the teacher's file is stored as."
    table = Table("table-sizes", "The models", columns, rows, ("evaluation",), note)
    return Section("sizes", "Sizes", (table,))

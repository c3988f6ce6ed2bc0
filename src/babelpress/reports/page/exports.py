"""Exports: what the student became for other runtimes, and how near to it that is."""

from __future__ import annotations

from babelpress.reports.export_words import missed_words, points_lost, points_words
from babelpress.reports.page.blocks import Cell, Column, Prose, Row, Section, Table
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import NOT_MEASURED, decimal, language, mib
from babelpress.schema.exports import Export, Missed

_STAGES = ("export",)


def tell_exports(facts: PageFacts) -> Section | None:
    """Return the section of exports; None where there are none."""
    missed = facts.results.missed_exports
    exports: tuple[Export | Missed, ...] = (*facts.results.exports, *missed)
    if not exports:
        return None
    points = points_words(exports)
    words = (
        f"Cosines are to the student's own embeddings, over {exports[0].parity.texts:,} held-out texts of every "
        f"language{'; ' if points else ''}{points}. An export further away than the recipe allows is not written"
        f"{f': {missed_words(missed)}' if missed else ''}."
    )
    columns = ("size", "cosine, mean", "5th percentile", "lowest language", "largest difference", "points lost")
    rows = tuple(
        Row(one.file, (
            Cell("not written" if isinstance(one, Missed) else mib(one.bytes)),
            Cell(decimal(one.parity.mean, 4)), Cell(decimal(one.parity.p5, 4)),
            Cell(decimal(one.parity.lowest_mean, 4), language(one.parity.lowest_language)),
            Cell(f"{one.parity.largest:.1e}"), Cell(points_lost(one.parity, none=NOT_MEASURED)),
        ), small=one.name)
        for one in exports
    )  # fmt: skip
    table = Table("table-exports", "Exports", (Column("file", number=False), *map(Column, columns)), rows, _STAGES)
    return Section("exports", "Exports", (Prose(words), table))

"""What a page is made of: plain objects that a template draws and that know nothing of a run.

Every text is escaped by the template unless it is Markup, which our own sentences alone are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, TypeAlias

from babelpress.reports.page.drawings import Bars, Figure, Mark, Strip
from babelpress.reports.page.wording import LABELS, MISSING, NOT_MEASURED


@dataclass(frozen=True)
class Cell:
    """A value of a table: `small` stands below it, `share` (0 to 1) is drawn as a bar, `marks` on a scale to 100."""

    text: str
    small: str = ""
    share: float | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def missing(self) -> bool:
        """Tell whether there is nothing in it."""
        return self.text in (NOT_MEASURED, MISSING)

    @property
    def filled(self) -> float:
        """Return how much of a bar is filled, in percent."""
        return 100 * min(max(self.share or 0.0, 0.0), 1.0)


@dataclass(frozen=True)
class Column:
    """A column: `group` is the heading that neighbours share, `model` the one whose colour it has."""

    name: str
    group: str = ""
    model: str = ""
    number: bool = True

    @property
    def swatch(self) -> str:
        """Return the model whose sign stands before the name: none where the heading above has it."""
        return "" if self.group and self.group == LABELS.get(self.model) else self.model


@dataclass(frozen=True)
class Row:
    """A line of a table: its heading (the first column) and a cell for each other column; `mean` sets it apart.

    `small` stands behind the heading; links can go to `id`.
    """

    head: str
    cells: tuple[Cell, ...]
    small: str = ""
    mean: bool = False
    id: str = ""


@dataclass(frozen=True)
class Heading:
    """Neighbouring columns under one heading; `swatch` is the model whose sign stands before it."""

    name: str
    swatch: str
    span: int


@dataclass(frozen=True)
class Table:
    """A table; `columns` begin with that of the rows' headings, `stages` are those that the numbers are from."""

    template: ClassVar[str] = "table"
    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    stages: tuple[str, ...]
    note: str = ""

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Return the upper line of the table's head; nothing where no columns share a heading."""
        found = tuple(
            Heading(group, "" if own[0].swatch else own[0].model, len(own))
            for group, own in ((group, list(own)) for group, own in groupby(self.columns, lambda c: c.group))
        )
        return found if any(heading.name for heading in found) else ()

    @property
    def long(self) -> bool:
        """Tell whether it may go on on another page of paper."""
        return len(self.rows) > 20

    @property
    def wide(self) -> bool:
        """Tell whether it needs small letters on paper."""
        return len(self.columns) > 6

    @property
    def narrow(self) -> bool:
        """Tell whether it would be lost in a wide page."""
        return len(self.columns) < 4

    def without_empty_columns(self) -> Table:
        """Return the table without the columns that have no value in any row."""
        full = [
            place
            for place in range(len(self.columns) - 1)
            if not all(row.cells[place].missing for row in self.rows)
        ]  # fmt: skip
        return replace(
            self,
            columns=(self.columns[0], *(self.columns[place + 1] for place in full)),
            rows=tuple(replace(row, cells=tuple(row.cells[place] for place in full)) for row in self.rows),
        )


@dataclass(frozen=True)
class Prose:
    """A paragraph; `warning` sets it apart."""

    template: ClassVar[str] = "prose"
    text: str
    stages: tuple[str, ...] = ()
    warning: bool = False


@dataclass(frozen=True)
class Items:
    """Sentences, each with a dot before it."""

    template: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Something to be typed, as it is."""

    template: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Tile:
    """One of the numbers that stand large above everything."""

    label: str
    value: str
    unit: str
    detail: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """Names and what they are."""

    template: ClassVar[str] = "terms"
    items: tuple[tuple[str, str], ...]
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Details:
    """Blocks, or a text as it is, that are folded away."""

    template: ClassVar[str] = "details"
    summary: str
    text: str = ""
    blocks: tuple[Block, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Chapter:
    """Blocks under a smaller heading."""

    template: ClassVar[str] = "chapter"
    id: str
    title: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Table | Prose | Items | Code | Terms | Details | Strip | Bars | Figure | Chapter


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own."""

    id: str
    title: str
    blocks: tuple[Block, ...]


def present(*blocks: Block | None) -> tuple[Block, ...]:
    """Return the blocks that there are."""
    return tuple(block for block in blocks if block is not None)

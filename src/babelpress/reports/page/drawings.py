"""Small drawings of a page: what is drawn, in the units of the template that draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Mark:
    """A model's score in a small drawing, with its interval where there is one."""

    model: str
    value: float
    interval: tuple[float, float] | None = None

    @property
    def place(self) -> float:
        """Return where on the scale it is; what is outside stands at the end."""
        return _on_scale(self.value)

    @property
    def ends(self) -> tuple[float, float] | None:
        """Return where on the scale its interval begins and ends."""
        return None if self.interval is None else (_on_scale(self.interval[0]), _on_scale(self.interval[1]))


@dataclass(frozen=True)
class LayerBox:
    """A layer of the teacher: whether it is kept, and how much it was found to do (0 to 1 of the strongest)."""

    number: int
    kept: bool
    influence: float | None


@dataclass(frozen=True)
class Strip:
    """The teacher's layers in a row."""

    template: ClassVar[str] = "strip"
    WIDTH: ClassVar[int] = 12
    label: str
    boxes: tuple[LayerBox, ...]
    stages: tuple[str, ...]
    text: str = ""

    @property
    def lines(self) -> list[tuple[LayerBox, ...]]:
        """Return the boxes, so many in a line."""
        return [self.boxes[start : start + self.WIDTH] for start in range(0, len(self.boxes), self.WIDTH)]


@dataclass(frozen=True)
class Part:
    """A part of a bar and its share of the longest bar."""

    name: str
    text: str
    share: float


@dataclass(frozen=True)
class Bar:
    """One bar, made of parts."""

    name: str
    text: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Bars:
    """Bars over each other, on one scale; the same parts in all."""

    template: ClassVar[str] = "bars"
    label: str
    bars: tuple[Bar, ...]
    stages: tuple[str, ...]

    @property
    def legend(self) -> list[str]:
        """Return the names of the parts."""
        return list(dict.fromkeys(part.name for bar in self.bars for part in bar.parts))


@dataclass(frozen=True)
class Figure:
    """A picture inside the page: `address` is a data URI, `alt` what it shows, `reading` how to read it."""

    template: ClassVar[str] = "figure"
    id: str
    title: str
    address: str
    alt: str
    reading: str
    stages: tuple[str, ...]


def _on_scale(value: float) -> float:
    return min(max(value, 0.0), 100.0)

"""What an export is and what it must reach: plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from babelpress.errors import ExportError
from babelpress.schema.formats import FORMATS


@dataclass(frozen=True)
class Parity:
    """Embeddings of one export beside the student's, over texts of every language.

    `largest` is the largest difference of any number, `mean` and `p5` are of the cosines, `lowest_language` is the
    language of the lowest mean cosine. `lost` are points (percent) that scores lose; what they gain is negative.
    """

    texts: int
    largest: float
    mean: float
    p5: float
    lowest_language: str
    lowest_mean: float
    lost: dict[str, float]

    @property
    def points(self) -> float:
        """Return the points that the mean of all scores loses; 0 without scores."""
        return sum(self.lost.values()) / len(self.lost) if self.lost else 0.0


@dataclass(frozen=True)
class Floor:
    """What an export must reach: cosines at least, points at most."""

    mean: float = 0.995
    p5: float = 0.99
    points: float = 0.5

    def faults(self, found: Parity) -> list[str]:
        """Return, in words, what is not reached; numbers that are no numbers reach nothing."""
        said = []
        if not found.mean >= self.mean:
            said.append(f"mean cosine {found.mean:.4f} is below {self.mean:g}")
        if not found.p5 >= self.p5:
            said.append(f"5th percentile of the cosine {found.p5:.4f} is below {self.p5:g}")
        if not found.points <= self.points:
            said.append(f"scores lose {found.points:.2f} points, more than {self.points:g}")
        return said


@dataclass(frozen=True)
class Export:
    """A written export: where (below the student's folder), how large, how near to the student.

    `student` is the hash of the model folder that it was made of.
    """

    name: str
    file: str
    bytes: int
    parity: Parity
    student: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the export as JSON-able values."""
        return asdict(self) | {"points": self.parity.points}


@dataclass(frozen=True)
class Missed:
    """An export below the floor, which was not written: its size, how near it came, and what it did not reach.

    Where cosines are too low no scores are compared, and `parity.lost` is empty.
    """

    name: str
    file: str
    bytes: int
    parity: Parity
    faults: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return the export as JSON-able values."""
        return asdict(self) | {"points": self.parity.points}

    @property
    def words(self) -> str:
        """Say what was not reached and what to try instead."""
        known = FORMATS.get(self.name)
        remedy = f"; {known.remedy}" if known else ""
        return f"{self.name} differs too much from the student: {'; '.join(self.faults)}{remedy}"


class FloorError(ExportError):
    """Exports below the floor, which were not written; `written` are those that were asked for with them and stand."""

    def __init__(self, missed: Sequence[Missed], written: Sequence[Export] = ()) -> None:
        super().__init__(". ".join(one.words for one in missed))
        self.missed, self.written = tuple(missed), tuple(written)


FLOOR = Floor()

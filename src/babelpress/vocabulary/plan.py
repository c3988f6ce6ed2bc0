"""What is decided about a vocabulary: which teacher pieces stay, which new ones come to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from babelpress.utils.files import hash_json, read_json, write_json

T = TypeVar("T")


@dataclass(frozen=True)
class LanguageCoverage:
    """What a plan does to one language's counted text.

    `kept` is the share of the teacher's tokens whose piece stays; `fertility` the student's tokens over
    the teacher's, `byte_rate` the share of the student's tokens that are byte pieces, both as the pieces
    are recut one by one (`fertility.py` measures them on text). `characters_more` says how many more
    characters would have to be kept for the recipe's byte rate.
    """

    sentences: int
    tokens_per_sentence: float
    kept: float
    fertility: float
    byte_rate: float
    characters_more: int


@dataclass(frozen=True)
class DroppedCharacters:
    """Teacher ids of single characters that are spelled in bytes from now on, and the share of each."""

    ids: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class VocabularyPlan:
    """Which rows the student's embedding matrix has, in order: kept teacher ids, new pieces, the last kept ids.

    The last `behind` of `kept` are added tokens that are no pieces of the teacher's model; so that they are none of
    the student's, they stand behind all pieces.
    """

    kept: tuple[int, ...]
    new_pieces: tuple[str, ...]
    languages: dict[str, LanguageCoverage]
    unseen: int
    alphabet_kept: int
    alphabet_missing: tuple[str, ...]
    dropped: DroppedCharacters = DroppedCharacters()
    behind: int = 0

    @property
    def rows(self) -> int:
        """Return the number of embedding rows."""
        return len(self.kept) + len(self.new_pieces)

    @cached_property
    def id_map(self) -> dict[int, int]:
        """Return old id → new id for the kept pieces."""
        split = len(self.kept) - self.behind
        return {old: new if new < split else new + len(self.new_pieces) for new, old in enumerate(self.kept)}

    @property
    def pieces(self) -> int:
        """Return how many rows are pieces of the student's model; added tokens stand behind them."""
        return self.rows - self.behind

    def in_order(self, kept: Sequence[T], new: Sequence[T]) -> list[T]:
        """Return what belongs to the kept ids and to the new pieces in the order of the rows."""
        split = len(self.kept) - self.behind
        return [*kept[:split], *new, *kept[split:]]

    def digest(self) -> str:
        """Hash what the student depends on: the kept ids and the new pieces."""
        return hash_json([list(self.kept), list(self.new_pieces), self.behind])

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        values: dict[str, Any] = {
            "rows": self.rows,
            "kept": list(self.kept),
            "new_pieces": list(self.new_pieces),
            "behind": self.behind,
            "languages": {code: vars(coverage) for code, coverage in self.languages.items()},
            "unseen": self.unseen,
            "alphabet_kept": self.alphabet_kept,
            "alphabet_missing": list(self.alphabet_missing),
            "dropped_characters": {"ids": list(self.dropped.ids), "shares": list(self.dropped.shares)},
        }
        write_json(path, values)

    @classmethod
    def load(cls, path: Path) -> VocabularyPlan:
        """Read what `save` wrote."""
        values = read_json(path)
        return cls(
            kept=tuple(values["kept"]),
            new_pieces=tuple(values["new_pieces"]),
            behind=values["behind"],
            languages={code: LanguageCoverage(**coverage) for code, coverage in values["languages"].items()},
            unseen=values["unseen"],
            alphabet_kept=values["alphabet_kept"],
            alphabet_missing=tuple(values["alphabet_missing"]),
            dropped=DroppedCharacters(*(tuple(values["dropped_characters"][key]) for key in ("ids", "shares"))),
        )

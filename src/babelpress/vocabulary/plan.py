"""Decide which teacher pieces stay: a pure function of the tokenizer, the counts and the request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import PlanError, TeacherError
from babelpress.files import hash_json, read_json, write_json
from babelpress.recipe import VocabularyMethod
from babelpress.vocabulary.count import PieceCounts

BYTE_PIECES = tuple(f"<0x{value:02X}>" for value in range(256))
META = "▁"


@dataclass(frozen=True)
class LanguageCoverage:
    """What a plan does to one language's text.

    `kept` is the share of piece occurrences whose piece stays; `spelled_in_bytes` of those that no
    sequence of kept pieces spells.
    """

    sentences: int
    tokens_per_sentence: float
    kept: float
    spelled_in_bytes: float


@dataclass(frozen=True)
class VocabularyPlan:
    """Which rows the student's embedding matrix has, in order: kept teacher ids, then new pieces."""

    kept: tuple[int, ...]
    new_pieces: tuple[str, ...]
    languages: dict[str, LanguageCoverage]
    unseen: int
    alphabet_kept: int
    alphabet_missing: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return the number of embedding rows."""
        return len(self.kept) + len(self.new_pieces)

    @cached_property
    def id_map(self) -> dict[int, int]:
        """Return old id → new id for the kept pieces."""
        return {old: new for new, old in enumerate(self.kept)}

    def digest(self) -> str:
        """Hash what the student depends on: the kept ids and the new pieces."""
        return hash_json([list(self.kept), list(self.new_pieces)])

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        values: dict[str, Any] = {
            "rows": self.rows,
            "kept": list(self.kept),
            "new_pieces": list(self.new_pieces),
            "languages": {code: vars(coverage) for code, coverage in self.languages.items()},
            "unseen": self.unseen,
            "alphabet_kept": self.alphabet_kept,
            "alphabet_missing": list(self.alphabet_missing),
        }
        write_json(path, values)

    @classmethod
    def load(cls, path: Path) -> VocabularyPlan:
        """Read what `save` wrote."""
        values = read_json(path)
        return cls(
            kept=tuple(values["kept"]),
            new_pieces=tuple(values["new_pieces"]),
            languages={code: LanguageCoverage(**coverage) for code, coverage in values["languages"].items()},
            unseen=values["unseen"],
            alphabet_kept=values["alphabet_kept"],
            alphabet_missing=tuple(values["alphabet_missing"]),
        )


def plan_vocabulary(
    tokenizer: dict[str, Any],
    counts: PieceCounts,
    *,
    method: VocabularyMethod,
    size: int | None,
    min_count: int = 1,
    language_exponent: float = 0.3,
    byte_fallback: bool = True,
    characters: list[str] | None = None,
) -> VocabularyPlan:
    """Choose the kept pieces of a Unigram tokenizer.json.

    `characters` is the alphabet whose bare forms stay whatever their count. A budget is met to the
    row: when the corpus uses fewer pieces than it allows, the teacher's own most probable pieces
    fill it. Raises PlanError when it is too small for what must stay, or larger than the teacher.
    """
    vocabulary = unigram_vocabulary(tokenizer)
    pieces = [piece for piece, _ in vocabulary]
    scores = np.array([score for _, score in vocabulary])
    special = special_ids(tokenizer)
    known = {piece: number for number, piece in enumerate(pieces)}
    new = tuple(piece for piece in BYTE_PIECES if piece not in known) if byte_fallback else ()
    if byte_fallback and len(new) != len(BYTE_PIECES):
        raise PlanError(
            "this tokenizer already has byte pieces; set vocabulary.byte_fallback to false to keep it as it is"
        )
    if not counts.pieces:
        raise PlanError("the corpus has no piece to count; give it at least one sentence in a language")
    wanted, missing = _alphabet_ids(characters or [], known)
    mandatory = sorted(special | wanted | ({known[META]} if META in known else set()))
    if not new:
        mandatory = sorted({*mandatory, *_unseen_duties(tokenizer, known, scores)})
    totals = counts.total()
    frequency = balanced_frequency(counts, exponent=language_exponent)
    seen = totals >= min_count
    if method is VocabularyMethod.SEEN:
        kept = sorted(set(mandatory) | set(np.flatnonzero(seen).tolist()))
    else:
        kept = _fill(mandatory, frequency * seen, scores, pieces, room=_room(size, new, mandatory, len(pieces)))
    return VocabularyPlan(
        kept=tuple(kept),
        new_pieces=new,
        languages=coverage(counts, pieces=pieces, kept=kept),
        unseen=int(sum(totals[kept] == 0)),
        alphabet_kept=len(wanted),
        alphabet_missing=tuple(missing),
    )


def unigram_vocabulary(tokenizer: dict[str, Any]) -> list[tuple[str, float]]:
    """Return the (piece, score) list of a Unigram tokenizer.json. Raises TeacherError for other kinds."""
    model = tokenizer.get("model") or {}
    kind = model.get("type")
    if kind != "Unigram":
        raise TeacherError(
            f"a {kind} tokenizer is not supported yet, because its pieces depend on merges or prefixes; "
            "supported: Unigram (XLM-R, multilingual-e5, paraphrase-multilingual)"
        )
    vocabulary = [(str(piece), float(score)) for piece, score in model["vocab"]]
    if len({piece for piece, _ in vocabulary}) != len(vocabulary):
        raise TeacherError("tokenizer.json lists a piece twice")
    unk = model.get("unk_id")
    if not isinstance(unk, int) or not 0 <= unk < len(vocabulary):
        raise TeacherError(f"tokenizer.json has unk_id {unk!r}, which is not one of its {len(vocabulary)} pieces")
    return vocabulary


def special_ids(tokenizer: dict[str, Any]) -> set[int]:
    """Return the ids that the tokenizer refers to by name: added tokens and the unknown piece.

    Raises TeacherError for an added token outside of the model's list, which XLM-R layouts have not.
    """
    count = len(tokenizer["model"]["vocab"])
    added = {int(token["id"]) for token in tokenizer.get("added_tokens", [])}
    outside = sorted(number for number in added if number >= count)
    if outside:
        raise TeacherError(f"added tokens {outside[:5]} stand behind the model's {count} pieces; not supported yet")
    return added | {tokenizer["model"]["unk_id"]}


def balanced_frequency(counts: PieceCounts, *, exponent: float) -> NDArray[np.float64]:
    """Return a piece's share of the corpus, languages weighed as (their share) ** exponent; shape (ids,)."""
    totals = {code: int(pieces.sum()) for code, pieces in counts.pieces.items()}
    grand = sum(totals.values()) or 1
    weights = {code: (total / grand) ** exponent for code, total in totals.items() if total}
    scale = sum(weights.values()) or 1.0
    frequency = np.zeros_like(counts.total(), dtype=np.float64)
    for code, weight in weights.items():
        frequency += counts.pieces[code] * (weight / scale / totals[code])
    return frequency


def _alphabet_ids(characters: list[str], known: dict[str, int]) -> tuple[set[int], list[str]]:
    ids: set[int] = set()
    missing: list[str] = []
    for character in characters:
        if character in known:
            ids.add(known[character])
        elif META + character in known:
            ids.add(known[META + character])
        else:
            missing.append(character)
    return ids, missing


def _unseen_duties(tokenizer: dict[str, Any], known: dict[str, int], scores: NDArray[np.float64]) -> set[int]:
    """Return the pieces that work without being counted, where no byte pieces are added.

    The least probable one holds the unknown score (FIELD_NOTES A3); a teacher's own byte pieces are
    of use only all together (A4).
    """
    own_bytes = BYTE_PIECES if tokenizer["model"].get("byte_fallback") else ()
    return {int(np.argmin(scores)), *(known[piece] for piece in own_bytes if piece in known)}


def _room(size: int | None, new: tuple[str, ...], mandatory: list[int], pieces: int) -> int:
    if size is None:
        raise PlanError("a vocabulary budget needs vocabulary.size")
    room = size - len(new)
    if room < len(mandatory):
        raise PlanError(
            f"vocabulary.size is {size}, but special tokens and alphabet ({len(mandatory)}) and byte pieces "
            f"({len(new)}) need {len(mandatory) + len(new)}; give at least that, or set vocabulary.alphabet to false"
        )
    if room > pieces:
        raise PlanError(
            f"vocabulary.size is {size}, but the teacher has {pieces} pieces and {len(new)} byte pieces come to it"
        )
    return room


def _fill(
    mandatory: list[int],
    frequency: NDArray[np.float64],
    scores: NDArray[np.float64],
    pieces: list[str],
    *,
    room: int,
) -> list[int]:
    """Fill the room: characters that the corpus uses and that nothing spells yet, then by frequency."""
    kept = set(mandatory)
    # Ties (all unseen pieces are one) go to single characters, which spare bytes, then to the teacher's
    # more probable piece, then to the lower id.
    longer = np.array([len(piece) > 1 for piece in pieces])
    order = np.lexsort((np.arange(len(pieces)), -scores, longer, -frequency))
    spelling = _character_frequency(frequency, pieces)
    by_use = sorted(
        (number for number, piece in enumerate(pieces) if len(piece) == 1 and spelling.get(piece, 0.0) > 0),
        key=lambda number: (-spelling[pieces[number]], number),
    )
    # A character that is spelled in bytes costs three tokens where it stands; a rare word costs one or
    # two. So the characters in use come first, as far as a third of the room.
    for number in by_use:
        if len(kept) >= len(mandatory) + (room - len(mandatory)) // 3:
            break
        kept.add(number)
    for number in order.tolist():
        if len(kept) >= room:
            break
        kept.add(number)
    return sorted(kept)


def _character_frequency(frequency: NDArray[np.float64], pieces: list[str]) -> dict[str, float]:
    """Return how often each character occurs in the corpus, read off the pieces that it occurs in."""
    found: dict[str, float] = {}
    for number in np.flatnonzero(frequency).tolist():
        for character in pieces[number].lstrip(META):
            found[character] = found.get(character, 0.0) + float(frequency[number])
    return found


def coverage(counts: PieceCounts, *, pieces: list[str], kept: list[int]) -> dict[str, LanguageCoverage]:
    """Measure on the counts what stays of each language."""
    stays = np.zeros(len(pieces), dtype=bool)
    stays[kept] = True
    known = {pieces[number] for number in kept}
    in_bytes = np.zeros(len(pieces), dtype=bool)
    for number in np.flatnonzero(counts.total()[: len(pieces)] * ~stays).tolist():
        in_bytes[number] = not _spells(known, pieces[number])
    result = {}
    for code, every in counts.pieces.items():
        numbers = every[: len(pieces)]
        total = int(numbers.sum())
        sentences = counts.sentences[code]
        result[code] = LanguageCoverage(
            sentences=sentences,
            tokens_per_sentence=round(total / max(1, sentences), 4),
            kept=round(float(numbers[stays].sum()) / max(1, total), 6),
            spelled_in_bytes=round(float(numbers[in_bytes].sum()) / max(1, total), 6),
        )
    return result


def _spells(known: set[str], piece: str) -> bool:
    """Tell whether some sequence of known pieces spells a piece."""
    reached = {0}
    for end in range(1, len(piece) + 1):
        if any(piece[start:end] in known for start in reached):
            reached.add(end)
    return len(piece) in reached

"""Measure on text how many tokens a student's tokenizer makes of it, beside the teacher's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelpress.utils.files import read_json, write_json
from babelpress.vocabulary.bytelevel import from_byte_level
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.tokenizer_file import Family, TokenizerFile


@dataclass(frozen=True)
class LanguageFertility:
    """One language's tokens a sentence, special tokens not counted.

    `ratio` is the student's over the teacher's. `byte_rate` is the share of the student's tokens that are
    byte pieces, or pieces of a byte level that are not whole characters; `unknown_to_teacher` the share of
    the teacher's that are its unknown piece.
    """

    sentences: int
    teacher: float
    student: float
    ratio: float
    byte_rate: float
    unknown_to_teacher: float


def measure_fertility(
    teacher: TokenizerFile, student: TokenizerFile, texts: Iterable[tuple[list[str], list[str]]]
) -> dict[str, LanguageFertility]:
    """Cut (texts, languages) batches with both tokenizers."""
    kept = list(texts)
    return compare_counts(count_pieces(teacher, kept), count_pieces(student, kept), teacher=teacher, student=student)


def compare_counts(
    theirs: PieceCounts, ours: PieceCounts, *, teacher: TokenizerFile, student: TokenizerFile
) -> dict[str, LanguageFertility]:
    """Compare the pieces of the same text."""
    fallen = byte_tokens(student)
    found = {}
    for code, before in theirs.pieces.items():
        after = ours.pieces[code]
        sentences = max(1, theirs.sentences[code])
        tokens, student_tokens = int(before.sum()), int(after.sum())
        unknown = 0 if teacher.unk_id is None else int(before[teacher.unk_id])
        found[code] = LanguageFertility(
            sentences=theirs.sentences[code],
            teacher=round(tokens / sentences, 3),
            student=round(student_tokens / sentences, 3),
            ratio=round(student_tokens / max(1, tokens), 4),
            byte_rate=round(float(after[fallen].sum()) / max(1, student_tokens), 6),
            unknown_to_teacher=round(unknown / max(1, tokens), 6),
        )
    return found


def byte_tokens(file: TokenizerFile) -> NDArray[np.bool_]:
    """Return which pieces stand for bytes rather than for characters; shape (ids,)."""
    mask = np.zeros(len(file.pieces), dtype=np.bool_)
    mask[list(file.byte_ids)] = True
    if file.is_byte_level:
        prefix = file.model.get("continuing_subword_prefix") or "" if file.family is Family.WORDPIECE else ""
        plain = file.plain_ids
        for number, piece in enumerate(file.pieces):
            text = piece.removeprefix(prefix) if prefix and len(piece) > len(prefix) else piece
            mask[number] = plain[number] and from_byte_level(text) is None
    return mask


def save_fertility(path: Path, languages: dict[str, LanguageFertility]) -> None:
    """Write the figures as JSON."""
    write_json(path, {code: asdict(figures) for code, figures in languages.items()})


def load_fertility(path: Path) -> dict[str, LanguageFertility]:
    """Read what `save_fertility` wrote."""
    return {code: LanguageFertility(**figures) for code, figures in read_json(path).items()}

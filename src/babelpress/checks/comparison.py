"""The student compared with its teacher: the same pieces, and where no layer was removed, the same embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from babelpress.checks.result import CheckResult, judge, skipped
from babelpress.checks.texts import special_texts
from babelpress.vocabulary.bytelevel import wordpiece_in_bytes
from babelpress.vocabulary.tokenizer_file import Family, TokenizerFile

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

LIMIT = 1e-6
_MOST_EMBEDDED = 200  # texts


@dataclass(frozen=True)
class Covered:
    """The texts whose teacher pieces were all kept, and the ids that the student must give; `of` were examined."""

    texts: tuple[str, ...]
    ids: tuple[list[int], ...]
    of: int


def id_map(student: TokenizerFile, *, teacher: TokenizerFile) -> dict[int, int]:
    """Return teacher id → student id of the kept pieces, by the pieces' texts.

    Where a WordPiece student is byte-level and its teacher is not, pieces are compared by the stand-ins of their bytes.
    """
    converted = student.family is Family.WORDPIECE and student.is_byte_level and not teacher.is_byte_level
    mapped = {}
    for number, piece in enumerate(teacher.pieces):
        name = byte_level_piece(piece, file=teacher) if converted else piece
        if name in student.ids:
            mapped[number] = student.ids[name]
    return mapped


def byte_level_piece(piece: str, *, file: TokenizerFile) -> str:
    """Return the name that a WordPiece's piece has in a byte-level vocabulary; special tokens keep theirs."""
    if piece in file.added or piece in special_texts(file):
        return piece
    return wordpiece_in_bytes(piece, prefix=file.model.get("continuing_subword_prefix") or "##")


def find_covered(
    texts: Sequence[str], *, tokenizer: Tokenizer, teacher: TokenizerFile, kept: dict[int, int]
) -> Covered:
    """Return the texts that the student must cut as the teacher does.

    `tokenizer` is the teacher's. Left out are texts with an unknown piece, with special tokens, and with
    literal byte names, which a student cuts apart on purpose.
    """
    hidden = re.compile("|".join(["<0x[0-9A-F]{2}>", *map(re.escape, special_texts(teacher))]))
    known = kept.keys() - ({teacher.unk_id} if teacher.unk_id is not None else set())
    covered: list[tuple[str, list[int]]] = []
    normalizer = tokenizer.normalizer
    for text, encoding in zip(texts, tokenizer.encode_batch_fast(list(texts)), strict=True):
        if not known.issuperset(encoding.ids):
            continue
        plain = text if normalizer is None else normalizer.normalize_str(text)
        if hidden.search(text) or hidden.search(plain):
            continue
        covered.append((text, [kept[number] for number in encoding.ids]))
    return Covered(tuple(text for text, _ in covered), tuple(ids for _, ids in covered), len(texts))


def check_restriction(covered: Covered, *, tokenizer: Tokenizer) -> CheckResult:
    """Compare the student's ids of covered texts with the teacher's."""
    if not covered.texts:
        return skipped("restriction", f"none of {covered.of:,} texts has all its teacher pieces kept")
    encodings = tokenizer.encode_batch_fast(list(covered.texts))
    failures = [
        (text, f"the teacher cuts it into {len(want)} pieces, the student into {len(got.ids)} or others")
        for text, want, got in zip(covered.texts, covered.ids, encodings, strict=True)
        if got.ids != want
    ]
    note = f"of {covered.of:,} texts; the others have dropped or unknown pieces"
    return judge("restriction", tested=len(covered.texts), failures=failures, note=note)


def embed_texts(model: SentenceTransformer, texts: Sequence[str]) -> Any:
    """Return normalised fp32 embeddings without any prompt, shape (texts, dimensions)."""
    return model.encode(
        list(texts), prompt="", batch_size=16, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )


def sample(covered: Covered) -> tuple[str, ...]:
    """Return at most 200 covered texts, spread over all."""
    step = max(1, -(-len(covered.texts) // _MOST_EMBEDDED))
    return covered.texts[::step]


def check_embeddings(texts: Sequence[str], *, student: Any, teacher: Any) -> CheckResult:
    """Compare two embedding matrices of the same texts, value by value."""
    if student.shape != teacher.shape:
        wrong = f"{student.shape[1]} dimensions, the teacher has {teacher.shape[1]}"
        return judge("embeddings", tested=len(texts), failures=[(texts[0], wrong)])
    apart = np.abs(student - teacher).max(axis=1)
    failures = [
        (texts[at], f"off by {apart[at]:.1e}, at most {LIMIT:.0e} is allowed")
        for at in np.flatnonzero(~(apart <= LIMIT)).tolist()
    ]
    return judge("embeddings", tested=len(texts), failures=failures, note=f"largest difference {apart.max():.1e}")

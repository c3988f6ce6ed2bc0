"""Whether any character at all is spelled, never unknown, by every reader."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from babelpress.checks.result import CheckResult, Status

FORMS = (("", ""), ("ab", "cd"), ("가", "나"))
_STEP = 97
_CHUNK = 1 << 15
_SURROGATES = range(0xD800, 0xE000)
_BOUNDARIES = (0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFF, 0x20000, 0xE0001, 0x10FFFF)

Encode = Callable[[list[str]], list[list[int]]]


def scalar_values(*, full: bool) -> list[str]:
    """Return all 1,112,064 Unicode scalar values, or those below 0x3000, boundaries, and every 97th."""
    wanted = set(range(sys.maxunicode + 1) if full else range(0, sys.maxunicode + 1, _STEP))
    wanted |= {*range(0x3000), *_BOUNDARIES}
    return [chr(code) for code in sorted(wanted.difference(_SURROGATES))]


def check_totality(
    name: str,
    *,
    encode: Encode,
    characters: list[str],
    unk_id: int | None,
    rows: int,
    is_visible: Callable[[str], bool],
    advance: Callable[[int], None] = lambda _: None,
) -> CheckResult:
    """Encode every character alone and inside words; none may be unknown, lost, or have an id without a row.

    `is_visible` tells whether the normaliser leaves anything of a character: what it removes is not lost.
    """
    frame = len(encode([""])[0])
    wrong = np.zeros(len(characters), dtype=np.bool_)
    first: tuple[str, str] | None = None
    frames = encode([before + after for before, after in FORMS])
    usable = [form for form, ids in zip(FORMS, frames, strict=True) if unk_id is None or unk_id not in ids]
    for before, after in usable:
        for start in range(0, len(characters), _CHUNK):
            texts = [before + character + after for character in characters[start : start + _CHUNK]]
            lengths, ids = _flat(encode(texts))
            owners = np.repeat(np.arange(len(texts)), lengths)
            outside = owners[(ids >= rows) | (ids < 0)]
            unknown = owners[ids == unk_id] if unk_id is not None else owners[:0]
            lost = [at for at in np.flatnonzero(lengths <= frame).tolist() if not before and is_visible(texts[at])]
            for kind, found in (("are unknown", unknown), ("are lost", lost), (f"give an id over {rows - 1}", outside)):
                if len(found):
                    wrong[start + np.unique(found)] = True
                    first = first or (texts[int(min(found))], kind)
            advance(len(texts))
    if first is None:
        return CheckResult(name, Status.PASS, len(characters), "alone and inside words")
    return CheckResult(
        name, Status.FAIL, len(characters), f"{int(wrong.sum()):,} of {len(characters):,} characters {first[1]}",
        first[0],
    )  # fmt: skip


def _flat(ids: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths, shape (texts,), and all ids in a row."""
    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    return lengths, np.fromiter(chain.from_iterable(ids), dtype=np.int64, count=int(lengths.sum()))

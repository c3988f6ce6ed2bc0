"""Text to try tokenizers with: made of a vocabulary's own pieces, of many scripts, and of what goes wrong."""

from __future__ import annotations

import random
import re
import sys
from functools import lru_cache

from hypothesis import strategies as st

from babelpress.vocabulary.tokenizer_file import BYTE_PIECES
from tests.vocabulary import kept_surfaces

BYTE_NAME = re.compile("<0x[0-9A-F]{2}>")
SPECIAL_TEXTS = ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>", "[SEP]", "[UNK]", "<bos>", "<extra_id_0>")

characters = st.characters(exclude_categories=("Cs",))
SCRIPTS = "abcXYZ0189-<>=@ 가나다안녕中文漢かなкотกขअआลाمرحباệäß,.!?¿「」…—\t\n"
NASTY = (
    "  ", "\t", "\u00a0", "\u3000", "\u0301", " \u0301", "👩\u200d👩\u200d👧", "👍🏽", "ᄒ", "ᅡ", "ᆫ", "▁", "\r\n",
    "\x1c", "\x85", "\u0378", "\U000e0fff", "\ufeff", "\u200b", "\u00ad", "\u2028", "e\u0301", "ﬁ", "ｆ", "Ⅷ", "ﷺ",
    "\x00", "\ufffe", "Ġ", "</w>", "##", *SPECIAL_TEXTS,
)  # fmt: skip


def mixed_text(name: str) -> st.SearchStrategy[str]:
    """Text of a family's kept pieces, of any characters, of several scripts, and of literals."""
    part = st.one_of(
        st.deferred(lambda: st.sampled_from(kept_surfaces(name))),
        st.deferred(lambda: st.sampled_from(kept_surfaces(name))),
        st.text(characters, max_size=3),
        st.text(st.sampled_from(SCRIPTS), max_size=6),
        st.sampled_from(["<", "0x", "0x41>", "<0x4", *SPECIAL_TEXTS]),
    )
    return st.lists(part, max_size=12).map("".join)


def nasty_text(name: str) -> st.SearchStrategy[str]:
    """Text of white space of all kinds, characters that join or change, and literals, between ordinary words."""
    part = st.one_of(
        st.sampled_from(NASTY),
        st.text(characters, max_size=2),
        st.text(st.sampled_from(SCRIPTS), max_size=4),
        st.deferred(lambda: st.sampled_from(kept_surfaces(name))),
        st.sampled_from(["<0x41>", "<0xE4>", " ", " "]),
    )
    return st.lists(part, max_size=8).map("".join)


@lru_cache(maxsize=16)
def composed(name: str, count: int = 300) -> tuple[str, ...]:
    """Texts of a few kept pieces each, the same every time."""
    draw, surfaces = random.Random(7), kept_surfaces(name)
    return tuple("".join(draw.choices(surfaces, k=draw.randint(1, 6))) for _ in range(count))


def scalar_values(step: int) -> list[str]:
    """Unicode scalar values: every `step`-th, all of the first scripts, and those at the borders."""
    wanted = {*range(0, sys.maxunicode + 1, step), *range(0x3000), 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF}
    return [chr(code) for code in sorted(wanted) if not 0xD800 <= code <= 0xDFFF]


def literal_mixtures() -> st.SearchStrategy[str]:
    """Byte names, whole and in pieces, between letters."""
    parts = [*BYTE_PIECES[::16], "<", ">", "0x", "0xE4>", "a", " ", "가", "<0x4", "x41>", "<<", "##"]
    return st.lists(st.sampled_from(parts), max_size=12).map("".join)

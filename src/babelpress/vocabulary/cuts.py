"""Where a tokenizer's text may be cut without changing its pieces, and which words need no normalising."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers.normalizers import Normalizer

from babelpress.vocabulary.tokenizer_file import META, TokenizerFile, parts_of
from babelpress.vocabulary.words import LETTER, LONG_LETTER, MARK, OTHER


class Cut(str, Enum):
    """Where a text may be cut without changing its pieces."""

    SPACES = "spaces"  # white space only separates words
    LONE_SPACES = "lone spaces"  # single spaces inside a text only separate words
    BEFORE_SPACES = "before spaces"  # a word's single space belongs to it
    NOWHERE = "nowhere"


def cut_of(file: TokenizerFile) -> Cut:
    """Read off a tokenizer.json where texts may be cut; NOWHERE for anything not known to allow it."""
    steps = [part["type"] for part in parts_of(file.raw.get("pre_tokenizer"))]
    normalizers = parts_of(file.raw.get("normalizer"))
    known = {"Precompiled", "NFC", "NFKC", "NFD", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"}
    unknown = any(part["type"] not in known and not _is_space_collapse(part) for part in normalizers)
    if unknown or any(character.isspace() for text in file.added for character in text):
        return Cut.NOWHERE
    if steps and steps[0] in {"WhitespaceSplit", "BertPreTokenizer", "Whitespace"}:
        return Cut.SPACES
    if any(token.get("rstrip") or token.get("normalized") for token in file.raw.get("added_tokens") or []):
        return Cut.NOWHERE
    metaspace = parts_of(file.raw.get("pre_tokenizer"))
    if steps == ["Metaspace"] and metaspace[0].get("prepend_scheme") == "always" and metaspace[0].get("split", True):
        return Cut.LONE_SPACES
    if steps in (["Split", "ByteLevel"], ["ByteLevel"]) and _keeps_space_with_word(metaspace):
        return Cut.BEFORE_SPACES
    return Cut.NOWHERE


def _is_space_collapse(part: dict[str, Any]) -> bool:
    return part["type"] == "Replace" and part.get("pattern") == {"Regex": " {2,}"} and part.get("content") == " "


# The patterns of GPT-2 and its kin: a match holds white space only as its first character or throughout,
# so that none reaches over a single space between two words.
_WORD_PATTERNS = tuple(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}", r"\p{N}{1,3}")
)


def _keeps_space_with_word(steps: list[dict[str, Any]]) -> bool:
    if steps[-1].get("add_prefix_space"):
        return False
    if len(steps) == 1:
        return bool(steps[0].get("use_regex", True))
    pattern = (steps[0].get("pattern") or {}).get("Regex")
    return not steps[1].get("use_regex", True) and steps[0].get("behavior") == "Isolated" and pattern in _WORD_PATTERNS


@cache
def joins(character: str) -> bool:
    """Tell whether a space before a character could be one grapheme with it; unknown characters might."""
    joining = "\u0e33\u0eb3\uff9e\uff9f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # letters and signs that do
    return unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf", "Cn"} or character in joining


_ODD_SPACES = r"^ | $|  |[^\S ]|[\x1c-\x1f\x85]"


def odd_texts(cut: Cut, normalizer: Normalizer | None, added: Iterable[str]) -> re.Pattern[str] | None:
    """Match texts whose spaces do more than separate words.

    Where only lone spaces do, that is also beside added tokens, and where normalising makes or frees spaces.
    """
    if cut is Cut.SPACES or cut is Cut.NOWHERE:
        return None
    if cut is Cut.BEFORE_SPACES:
        return re.compile(_ODD_SPACES)
    normal = normalizer.normalize_str if normalizer is not None else str
    every = (chr(code) for code in range(0x20000) if code != 0x20 and not 0xD800 <= code < 0xE000)
    odd = [ord(character) for character in every if not (found := normal(character)) or {" ", META} & {*found}]
    return re.compile("|".join([_ODD_SPACES, _class([*odd, *range(0xE0000, 0x110000)]), *map(re.escape, added)]))


def _class(codes: list[int]) -> str:
    """Return a character class of a regular expression."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


def _marks_words(file: TokenizerFile) -> bool:
    """Tell whether a text's words, each behind a space mark, are all that the model sees."""
    steps = parts_of(file.raw.get("pre_tokenizer"))
    if [step["type"] for step in steps] != ["WhitespaceSplit", "Metaspace"]:
        return False
    return steps[1].get("replacement") == META and steps[1].get("prepend_scheme") == "always"


def word_kinds(normalizer: Normalizer | None, file: TokenizerFile) -> NDArray[np.uint8]:
    """Tell, for each code point below 65,536, whether words of such are plain: shape (65,536,).

    Plain words are left alone by normalising and begin no added token. They are of letters, digits and punctuation
    that are their own normal form and never compose with a neighbour; Hangul letters do and are left out. Marks
    are let in behind a letter of three bytes where the normaliser is a charsmap, which looks at no grapheme of
    six bytes or more as a whole. Without a space mark before every word none is plain.
    """
    kinds = np.full(0x10000, OTHER, dtype=np.uint8)
    if not _marks_words(file):
        return kinds
    begins = {text[0] for text in file.added if text}
    normal = normalizer.normalize_str if normalizer is not None else str
    charsmap = all(part["type"] in {"Precompiled", "Replace"} for part in parts_of(file.raw.get("normalizer")))
    for code in range(0x21, 0xFFFF):
        character = chr(code)
        category = unicodedata.category(character)
        hangul_letter = 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97F or 0xD7B0 <= code <= 0xD7FF
        if category[0] not in "LMNP" or character in begins or hangul_letter or normal(character) != character:
            continue
        if category[0] != "M":
            kinds[code] = LONG_LETTER if code >= 0x800 else LETTER
        elif charsmap and code >= 0x800:
            kinds[code] = MARK
    return kinds

"""The characters that a student must be able to spell without byte pieces (docs/pitfalls.md, A6, A14).

Scripts of some hundred characters are kept whole, as far as the teacher has them. Han characters and
Hangul syllables are too many for that; of those the corpus decides (`characters.py`).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import langcodes
import regex
from tokenizers import Tokenizer
from tokenizers.normalizers import Normalizer

from babelpress.vocabulary.surface import surface_of
from babelpress.vocabulary.tokenizer_file import TokenizerFile

_ASCII = [(0x21, 0x7E)]
_COMMON = [
    (0xA1, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),  # Latin-1 signs
    (0x2010, 0x2027), (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2122, 0x2122), (0x2190, 0x2193),  # punctuation, money
    (0x3001, 0x3011), (0x301C, 0x301C), (0x30FB, 0x30FC),  # East Asian punctuation
    (0xFE0F, 0xFE0F), (0x2600, 0x27BF), (0x1F300, 0x1FAFF),  # symbols and emoji
]  # fmt: skip
_JOINERS = "‌‍"
_KEPT_CATEGORIES = frozenset("LMNPS")

# What the languages of each script (ISO 15924) write with; what the teacher lacks of it is reported.
_LETTERS = {
    "Latn": [(0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F), (0x218, 0x21B)],
    "Cyrl": [(0x400, 0x45F), (0x490, 0x491)],
    "Arab": [(0x60C, 0x60C), (0x61B, 0x61F), (0x620, 0x65F), (0x660, 0x66D), (0x670, 0x6D3), (0x6F0, 0x6F9)],
    "Deva": [(0x900, 0x97F)],
    "Thai": [(0xE01, 0xE3A), (0xE3F, 0xE5B)],
    "Hira": [(0x3041, 0x309F)],
    "Kana": [(0x30A0, 0x30FF)],
    "Grek": [(0x386, 0x3CE)],
    "Hebr": [(0x5D0, 0x5EA), (0x5B0, 0x5C7)],
    "Beng": [(0x980, 0x9FE)],
    "Taml": [(0xB82, 0xBFA)],
    "Telu": [(0xC00, 0xC7F)],
}
_VIETNAMESE = [(0x1A0, 0x1B0), (0x1EA0, 0x1EF9), (0x300, 0x301), (0x303, 0x303), (0x309, 0x309), (0x323, 0x323)]
# Scripts that are written together; the last two are too large to be kept whole.
_TOGETHER = {
    "Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang",), "Hans": ("Hani", "Bopo"), "Hant": ("Hani", "Bopo"),
}  # fmt: skip
LARGE_SCRIPTS = frozenset({"Hani", "Hang"})


def scripts_of(language: str) -> tuple[str, ...]:
    """Return the scripts (ISO 15924) that a language is written in; Latin where that is not known."""
    script = langcodes.Language.get(language).maximize().script or "Latn"
    return _TOGETHER.get(script, (script,))


def alphabet(languages: Iterable[str], tokenizer: TokenizerFile) -> list[str]:
    """Return the characters to keep, as the tokenizer sees them, sorted.

    These are ASCII, common punctuation, signs and emoji, and the letters, marks and digits of the
    languages' scripts: what their languages write with, and all others that the tokenizer has a piece for.
    """
    languages = tuple(languages)
    ranges = [*_ASCII, *_COMMON]
    scripts = sorted({script for language in languages for script in scripts_of(language)} - LARGE_SCRIPTS)
    for script in scripts:
        ranges += _LETTERS.get(script, [])
    ranges += _VIETNAMESE if any(language.partition("-")[0] == "vi" for language in languages) else []
    wanted = {chr(code) for first, last in ranges for code in range(first, last + 1)}
    wanted = {character for character in wanted if unicodedata.category(character)[0] in _KEPT_CATEGORIES}
    wanted |= set(_JOINERS)
    normalizer = _normalizer(tokenizer)
    if normalizer is not None:
        wanted = {piece for character in wanted for piece in normalizer.normalize_str(character) if not piece.isspace()}
    own = {text for text in map(surface_of(tokenizer), tokenizer.pieces) if text and len(text) == 1}
    own = {text for text in own if unicodedata.category(text)[0] in "LMN"}
    return sorted(wanted | {character for character in own if in_scripts(character, scripts)})


def _normalizer(tokenizer: TokenizerFile) -> Normalizer | None:
    node = tokenizer.raw.get("normalizer")
    if not node:
        return None
    model = {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}
    return Tokenizer.from_str(json.dumps({"model": model, "normalizer": node})).normalizer


def in_scripts(character: str, scripts: Iterable[str]) -> bool:
    """Tell whether a character belongs to one of the scripts (Unicode property Script)."""
    names = tuple(scripts)
    return bool(names) and bool(_pattern(names).fullmatch(character))


@lru_cache(maxsize=64)
def _pattern(scripts: tuple[str, ...]) -> regex.Pattern[str]:
    return regex.compile("[" + "".join(rf"\p{{Script={script}}}" for script in scripts) + "]")

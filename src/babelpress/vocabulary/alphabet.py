"""The characters that a student must be able to spell without byte pieces (FIELD_NOTES A6, A14).

Alphabetic scripts are listed whole, by Unicode block, for each language. Han characters and Hangul
syllables are too many for that; those that the corpus uses are taken from its counts.
"""

from __future__ import annotations

import unicodedata

from tokenizers.normalizers import Normalizer

_ASCII = [(0x21, 0x7E)]
_COMMON = [
    (0xA1, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),  # Latin-1 signs
    (0x2010, 0x2027), (0x2030, 0x203A), (0x20A0, 0x20BF), (0x2122, 0x2122), (0x2190, 0x2193),  # punctuation, money
    (0x3001, 0x3011), (0x301C, 0x301C), (0x30FB, 0x30FC),  # East Asian punctuation
    (0xFE0F, 0xFE0F), (0x2600, 0x27BF), (0x1F300, 0x1FAFF),  # symbols and emoji
]  # fmt: skip
_LATIN = [(0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F), (0x218, 0x21B)]
_VIETNAMESE = [
    *_LATIN,
    (0x1A0, 0x1B0),
    (0x1EA0, 0x1EF9),
    (0x300, 0x301),
    (0x303, 0x303),
    (0x309, 0x309),
    (0x323, 0x323),
]
_CYRILLIC = [(0x400, 0x45F), (0x490, 0x491), (0x4D0, 0x4FF)]
_ARABIC = [(0x60C, 0x60C), (0x61B, 0x61F), (0x620, 0x65F), (0x660, 0x66D), (0x670, 0x6D3), (0x6F0, 0x6F9)]
_DEVANAGARI = [(0x900, 0x97F), (0x200C, 0x200D)]
_THAI = [(0xE01, 0xE3A), (0xE3F, 0xE5B)]
_KANA = [(0x3041, 0x309F), (0x30A0, 0x30FF)]
_JAMO = [(0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2)]
_GREEK = [(0x386, 0x3CE)]
_HEBREW = [(0x5D0, 0x5EA), (0x5B0, 0x5C7)]
_BENGALI = [(0x980, 0x9FE)]
_TAMIL = [(0xB82, 0xBFA)]
_TELUGU = [(0xC00, 0xC7F)]

_SCRIPTS = {
    "ar": _ARABIC, "fa": _ARABIC, "ur": _ARABIC, "ru": _CYRILLIC, "uk": _CYRILLIC, "bg": _CYRILLIC, "sr": _CYRILLIC,
    "kk": _CYRILLIC, "mn": _CYRILLIC, "hi": _DEVANAGARI, "mr": _DEVANAGARI, "ne": _DEVANAGARI, "th": _THAI, "ja": _KANA,
    "ko": _JAMO, "vi": _VIETNAMESE, "el": _GREEK, "he": _HEBREW, "bn": _BENGALI, "ta": _TAMIL, "te": _TELUGU, "zh": [],
}  # fmt: skip
_KEPT_CATEGORIES = frozenset("LMNPS")


def alphabet(languages: tuple[str, ...], normalizer: Normalizer | None) -> list[str]:
    """Return the characters of the languages' scripts as the tokenizer sees them, sorted.

    A language that is not listed is taken to be written in Latin letters; its other characters
    are still kept as far as the corpus uses them.
    """
    ranges = [*_ASCII, *_COMMON]
    for language in languages:
        ranges += _SCRIPTS.get(language.partition("-")[0], _LATIN)
    characters = {chr(code) for first, last in ranges for code in range(first, last + 1)}
    assigned = {
        character
        for character in characters
        if unicodedata.category(character)[0] in _KEPT_CATEGORIES or character in "‌‍"
    }
    if normalizer is None:
        return sorted(assigned)
    return sorted(
        {piece for character in assigned for piece in normalizer.normalize_str(character) if not piece.isspace()}
    )

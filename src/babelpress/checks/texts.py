"""The texts that a tokenizer is tried on: generated ones, the embedded sentences, the user's."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from babelpress.checks.surface import ordinary_ids, surface
from babelpress.corpus.bundled import load_meanings
from babelpress.corpus.sources import first_lines
from babelpress.vocabulary.tokenizer_file import TokenizerFile

GIVEN_LIMIT = 20_000
_GENERATED = 2_000

_SCRIPTS = (
    (0x21, 0x7E), (0xC0, 0x17F), (0x1EA0, 0x1EF9), (0x391, 0x3C9), (0x410, 0x44F), (0x531, 0x586), (0x5D0, 0x5EA),
    (0x620, 0x64A), (0x904, 0x94D), (0x985, 0x9CD), (0xB85, 0xBCD), (0xC05, 0xC4D), (0xE01, 0xE3A), (0x10D0, 0x10FA),
    (0x1200, 0x135A), (0x1780, 0x17D3), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0x1100, 0x1112), (0xFF01, 0xFF5E), (0x10330, 0x1034A), (0x12000, 0x12399), (0x20000, 0x2A6DF), (0x1D400, 0x1D7FF),
)  # fmt: skip
_EMOJI = (
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷", "🇧🇷🇩🇪", "1️⃣", "❤️", "☃", "🧑🏿‍🚀", "🫨", "🕵🏻‍♀️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "‼️", "🪿",
)  # fmt: skip
_GAPS = ("", "", "", " ", " ", "  ", "\t", "\n", " \u3000", "\u00a0", ". ", ", ")


@dataclass(frozen=True)
class Texts:
    """Texts by where they come from."""

    bundled: tuple[str, ...]
    generated: tuple[str, ...]
    given: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """Return all of them, sentences first."""
        return [*self.bundled, *self.given, *self.generated]


def gather_texts(file: TokenizerFile, *, paths: Sequence[Path] = (), seed: int = 0) -> Texts:
    """Return the embedded sentences, generated texts, and the first lines of files, one text a line.

    Raises SourceError for a file that is missing or damaged.
    """
    bundled = tuple(text for meaning in load_meanings() for text in meaning.texts.values())
    given = [text for path in paths for text in first_lines(path, limit=GIVEN_LIMIT // len(paths))]
    return Texts(bundled, tuple(generate(file, count=_GENERATED, seed=seed)), tuple(given))


def generate(file: TokenizerFile, *, count: int, seed: int) -> list[str]:
    """Return mixtures of the tokenizer's own pieces, of scripts, of emoji and of any Unicode, the same ones always."""
    draw = random.Random(seed)
    words = [text for number in ordinary_ids(file) if (text := surface(file.pieces[number], file=file))] or ["a"]

    def pieces() -> str:
        return "".join(draw.choices(words, k=draw.randint(1, 8)))

    def script() -> str:
        first, last = draw.choice(_SCRIPTS)
        return "".join(chr(draw.randint(first, last)) for _ in range(draw.randint(1, 6)))

    def emoji() -> str:
        return draw.choice(_EMOJI)

    def any_unicode() -> str:
        codes = (draw.randrange(0x110000 - 0x800) for _ in range(draw.randint(1, 4)))
        return "".join(chr(code if code < 0xD800 else code + 0x800) for code in codes)

    makers: tuple[Callable[[], str], ...] = (pieces, script, emoji, any_unicode)
    texts = []
    for number in range(count):
        if number % 2:
            texts.append(pieces())
        else:
            chosen = draw.choices(makers, weights=(3, 3, 1, 2), k=draw.randint(1, 8))
            texts.append("".join(make() + draw.choice(_GAPS) for make in chosen))
    return texts

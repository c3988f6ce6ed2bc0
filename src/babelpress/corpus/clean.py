"""Make one text fit to be trained on, or say why it is not."""

from __future__ import annotations

import re
import unicodedata

_PLANE_ENDS = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
# Control characters (category Cc), lone surrogates, non-characters, and the byte-order mark. Joiners
# (U+200C, U+200D) and other format characters stay: Hindi, Persian and emoji need them.
_DROPPED = re.compile(f"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")
_SPACES = re.compile(r"\s+")


class Rejected(Exception):  # noqa: N818 (not an error: a line that is counted)
    """A text that is left out; the message is the reason that is counted."""


def clean(text: str, *, min_chars: int, max_chars: int) -> str:
    """Return the text in NFC, on one line, without control characters.

    Lengths are in characters after cleaning. Raises Rejected with the reason.
    """
    if len(text) > 4 * max_chars:  # no cleaning can save it, and normalising a megabyte is slow
        raise Rejected("too long")
    cleaned = _SPACES.sub(" ", unicodedata.normalize("NFC", _DROPPED.sub("", text))).strip()
    if not cleaned:
        raise Rejected("empty")
    if len(cleaned) < min_chars:
        raise Rejected("too short")
    if len(cleaned) > max_chars:
        raise Rejected("too long")
    return cleaned


def comparison_key(text: str) -> str:
    """Return what two texts share when only width, case, spaces and punctuation differ."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_KEPT)


class _Kept(dict[int, int | None]):
    """What `str.translate` looks up: letters, marks and digits stay; asked for each character once."""

    def __missing__(self, code: int) -> int | None:
        variation = 0xFE00 <= code <= 0xFE0F  # they follow emoji
        kept = None if variation or unicodedata.category(chr(code))[0] not in "LMN" else code
        self[code] = kept
        return kept


_KEPT = _Kept()

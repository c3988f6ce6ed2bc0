"""What a piece stands for in text."""

from __future__ import annotations

from collections.abc import Callable

from babelpress.vocabulary.bytelevel import from_byte_level
from babelpress.vocabulary.tokenizer_file import META, Family, TokenizerFile


def surface_of(file: TokenizerFile) -> Callable[[str], str | None]:
    """Return the function from a piece to its text without space marks, prefixes and suffixes.

    It gives None for a byte-level piece that is not whole characters.
    """
    prefix = str(file.model.get("continuing_subword_prefix") or "") if file.family is not Family.UNIGRAM else ""
    suffix = str(file.model.get("end_of_word_suffix") or "") if file.family is Family.BPE else ""

    def surface(piece: str) -> str | None:
        text = piece.removeprefix(prefix) if len(piece) > len(prefix) else piece
        text = text.removesuffix(suffix) if len(text) > len(suffix) else text
        if file.is_byte_level:
            whole = from_byte_level(text)
            return None if whole is None else whole.removeprefix(" ")
        return text.removeprefix(META) if len(text) > 1 else text

    return surface


def with_space_marks(file: TokenizerFile) -> list[str]:
    """Return the pieces of text as a Unigram writes them: `▁` before those that begin a word."""
    if file.family is Family.UNIGRAM:
        return list(file.pieces)
    surface = surface_of(file)
    prefix = str(file.model.get("continuing_subword_prefix") or "")
    mark = "Ġ" if file.is_byte_level else META
    plain = file.plain_ids.tolist()
    found = []
    for piece, is_plain in zip(file.pieces, plain, strict=True):
        text = surface(piece) if is_plain else None
        if text:
            begins = piece.startswith(mark) if not prefix else not piece.startswith(prefix)
            found.append(META + text if begins else text)
    return found

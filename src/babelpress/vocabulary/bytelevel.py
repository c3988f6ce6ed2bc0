"""The printable stand-ins of the 256 bytes that byte-level tokenizers work on (Radford et al. 2019, GPT-2)."""

from __future__ import annotations

from tokenizers.pre_tokenizers import ByteLevel


def _characters() -> tuple[str, ...]:
    """Return the stand-in of each byte: printable Latin-1 stands for itself, the rest for U+0100 and on, in order."""
    alphabet = sorted(ByteLevel.alphabet(), key=ord)
    shifted = [character for character in alphabet if ord(character) >= 0x100]
    own = {ord(character): character for character in alphabet if ord(character) < 0x100}
    others = iter(shifted)
    return tuple(own[value] if value in own else next(others) for value in range(256))


BYTE_CHARACTERS = _characters()
_BYTES = {character: value for value, character in enumerate(BYTE_CHARACTERS)}


def to_byte_level(text: str) -> str:
    """Return the stand-ins of a text's UTF-8 bytes."""
    return "".join(BYTE_CHARACTERS[value] for value in text.encode("utf-8", "surrogatepass"))


def from_byte_level(piece: str) -> str | None:
    """Return the text of a byte-level piece; None for one that is not whole characters."""
    try:
        return bytes(_BYTES[character] for character in piece).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return None


def wordpiece_in_bytes(piece: str, *, prefix: str) -> str:
    """Return a WordPiece's piece in the byte-level writing, its prefix as it was."""
    if piece.startswith(prefix) and len(piece) > len(prefix):
        return prefix + to_byte_level(piece.removeprefix(prefix))
    return to_byte_level(piece)


def byte_of(piece: str, *, prefix: str = "##") -> int | None:
    """Return the byte that a new piece stands for: `<0xE4>`, a stand-in, or a stand-in behind a prefix."""
    if piece.startswith("<0x") and len(piece) == 6:
        return int(piece[3:5], 16)
    return _BYTES.get(piece.removeprefix(prefix) if len(piece) > len(prefix) else piece)

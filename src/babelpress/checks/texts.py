"""The texts that a tokenizer is tried on, the text that its pieces spell, and what it does to white space."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from babelpress.corpus.bundled import load_meanings
from babelpress.corpus.sources import first_lines
from babelpress.vocabulary.bytelevel import BYTE_CHARACTERS
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META, Family, TokenizerFile, parts_of

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer

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
_RARE = ("𐎀", "🫨", "ꙮ", "𒀀")  # characters that few vocabularies hold

_BYTES = {piece: value for value, piece in enumerate(BYTE_PIECES)}
_BYTE_OF = {character: bytes([value]) for value, character in enumerate(BYTE_CHARACTERS)}
# Unicode's White_Space, which Rust and the tokenizers library go by; Python's adds U+001C to U+001F.
_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


# --- texts to try -------------------------------------------------------------------------------


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
    """Return the bundled sentences, generated texts, and the first lines of files, one text a line.

    Raises SourceError for a file that is missing or damaged.
    """
    bundled = tuple(text for meaning in load_meanings() for text in meaning.texts.values())
    given = [text for path in paths for text in first_lines(path, limit=GIVEN_LIMIT // len(paths))]
    return Texts(bundled, tuple(generate(file, count=_GENERATED, seed=seed)), tuple(given))


def generate(file: TokenizerFile, *, count: int, seed: int) -> list[str]:
    """Return mixtures of the tokenizer's own pieces, of scripts, of emoji and of any Unicode, always the same."""
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


def literal_texts(*, seed: int = 0, mixtures: int = 300) -> list[str]:
    """Return texts that spell byte pieces: each of the 256 alone and in words, and mixtures."""
    draw = random.Random(seed)
    parts = ["<0x41>", "<0xE4>", "<0xF0>", "<", ">", "0x", "0xE4>", "<0x4", "a", " ", "가", *_RARE]
    fixed = ["<0xF0><0x9F>", "<0xF0><0x9F><0x98><0x80>", "<<0x41>>", "＜0x41＞", "<0xe4>", "<0x41"]
    fixed += [form.format(rare) for rare in _RARE for form in ("<0x41>{0}", "{0}<0x41>", "{0}<0x41>{0}<0xE4>")]
    mixed = ["".join(draw.choices(parts, k=draw.randint(2, 10))) for _ in range(mixtures)]
    return [*BYTE_PIECES, *(f"ab{piece}cd" for piece in BYTE_PIECES), *(f"a {piece} b" for piece in BYTE_PIECES),
            *fixed, *mixed]  # fmt: skip


# --- what pieces and tokenizers do to text ------------------------------------------------------


class Spaces(str, Enum):
    """What remains of white space after encoding and decoding."""

    KEPT = "kept"
    KEPT_INSIDE = "kept inside"
    COLLAPSED = "collapsed"
    DROPPED = "dropped"


def space_rule(file: TokenizerFile) -> Spaces:
    """Return what a tokenizer.json does to white space."""
    before = parts_of(file.raw.get("pre_tokenizer"))
    kinds = {part["type"] for part in before}
    steps = {part["type"] for key in ("normalizer", "decoder") for part in parts_of(file.raw.get(key))}
    if file.family is Family.WORDPIECE or file.model.get("end_of_word_suffix"):
        return Spaces.DROPPED
    if kinds & {"Whitespace", "BertPreTokenizer"} or ("WhitespaceSplit" in kinds and "Metaspace" not in kinds):
        return Spaces.DROPPED
    if "WhitespaceSplit" in kinds:
        return Spaces.COLLAPSED
    prefixed = any(part["type"] == "ByteLevel" and part.get("add_prefix_space") for part in before)
    if prefixed or "Metaspace" in kinds or steps & {"Prepend", "Strip", "Metaspace"}:
        return Spaces.KEPT_INSIDE
    return Spaces.KEPT


def respace(text: str, rule: Spaces) -> str:
    """Return a text with the white space that the rule keeps."""
    if rule is Spaces.DROPPED:
        return _SPACE.sub("", text)
    if rule is Spaces.COLLAPSED:
        return _SPACE.sub(" ", text).strip(" ")
    return text.lstrip(" ") if rule is Spaces.KEPT_INSIDE else text


def marks_spaces(file: TokenizerFile) -> bool:
    """Return whether a tokenizer writes ▁ for a space, so that decoding turns a ▁ of the text into one."""
    steps = [part for key in ("normalizer", "pre_tokenizer") for part in parts_of(file.raw.get(key))]
    return any(
        part["type"] == "Metaspace" or META in (part.get("content"), part.get("prepend"), part.get("replacement"))
        for part in steps
    )


def normalised(text: str, *, file: TokenizerFile, normalizer: Normalizer | None) -> str:
    """Return a text as the tokenizer's normaliser leaves it, with spaces and bytes in the place of their stand-ins."""
    result = text if normalizer is None else normalizer.normalize_str(text)
    kinds = parts_of(file.raw.get("normalizer"))
    if any(part["type"] == "ByteLevel" for part in kinds):
        return from_byte_level(result).decode("utf-8", errors="replace")
    if any(META in (part.get("content"), part.get("prepend")) for part in kinds):
        return result.replace(META, " ")
    return result


def spelled(ids: list[int], *, file: TokenizerFile) -> str:
    """Return the text that ids stand for, byte pieces as bytes, without added tokens, whatever the decoder."""
    hidden = set(file.added.values())
    raw = b"".join(_piece_bytes(file.pieces[number], file) for number in ids if number not in hidden)
    text = raw.decode("utf-8", errors="replace")
    suffix = file.model.get("end_of_word_suffix")  # a last character that is unknown gives its bytes, too
    return text.replace(suffix, " ") if suffix else text


def surface(piece: str, *, file: TokenizerFile) -> str | None:
    """Return the text of an ordinary piece; None where it is a part of a character."""
    try:
        return _piece_bytes(piece, file).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _piece_bytes(piece: str, file: TokenizerFile) -> bytes:
    if piece in _BYTES:
        return bytes([_BYTES[piece]])
    if file.family is Family.WORDPIECE:
        prefix = file.model.get("continuing_subword_prefix") or "##"
        body, lead = piece.removeprefix(prefix), b"" if piece.startswith(prefix) else b" "
        return lead + (from_byte_level(body) if file.is_byte_level else body.encode())
    if suffix := file.model.get("end_of_word_suffix"):
        piece = piece.removesuffix(suffix) + " " if piece.endswith(suffix) else piece
    return from_byte_level(piece) if file.is_byte_level else piece.replace(META, " ").encode()


def ordinary_ids(file: TokenizerFile) -> list[int]:
    """Return the ids that stand for text: no added tokens, no unknown, no pieces named after bytes."""
    hidden = {*file.added.values(), *([] if file.unk_id is None else [file.unk_id])}
    return [number for number, piece in enumerate(file.pieces) if number not in hidden and piece not in _BYTES]


def special_texts(file: TokenizerFile) -> frozenset[str]:
    """Return the texts of special tokens and of the unknown piece."""
    plain = {token["content"] for token in file.raw.get("added_tokens") or [] if not token.get("special", True)}
    unknown = set() if file.unk_id is None else {file.pieces[file.unk_id]}
    return frozenset((set(file.added) - plain) | unknown)


def byte_name_ids(file: TokenizerFile) -> frozenset[int]:
    """Return the ids of the pieces named <0x00> to <0xFF>."""
    return frozenset(number for number, piece in enumerate(file.pieces) if piece in _BYTES)


def covers_all_text(file: TokenizerFile) -> bool:
    """Return whether the tokenizer claims to spell any text, in bytes where it has no other piece."""
    return file.is_byte_level or bool(file.model.get("byte_fallback") and byte_name_ids(file))


def from_byte_level(text: str) -> bytes:
    """Return the bytes that stand-ins stand for; other characters as they are."""
    return b"".join(_BYTE_OF.get(character, character.encode()) for character in text)

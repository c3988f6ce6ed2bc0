"""What a tokenizer and its readers make of text: every character, spaces, special tokens, every piece."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import chain, compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from babelpress.checks.readers import Reader
from babelpress.checks.result import CheckResult, Status, judge
from babelpress.checks.texts import (
    Spaces,
    byte_name_ids,
    covers_all_text,
    marks_spaces,
    normalised,
    ordinary_ids,
    respace,
    space_rule,
    special_texts,
    spelled,
)
from babelpress.vocabulary.tokenizer_file import META, Family, TokenizerFile, parts_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer

FORMS = (("", ""), ("ab", "cd"), ("가", "나"))
_STEP = 97
_CHUNK = 1 << 15
_SURROGATES = range(0xD800, 0xE000)
_BOUNDARIES = (0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFF, 0x20000, 0xE0001, 0x10FFFF)

Encode = Callable[[list[str]], list[list[int]]]
_SPECIAL_FORMS = ("{}", "a{}b", "a {} b")
_TRIES = 8


# --- every character ----------------------------------------------------------------------------


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
            for kind, places in (
                ("are unknown", unknown),
                ("are lost", lost),
                (f"give an id over {rows - 1}", outside),
            ):
                if len(places):
                    wrong[start + np.unique(places)] = True
                    first = first or (texts[int(min(places))], kind)
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


# --- decoding, and the same ids from every reader -----------------------------------------------


def check_round_trip(texts: Sequence[str], *, tokenizer: Tokenizer, file: TokenizerFile) -> CheckResult:
    """Encode and decode texts; what comes back is the normalised text under the tokenizer's rule for spaces.

    Left out are texts that name a special token, and, where spaces are written as ▁, texts with that sign.
    """
    rule, hidden = space_rule(file), special_texts(file)
    marked = marks_spaces(file)
    normal = [normalised(text, file=file, normalizer=tokenizer.normalizer) for text in texts]
    fits = [
        not (marked and (META in text or META in plain)) and not any(name in text or name in plain for name in hidden)
        for text, plain in zip(texts, normal, strict=True)
    ]
    tried, wanted = list(compress(texts, fits)), list(compress(normal, fits))
    encodings = tokenizer.encode_batch_fast(tried, add_special_tokens=False)
    decoded = tokenizer.decode_batch([encoding.ids for encoding in encodings])
    tidies = any(part["type"] == "WordPiece" and part.get("cleanup") for part in parts_of(file.raw.get("decoder")))

    def plain(text: str) -> str:
        spaced = respace(text, rule)
        # A WordPiece decoder's clean-up contracts "do not"; all else that it does is to white space.
        return spaced.replace("donot", "don't") if tidies and rule is Spaces.DROPPED else spaced

    failures = [
        (text, f"decoding gives {_cut(got)}")
        for text, want, got in zip(tried, wanted, decoded, strict=True)
        if plain(want) != plain(got)
    ]
    return judge("round trip", tested=len(tried), failures=failures, note=f"white space is {rule.value}")


def check_agreement(texts: list[str], *, tokenizer: Tokenizer, readers: Sequence[Reader]) -> CheckResult:
    """Compare the ids of every reader with those of tokenizer.json."""
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    failures = [
        (text, f"{reader.name} gives other ids than tokenizer.json")
        for reader in readers
        for text, ids, want in zip(texts, reader.encode(texts), expected, strict=True)
        if ids != want
    ]
    return judge("same ids", tested=len(texts), failures=failures, note=f"{len(readers)} readers agree")


def _cut(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 120 else shown[:119] + "…"


# --- text that looks like pieces: byte pieces and special tokens --------------------------------


def check_no_injection(
    file: TokenizerFile, *, readers: Sequence[Reader], normalizer: Normalizer | None, texts: Sequence[str]
) -> CheckResult:
    """Encode texts that spell byte pieces: none may become the byte, and real fallback next to one still works."""
    byte_ids = byte_name_ids(file)
    if not byte_ids:
        return CheckResult("no injection", Status.PASS, 0, "no byte pieces by name")
    wanted = [_bare(normalised(text, file=file, normalizer=normalizer)) for text in texts]
    falls_back = covers_all_text(file)
    failures: list[tuple[str, str]] = []
    for reader in readers:
        for text, want, ids in zip(texts, wanted, reader.encode(list(texts), special=False), strict=True):
            if falls_back and file.unk_id in ids:
                failures.append((text, f"{reader.name}: unknown, where byte pieces were expected"))
            elif byte_ids.intersection(ids) and _bare(spelled(ids, file=file)) != want:
                failures.append((text, f"{reader.name}: the text becomes the byte piece that it names"))
    return judge("no injection", tested=len(texts), failures=failures, note="literal <0x..> stays text")


def become_special(encode: Callable[[list[str]], list[list[int]]], tokens: Mapping[str, int]) -> dict[str, bool]:
    """Return, for each special token, whether its text becomes the token, alone or next to other text.

    `encode` adds no special tokens; `tokens` maps text to id.
    """
    names = list(tokens)
    ids = encode([form.format(name) for name in names for form in _SPECIAL_FORMS])
    width = len(_SPECIAL_FORMS)
    return {
        name: any(tokens[name] in row for row in ids[width * place : width * (place + 1)])
        for place, name in enumerate(names)
    }


def check_special_text(
    by_reader: Mapping[str, Mapping[str, bool]], *, claims_plain: bool, teacher: Mapping[str, bool] | None
) -> CheckResult:
    """Judge what special tokens' texts become, by reader: all plain text where the folder claims it.

    Otherwise it is only reported, unless the teacher differs: a student fails that turns a text into a special token
    and the teacher does not, or the reverse.
    """
    cases = [(reader, name, special) for reader, by_name in by_reader.items() for name, special in by_name.items()]
    count = len({name for _, name, _ in cases})
    became = {special for _, _, special in cases}
    failures: list[tuple[str, str]] = []
    if claims_plain:
        failures = [
            (name, f"{reader}: becomes a special token, though split_special_tokens is claimed")
            for reader, name, special in cases
            if special
        ]
    elif teacher is not None and True in became:
        failures = [
            (name, f"{reader}: {_word(special)}; the teacher's: {_word(teacher[name])}")
            for reader, name, special in cases
            if name in teacher and special != teacher[name]
        ]
    note = "mixed" if len(became) > 1 else _word(True in became)
    if teacher is not None and all(special == teacher.get(name, special) for _, name, special in cases):
        note = f"as the teacher: {note}"
    return judge("special tokens in text", tested=count, failures=failures, note=note)


def _word(special: bool) -> str:
    return "become special tokens" if special else "plain text"


def _bare(text: str) -> str:
    return respace(text.replace("▁", " "), Spaces.DROPPED)


# --- pieces that no text gives ------------------------------------------------------------------


def unreachable_pieces(file: TokenizerFile, *, tokenizer: Tokenizer) -> list[str]:
    """Return the ordinary pieces that the model does not give for their own text, in the order of ids.

    A piece for the inside of words is tried after some single characters, one that never ends a word before some.
    """
    tokenize = tokenizer.model.tokenize
    pieces, trials = file.pieces, _trials(file)
    return [
        pieces[number]
        for number in ordinary_ids(file)
        if not any(_gives(tokenize(text), number, place) for text, place in trials(pieces[number]))
    ]


def _gives(tokens: list[Any], number: int, place: int | None) -> bool:
    """Tell whether tokens hold an id at a place, or are that id alone."""
    if place is None:
        return len(tokens) == 1 and tokens[0].id == number
    return bool(tokens) and tokens[place].id == number


def _trials(file: TokenizerFile) -> Callable[[str], list[tuple[str, int | None]]]:
    """Return a function from a piece to texts to try, each with the expected place of the piece."""
    prefix, suffix = file.model.get("continuing_subword_prefix") or "", file.model.get("end_of_word_suffix") or ""
    singles = [piece for piece in file.pieces if len(piece) == 1]
    if file.family is Family.WORDPIECE and prefix:
        return lambda piece: (
            [(single + piece.removeprefix(prefix), -1) for single in singles[-_TRIES:]]
            if piece.startswith(prefix) and len(piece) > len(prefix)
            else [(piece, None)]
        )
    if suffix:
        return lambda piece: (
            [(piece.removesuffix(suffix), None)]
            if piece.endswith(suffix)
            else [(piece + single, 0) for single in singles[-_TRIES:]]
        )
    return lambda piece: [(piece, None)]


def check_reachable(file: TokenizerFile, *, unreachable: list[str], teacher: Set[str] | None) -> CheckResult:
    """Judge the unreachable pieces; `teacher` are those that the teacher cannot reach either.

    A Unigram piece that others outscore was outscored in the teacher, too, since a student has fewer rivals. So without
    a teacher only merges and prefixes are judged.
    """
    tested = len(ordinary_ids(file))
    if teacher is None and file.family is Family.UNIGRAM:
        note = f"{len(unreachable):,} are outscored by others, as in any teacher" if unreachable else "all"
        return CheckResult("reachable", Status.PASS, tested, note, unreachable[0] if unreachable else None)
    lost = [piece for piece in unreachable if piece not in (teacher or ())]
    failures = [(piece, "the model never gives this piece, even for its text") for piece in lost]
    same = len(unreachable) - len(lost)
    note = f"all but {same:,}, which the teacher never gives either" if same else "all"
    return judge("reachable", tested=tested, failures=failures, note=note)

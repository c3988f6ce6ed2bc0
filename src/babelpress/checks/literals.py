"""What text does that looks like a piece of the tokenizer's own: byte pieces and special tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from babelpress.checks.readers import Reader
from babelpress.checks.result import CheckResult, Status, judge
from babelpress.checks.surface import Spaces, byte_name_ids, covers_all_text, normalised, respace, spelled
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, TokenizerFile

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer

_RARE = ("𐎀", "🫨", "ꙮ", "𒀀")  # characters that few vocabularies hold
_SPECIAL_FORMS = ("{}", "a{}b", "a {} b")


def literal_texts(*, seed: int = 0, mixtures: int = 300) -> list[str]:
    """Return texts that spell byte pieces: each of the 256 alone and in words, and mixtures."""
    draw = random.Random(seed)
    parts = ["<0x41>", "<0xE4>", "<0xF0>", "<", ">", "0x", "0xE4>", "<0x4", "a", " ", "가", *_RARE]
    fixed = ["<0xF0><0x9F>", "<0xF0><0x9F><0x98><0x80>", "<<0x41>>", "＜0x41＞", "<0xe4>", "<0x41"]
    fixed += [form.format(rare) for rare in _RARE for form in ("<0x41>{0}", "{0}<0x41>", "{0}<0x41>{0}<0xE4>")]
    mixed = ["".join(draw.choices(parts, k=draw.randint(2, 10))) for _ in range(mixtures)]
    return [*BYTE_PIECES, *(f"ab{piece}cd" for piece in BYTE_PIECES), *(f"a {piece} b" for piece in BYTE_PIECES),
            *fixed, *mixed]  # fmt: skip


def check_no_injection(
    file: TokenizerFile, *, readers: Sequence[Reader], normalizer: Normalizer | None, texts: Sequence[str]
) -> CheckResult:
    """Encode texts that spell byte pieces: none may become the byte, real fallback beside one still works."""
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
    """Tell of each special token's text whether it becomes the token, alone or beside other text.

    `encode` adds no special tokens of its own; `tokens` maps text to id.
    """
    names = list(tokens)
    ids = encode([form.format(name) for name in names for form in _SPECIAL_FORMS])
    width = len(_SPECIAL_FORMS)
    return {
        name: any(tokens[name] in found for found in ids[width * place : width * (place + 1)])
        for place, name in enumerate(names)
    }


def check_special_text(
    found: Mapping[str, Mapping[str, bool]], *, claims_plain: bool, teacher: Mapping[str, bool] | None
) -> CheckResult:
    """Judge what special tokens' texts become, by reader: all plain text where the folder claims it.

    Otherwise that is reported only, unless the teacher's do otherwise: a student that turns some into
    special tokens and others not, or any where the teacher has plain text, fails.
    """
    cases = [(reader, name, special) for reader, by_name in found.items() for name, special in by_name.items()]
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

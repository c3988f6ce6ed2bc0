"""A tokenizer's ids of fixed texts, in a file next to it, so that ports can be tested against it.

docs/readers.md describes the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from babelpress.checks.readers import Reader
from babelpress.checks.result import CheckResult, Status, judge
from babelpress.corpus.bundled import held_out_meanings
from babelpress.errors import BabelpressError
from babelpress.utils.files import write_text
from babelpress.utils.model_folder import transformer_folder
from babelpress.utils.tokenizer import open_tokenizer
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

GOLDEN = "tokenizer-golden.json"
NAME = "golden"

_SENTENCES = 4

_EDGES = {
    "empty": ("",),
    "spaces": (
        " ", "   ", "\t", "\n", "a b", "a  b", " a ", "a\tb", "a\nb", "a\r\nb", "a\u00a0b", "a\u3000b", "a\u200bb",
        "a\u2028b", "a\u0085b", "안녕  하세요", "你好 世界",
    ),
    "metaspace": ("▁", "a▁b", "▁▁a", "a ▁ b"),
    "full width": ("ＦＵＬＬ　ｗｉｄｔｈ　１２３！", "ｶﾀｶﾅ ﾊﾟﾝ", "ﬁne ﬂow", "①②③ Ⅳ ㎏ ½", "﷽"),
    "combining": (
        "caf\u00e9 cafe\u0301", "\u00c5 A\u030a \u212b", "a\u0323\u0308", "\u0301", "\uac01 \u1100\u1161\u11a8",
        "\u0e19\u0e49\u0e33 \u0e19\u0e4d\u0e49\u0e32", "\u0958 \u0915\u093c", "क्षत्रिय",
    ),
    "right to left": ("שלום, עולם!", "مرحبًا بالعالم ١٢٣", "abc \u202eabc\u202c abc", "\u200fא\u200e", "لا إله"),
    "emoji": (
        "😀", "a😀b", "😀😀", "😀 😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷🇧🇷", "1️⃣", "❤️ ☃", "🫨 🪿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    ),
    "rare scripts": ("ᚠᚢᚦ", "𐎀𐎁 𐎂", "x𒀀y", "ꙮ", "𠀀𠮷", "𝕬𝖇𝖈", "ᎣᏏᏲ", "རྒྱལ་པོ"),
    "unassigned": ("\u0378", "a\u0378b", "\U000e0fff", "\ue000", "\ufdd0", "\uffff", "\U0010ffff"),
    "byte names": (
        "<0x41>", "a<0xE4>b", "a <0xE4> b", "<0xF0><0x9F><0x98><0x80>", "<0xe4>", "<0x4", "0x41>", "＜0x41＞",
        "<<0x41>>", "😀<0x41>😀", "𐎀<0x00>",
    ),
    "special names": tuple(
        form.format(name)
        for name in ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
        for form in ("{}", "a{}b", "a {} b")
    ),
    "long words": (
        "a" * 200, "ab" * 150, "가나다" * 60, "我" * 150, "ᚠ" * 40, "1" * 120,
        "Rindfleischetikettierungsüberwachungsaufgabe", "https://example.org/a/b?c=d&e=%F0%9F%98%80#f", "no-break" * 20,
    ),
    "numbers": (
        "2026-08-21", "3.14159", "1,000,000", "-5 °C", "50%", "x=0", "٣٤٥", "१२३", "๑๒๓", "１２", "1e-9", "0x1F",
        "+48 600 000 000",
    ),
    "signs": ("a@b.c", "C:\\dir\\file", "`|~^", "x<y>z", "#tag @me", "“quotes” ‘single’ «»", "—–-‐", "… €£¥₩ ?!‽"),
    "control": ("\x00", "a\x00b", "\x01\x02", "a\x1fb", "\x7f", "\ufeffa", "a\u00adb"),
    "letter case": ("STRASSE Straße", "İstanbul ISPARTA ılık", "ΣΊΣΥΦΟΣ", "eXample"),
}  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GoldenCase(_Part):
    """One text: its ids, the ids with special tokens, and the tokens of the former."""

    kind: str
    text: str
    ids: tuple[int, ...]
    ids_with_special: tuple[int, ...]
    tokens: tuple[str, ...]


class Golden(_Part):
    """A golden file. `tokenizer_sha256` is of the tokenizer.json that it was made with.

    `unk_id` is None for tokenizers without an unknown piece; `byte_ids` are those of the pieces <0x00> to <0xFF>, empty
    where bytes have no pieces.
    """

    format: Literal[1]
    tokenizer_sha256: str
    unk_id: int | None
    byte_ids: tuple[int, ...]
    cases: tuple[GoldenCase, ...]

    @property
    def texts(self) -> list[str]:
        """Return the texts, in the order of the cases."""
        return [case.text for case in self.cases]


@dataclass(frozen=True)
class Difference:
    """A case with other ids than expected."""

    case: GoldenCase
    expected: tuple[int, ...]
    given: tuple[int, ...]

    def __str__(self) -> str:
        """Say where the ids differ first."""
        at = next((n for n, (a, b) in enumerate(zip(self.expected, self.given, strict=False)) if a != b), None)
        if at is None:
            return f"{len(self.given)} ids, {len(self.expected)} expected"
        return f"id {self.given[at]} at place {at}, {self.expected[at]} expected"


def compare_golden(
    golden: Golden, ids: Sequence[Sequence[int]], *, special: bool = True, bytes_as_unknown: bool = False
) -> list[Difference]:
    """Compare a tokenizer's ids of `golden.texts` with the file; return the differences, none for a faithful port.

    `special`: the ids include special tokens. `bytes_as_unknown` expects one unknown piece for every run of byte
    pieces, as runtimes without byte fallback give. Raises ValueError for another number of texts.
    """
    differences = []
    for case, row in zip(golden.cases, ids, strict=True):
        expected = case.ids_with_special if special else case.ids
        if bytes_as_unknown:
            expected = tuple(as_unknown(golden, expected))
        given = tuple(map(int, row))
        if given != expected:
            differences.append(Difference(case, expected, given))
    return differences


def as_unknown(golden: Golden, ids: Sequence[int]) -> list[int]:
    """Return ids with one unknown piece for each run of byte pieces; unchanged where there is no unknown piece."""
    if golden.unk_id is None:
        return list(ids)
    hidden, inside, result = frozenset(golden.byte_ids), False, []
    for number in ids:
        if number not in hidden:
            result.append(number)
        elif not inside:
            result.append(golden.unk_id)
        inside = number in hidden
    return result


def golden_texts() -> list[tuple[str, str]]:
    """Return (kind, text), always the same: kinds are language codes and names of edge cases."""
    sentences = [
        (code, meaning.texts[code])
        for code in sorted(held_out_meanings()[0].texts)
        for meaning in held_out_meanings()[:_SENTENCES]
    ]
    return sentences + [(kind, text) for kind, texts in _EDGES.items() for text in texts]


def make_golden(tokenizer: Path) -> Golden:
    """Run a tokenizer.json over the golden texts. Raises TeacherError for another file."""
    file, encode = read_tokenizer_file(tokenizer), open_tokenizer(tokenizer).encode
    cases = []
    for kind, text in golden_texts():
        ids, framed = tuple(encode(text, add_special_tokens=False).ids), tuple(encode(text).ids)
        tokens = tuple(file.pieces[number] for number in ids)
        cases.append(GoldenCase(kind=kind, text=text, ids=ids, ids_with_special=framed, tokens=tokens))
    byte_ids = file.byte_ids if file.model.get("byte_fallback") else ()
    return Golden(
        format=1, tokenizer_sha256=_sha256(tokenizer), unk_id=file.unk_id, byte_ids=byte_ids, cases=tuple(cases)
    )


def write_golden(folder: Path) -> Path:
    """Write a model folder's golden file next to its tokenizer.json, in ASCII, one case per line; return its path."""
    home = transformer_folder(folder)
    facts = make_golden(home / "tokenizer.json").model_dump(mode="json")
    cases = ",\n".join(f"  {json.dumps(case)}" for case in facts.pop("cases"))
    head = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items())
    write_text(home / GOLDEN, f'{{\n{head},\n "cases": [\n{cases}\n ]\n}}\n')
    return home / GOLDEN


def read_golden(path: Path | str) -> Golden:
    """Read a golden file. Raises BabelpressError that names the file and the fault."""
    path = Path(path)
    try:
        return Golden.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        remedy = f"babelpress.checks.golden.write_golden(Path({str(path.parent)!r})) writes one"
        raise BabelpressError(f"{path} is missing; {remedy}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BabelpressError(f"{path} is not a golden file: {where + ': ' if where else ''}{fault['msg']}") from None


def check_golden(golden: Golden, *, tokenizer: Path, readers: Sequence[Reader]) -> Iterator[CheckResult]:
    """Compare a folder's tokenizer.json and its readers with its golden file."""
    digest = _sha256(tokenizer)
    fault = ("tokenizer.json", "the golden file was made with another tokenizer.json")
    wrong = [] if digest == golden.tokenizer_sha256 else [fault]
    yield judge(f"{NAME}: tokenizer.json", tested=1, failures=wrong, note=f"SHA-256 {digest[:16]}…")
    for reader in readers:
        yield _check_reader(golden, reader)


def _check_reader(golden: Golden, reader: Reader) -> CheckResult:
    name = f"{NAME}: {reader.name}"
    if reader.fault is not None:
        return CheckResult(name, Status.FAIL, 0, f"cannot be loaded: {reader.fault}")
    try:
        differences = [
            difference
            for special in (True, False)
            for difference in compare_golden(golden, reader.encode(golden.texts, special=special), special=special)
        ]
    except BabelpressError as error:
        return CheckResult(name, Status.FAIL, 0, str(error))
    failures = [(difference.case.text, f"{difference.case.kind}: {difference}") for difference in differences]
    return judge(name, tested=len(golden.cases), failures=failures, note="ids with and without special tokens")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

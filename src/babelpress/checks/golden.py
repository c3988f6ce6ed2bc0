"""What a tokenizer gives for fixed texts, in a file beside it, so that a port can be held against it.

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

from babelpress.checks.golden_texts import golden_texts
from babelpress.checks.readers import Reader, open_plain
from babelpress.checks.result import CheckResult, Status, judge
from babelpress.errors import BabelpressError
from babelpress.utils.files import write_text
from babelpress.utils.model_folder import transformer_folder
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

GOLDEN = "tokenizer-golden.json"
NAME = "golden"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GoldenCase(_Part):
    """One text: its ids, the same framed by special tokens as a model wants them, and the tokens of the former."""

    kind: str
    text: str
    ids: tuple[int, ...]
    ids_with_special: tuple[int, ...]
    tokens: tuple[str, ...]


class Golden(_Part):
    """A golden file. `tokenizer_sha256` is of the tokenizer.json that it was made with.

    `unk_id` is None for tokenizers that know no unknown piece, `byte_ids` are those of the pieces <0x00> to <0xFF>,
    none where bytes have no pieces of their own.
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
    """A case that came out otherwise."""

    case: GoldenCase
    expected: tuple[int, ...]
    given: tuple[int, ...]

    def __str__(self) -> str:
        """Tell where the ids part."""
        at = next((n for n, (a, b) in enumerate(zip(self.expected, self.given, strict=False)) if a != b), None)
        if at is None:
            return f"{len(self.given)} ids, {len(self.expected)} expected"
        return f"id {self.given[at]} at place {at}, {self.expected[at]} expected"


def compare_golden(
    golden: Golden, ids: Sequence[Sequence[int]], *, special: bool = True, bytes_as_unknown: bool = False
) -> list[Difference]:
    """Hold a tokenizer's ids of `golden.texts` against the file; return what differs, nothing where it is a port.

    `special` tells that the ids are framed by special tokens. With `bytes_as_unknown` every run of byte pieces is
    expected as one unknown piece: what a runtime gives that has no byte fallback. Raises ValueError for another
    number of texts.
    """
    found = []
    for case, row in zip(golden.cases, ids, strict=True):
        expected = case.ids_with_special if special else case.ids
        if bytes_as_unknown:
            expected = tuple(as_unknown(golden, expected))
        given = tuple(map(int, row))
        if given != expected:
            found.append(Difference(case, expected, given))
    return found


def as_unknown(golden: Golden, ids: Sequence[int]) -> list[int]:
    """Return ids with one unknown piece for each run of byte pieces; as they are where none is known."""
    if golden.unk_id is None:
        return list(ids)
    hidden, inside, found = frozenset(golden.byte_ids), False, []
    for number in ids:
        if number not in hidden:
            found.append(number)
        elif not inside:
            found.append(golden.unk_id)
        inside = number in hidden
    return found


def make_golden(tokenizer: Path) -> Golden:
    """Run a tokenizer.json over the golden texts. Raises TeacherError for a file that is none."""
    file, encode = read_tokenizer_file(tokenizer), open_plain(tokenizer).encode
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
    """Write a model folder's golden file beside its tokenizer.json, in ASCII, a case a line; return its path."""
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
        raise BabelpressError(f"{path} is no golden file: {where + ': ' if where else ''}{fault['msg']}") from None


def check_golden(golden: Golden, *, tokenizer: Path, readers: Sequence[Reader]) -> Iterator[CheckResult]:
    """Hold a folder's tokenizer.json and its readers against its golden file."""
    own = _sha256(tokenizer)
    wrong = [] if own == golden.tokenizer_sha256 else [("tokenizer.json", "the golden file was made with another one")]
    yield judge(f"{NAME}: tokenizer.json", tested=1, failures=wrong, note=f"SHA-256 {own[:16]}…")
    for reader in readers:
        yield _check_reader(golden, reader)


def _check_reader(golden: Golden, reader: Reader) -> CheckResult:
    name = f"{NAME}: {reader.name}"
    if reader.fault is not None:
        return CheckResult(name, Status.FAIL, 0, f"cannot be loaded: {reader.fault}")
    try:
        found = [
            difference
            for special in (True, False)
            for difference in compare_golden(golden, reader.encode(golden.texts, special=special), special=special)
        ]
    except BabelpressError as error:
        return CheckResult(name, Status.FAIL, 0, str(error))
    failures = [(difference.case.text, f"{difference.case.kind}: {difference}") for difference in found]
    return judge(name, tested=len(golden.cases), failures=failures, note="framed and bare ids")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

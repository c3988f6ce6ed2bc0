"""All checks of a folder, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.checks import comparison, consistency, encoding
from babelpress.checks.encoding import (
    FORMS,
    check_agreement,
    check_reachable,
    check_round_trip,
    check_totality,
    scalar_values,
    unreachable_pieces,
)
from babelpress.checks.golden import GOLDEN, check_golden, read_golden
from babelpress.checks.readers import AUTO, RUST, Reader, open_readers
from babelpress.checks.result import CheckReport, CheckResult, Status, skipped
from babelpress.checks.texts import Texts, covers_all_text, gather_texts, literal_texts, special_texts
from babelpress.errors import BabelpressError
from babelpress.utils.files import read_json
from babelpress.utils.model_folder import transformer_folder
from babelpress.utils.progress import bar
from babelpress.utils.tensors import open_checkpoint
from babelpress.utils.tokenizer import open_tokenizer
from babelpress.vocabulary.tokenizer_file import TokenizerFile, read_tokenizer_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Side:
    """A student or a teacher: its folder, the folder of its transformer, and what was read from it."""

    folder: Path
    home: Path
    file: TokenizerFile
    tokenizer: Tokenizer
    config: dict[str, Any]

    def read(self, name: str) -> dict[str, Any]:
        """Return one of its JSON files, {} when it is missing."""
        return _read_object(self.home / name) if (self.home / name).is_file() else {}

    @property
    def layers(self) -> int | None:
        """Return the number of layers that its config states."""
        return self.config.get("num_hidden_layers")


def open_side(folder: Path) -> Side:
    """Read a SentenceTransformer folder. Raises BabelpressError that names the file and the fault.

    Special tokens that only tokenizer_config.json names, so that no text becomes one, count as added.
    """
    home = transformer_folder(folder)
    path = home / "tokenizer.json"
    file, tokenizer = read_tokenizer_file(path), open_tokenizer(path)
    side = Side(folder, home, file, tokenizer, _read_object(home / "config.json"))
    settings = side.read("tokenizer_config.json")
    named = [*consistency.role_texts(settings).values(), *(settings.get("additional_special_tokens") or [])]
    added = {name: file.ids[name] for name in named if isinstance(name, str) and name in file.ids}
    return replace(side, file=replace(file, added=file.added | added))


def run_checks(
    folder: Path, *, teacher: Path | None = None, texts: Sequence[Path] = (), full: bool = False, golden: bool = False
) -> CheckReport:
    """Check a student's folder, against its teacher where one is given.

    `texts` are files with one text a line; `full` tries every Unicode scalar value; `golden` compares the folder
    with its golden file, too. Raises BabelpressError when the folder cannot be checked at all.
    """
    student = open_side(folder)
    fixed = read_golden(student.home / GOLDEN) if golden else None
    matrix = consistency.embedding_rows(open_checkpoint(student.home))
    rows = None if matrix is None else matrix[1]
    other = None if teacher is None else open_side(teacher)
    given = gather_texts(student.file, paths=texts)
    with open_readers(folder) as (readers, model):
        sound = [reader for reader in readers if reader.fault is None]
        results = [
            _files(student, rows),
            *_totality(student, readers, rows=len(student.file.pieces) if rows is None else rows, full=full),
            _guard("same ids", lambda: check_agreement(given.all, tokenizer=student.tokenizer, readers=sound)),
            check_round_trip(given.all, tokenizer=student.tokenizer, file=student.file),
            _guard("no injection", lambda: _no_injection(student, sound)),
            _guard("special tokens in text", lambda: _special_text(student, sound, other)),
            _ids(student, sound),
            _reachable(student, other),
            *(check_golden(fixed, tokenizer=student.home / "tokenizer.json", readers=readers) if fixed else ()),
            *_against(student, other, texts=given, model=model),
        ]
    return CheckReport(str(folder), None if teacher is None else str(teacher), tuple(results))


def _files(student: Side, rows: int | None) -> CheckResult:
    listed = student.home / "vocab.txt"
    lines = listed.read_text(encoding="utf-8", errors="replace").split("\n") if listed.is_file() else None
    return consistency.check_files(
        student.file,
        names=[path.name for path in student.home.iterdir() if path.is_file()],
        config=student.config,
        rows=rows,
        vocabulary_lines=lines if lines is None or lines[-1] else lines[:-1],
    )


def _totality(student: Side, readers: Sequence[Reader], *, rows: int, full: bool) -> Iterator[CheckResult]:
    characters = scalar_values(full=full)
    normalizer = student.tokenizer.normalizer

    def is_visible(text: str) -> bool:
        return bool((text if normalizer is None else normalizer.normalize_str(text)).strip())

    with bar("totality", total=len(characters) * len(FORMS) * len(readers), unit="texts") as advance:
        for reader in readers:
            name = f"totality: {reader.name}"
            if reader.fault is not None:
                yield CheckResult(name, Status.FAIL, 0, f"cannot be loaded: {reader.fault}")
                continue
            result = _guard(name, partial(
                check_totality, name, encode=reader.encode, characters=characters, unk_id=student.file.unk_id,
                rows=rows, is_visible=is_visible, advance=advance,
            ))  # fmt: skip
            if result.status is Status.FAIL and not covers_all_text(student.file):
                result = replace(result, detail=f"{result.detail}; this tokenizer has no byte fallback")
            yield result


def _no_injection(student: Side, readers: Sequence[Reader]) -> CheckResult:
    return encoding.check_no_injection(
        student.file, readers=readers, normalizer=student.tokenizer.normalizer, texts=literal_texts()
    )


def _special_text(student: Side, readers: Sequence[Reader], teacher: Side | None) -> CheckResult:
    tokens = {name: student.file.ids[name] for name in sorted(special_texts(student.file))}
    by_reader = {
        reader.name: encoding.become_special(partial(reader.encode, special=False), tokens=tokens) for reader in readers
    }
    return encoding.check_special_text(
        by_reader,
        claims_plain=bool(student.read("tokenizer_config.json").get("split_special_tokens")),
        teacher=None if teacher is None else _teacher_special(teacher, tokens),
    )


def _teacher_special(teacher: Side, tokens: dict[str, int]) -> dict[str, bool]:
    known = {name: teacher.file.ids[name] for name in tokens if name in teacher.file.ids}
    return encoding.become_special(partial(Reader(RUST, teacher.tokenizer).encode, special=False), tokens=known)


def _ids(student: Side, readers: Sequence[Reader]) -> CheckResult:
    settings, tokens = student.read("tokenizer_config.json"), student.read("special_tokens_map.json")
    roles = consistency.role_texts(tokens) | consistency.role_texts(settings)
    claims = consistency.file_claims(student.file)
    for name in ("config.json", "generation_config.json"):
        claims += consistency.config_claims(name, student.read(name), roles=roles)
    claims += consistency.tokenizer_config_claims(settings, tokens=tokens, ids=student.file.ids)
    claims += consistency.reader_claims(readers, roles=roles)
    return consistency.check_ids(
        student.file,
        claims=claims,
        stated=consistency.lengths(
            settings,
            sentence_config=student.read("sentence_bert_config.json"),
            readers=[reader for reader in readers if reader.name.startswith(AUTO)],
        ),
        limit=consistency.longest_input(student.config),
        is_stable=consistency.is_stable(student.tokenizer.to_str()),
    )


def _reachable(student: Side, teacher: Side | None) -> CheckResult:
    lost = unreachable_pieces(student.file, tokenizer=student.tokenizer)
    never = None
    if teacher is not None:
        never = set(unreachable_pieces(teacher.file, tokenizer=teacher.tokenizer)) if lost else set()
    return check_reachable(student.file, unreachable=lost, teacher=never)


def _against(student: Side, teacher: Side | None, *, texts: Texts, model: Any) -> Iterator[CheckResult]:
    if teacher is None:
        yield from (skipped(name, "no --teacher given") for name in ("restriction", "embeddings"))
        return
    kept = comparison.id_map(student.file, teacher=teacher.file)
    covered = comparison.find_covered(texts.all, tokenizer=teacher.tokenizer, teacher=teacher.file, kept=kept)
    yield comparison.check_restriction(covered, tokenizer=student.tokenizer)
    yield _guard("embeddings", partial(_embeddings, student, teacher, covered=covered, model=model))


def _embeddings(student: Side, teacher: Side, *, covered: comparison.Covered, model: Any) -> CheckResult:
    if student.layers != teacher.layers:
        return skipped("embeddings", f"{student.layers} of {teacher.layers} layers kept")
    if model is None:
        return CheckResult("embeddings", Status.FAIL, 0, "the student cannot be loaded")
    if not (chosen := comparison.sample(covered)):
        return skipped("embeddings", "no text has all its teacher pieces kept")
    from babelpress.architectures.encoders import load_encoder

    origin = load_encoder(teacher.folder, device="cpu")
    vectors, expected = comparison.embed_texts(model, chosen), comparison.embed_texts(origin, chosen)
    result = comparison.check_embeddings(chosen, student=vectors, teacher=expected)
    sides = [getattr(encoder.tokenizer, "padding_side", "right") for encoder in (origin, model)]
    if result.status is Status.FAIL and sides[0] != sides[1]:
        return replace(
            result, detail=f"{result.detail}; the teacher pads on the {sides[0]}, the student on the {sides[1]}"
        )
    return result


def _guard(name: str, check: Callable[[], CheckResult]) -> CheckResult:
    """Turn the error of a reader into a failed check."""
    try:
        return check()
    except BabelpressError as error:
        return CheckResult(name, Status.FAIL, 0, str(error))


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise BabelpressError(f"{path} holds a {type(value).__name__}, an object was expected")
    return value

"""Where text comes from: every source gives sentences and the lines that gave none."""

from __future__ import annotations

import csv
import glob
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from babelpress.corpus.bundled import read_bundled
from babelpress.corpus.hub_sources import read_hub, read_mteb_train
from babelpress.corpus.pieces import read_pieces
from babelpress.corpus.sentence import BadLine, Sentence
from babelpress.errors import SourceError
from babelpress.recipe import BundledSource, FileSource, HubSource, PiecesSource, Recipe, Source
from babelpress.schema.languages import UNKNOWN, language_code

Item = Sentence | BadLine

_LINE_LIMIT = 1 << 20  # bytes; a longer line is not a sentence and must not fill the memory
_LANGUAGE = re.compile(r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")


def read_source(source: Source, *, recipe: Recipe, data_dir: Path | None, pieces: Sequence[str] = ()) -> Iterator[Item]:
    """Yield what a source holds, in an order that depends on its content alone.

    `pieces` are the teacher's, for the source that is made of them.

    Raises SourceError when it is missing or unreadable, and when it is empty.
    """
    count = 0
    for item in _read(source, recipe, data_dir, pieces):
        count += isinstance(item, Sentence)
        yield item
    if not count:
        raise SourceError(f"source {describe(source)} gave no text at all")


def describe(source: Source) -> str:
    """Name a source as its recipe does."""
    if isinstance(source, FileSource):
        return ", ".join(source.paths)
    if isinstance(source, HubSource):
        return source.dataset
    return SOURCE_NAMES[source.kind]


SOURCE_NAMES = {
    "bundled": "the bundled sentences",
    "mteb_train": "the train splits of mteb tasks",
    "pieces": "the teacher's pieces",
}


def _read(source: Source, recipe: Recipe, data_dir: Path | None, pieces: Sequence[str]) -> Iterator[Item]:
    if isinstance(source, BundledSource):
        return read_bundled(
            languages=recipe.languages,
            variants=source.variants,
            seed=recipe.seed,
            held_out=recipe.corpus.held_out,
        )
    if isinstance(source, PiecesSource):
        return read_pieces(pieces, texts=source.texts, seed=recipe.seed)
    if isinstance(source, FileSource):
        return _read_files(source, languages=recipe.languages, data_dir=data_dir)
    if isinstance(source, HubSource):
        alone = recipe.languages[0] if len(recipe.languages) == 1 else None
        return read_hub(source.model_copy(update={"language": source.language or alone}), data_dir=data_dir)
    return read_mteb_train(source, languages=recipe.languages, data_dir=data_dir)


def read_text_file(file: Path, *, language: str | None) -> Iterator[Item]:
    """Yield what one file holds: lines, or rows of a table with `text` and maybe `language`.

    Where none is given, the language is `language`, or else und. Raises SourceError when it cannot be read.
    """
    source = FileSource(kind="files", paths=(str(file),), columns=("text",), language_column="language")
    for item in _read_file(file, source, language, ()):
        unnamed = isinstance(item, Sentence) and item.language == UNKNOWN
        yield replace(item, language=language) if unnamed and language else item  # type: ignore[arg-type]


def source_files(
    source: FileSource, *, languages: tuple[str, ...], data_dir: Path | None
) -> list[tuple[Path, str | None]]:
    """Return the files of a source with the language each is known to be in, sorted.

    Relative paths are looked for below `data_dir` first, then here. Raises SourceError when a path
    matches nothing in any language.
    """
    found: dict[Path, str | None] = {}
    for path in source.paths:
        choices = (
            [(path.replace("{language}", code), code) for code in languages] if "{language}" in path else [(path, None)]
        )
        here = [(file, code) for pattern, code in choices for file in _expand(pattern, data_dir)]
        if not here:
            places = f" (looked in {data_dir} and here)" if data_dir else ""
            raise SourceError(f"text source {path!r} matches no file{places}")
        for file, code in here:
            found.setdefault(file, code or source.language)
    return sorted(found.items())


def _expand(pattern: str, data_dir: Path | None) -> list[Path]:
    roots = [data_dir] if data_dir and not Path(pattern).is_absolute() else []
    for root in [*roots, None]:
        plain = root / pattern if root else Path(os.path.expanduser(pattern))  # noqa: PTH111 (~nobody is no error)
        if plain.is_file():  # its name may hold a bracket
            return [plain]
        full = os.path.join(glob.escape(str(root)), pattern) if root else str(plain)  # noqa: PTH118 (keeps the pattern)
        matches = [Path(match) for match in sorted(glob.glob(full, recursive=True)) if Path(match).is_file()]  # noqa: PTH207 (absolute patterns)
        if matches:
            return matches
    return []


def _read_files(source: FileSource, *, languages: tuple[str, ...], data_dir: Path | None) -> Iterator[Item]:
    only = languages[0] if len(languages) == 1 else None
    for file, stated in source_files(source, languages=languages, data_dir=data_dir):
        language = stated or only
        given = 0
        for item in _read_file(file, source, language, languages):
            if isinstance(item, Sentence):
                if source.limit is not None and given >= source.limit:
                    break
                given += 1
            yield item


def _read_file(file: Path, source: FileSource, language: str | None, languages: tuple[str, ...]) -> Iterator[Item]:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), ".txt")
    try:
        if kind == ".parquet":
            yield from _rows_to_items(_parquet_rows(file), file, source, language, languages)
        elif kind in {".csv", ".tsv"}:
            delimiter = "\t" if kind == ".tsv" else ","
            yield from _rows_to_items(_csv_rows(file, delimiter), file, source, language, languages)
        elif kind in {".jsonl", ".ndjson", ".json"}:
            yield from _rows_to_items(_json_rows(file), file, source, language, languages)
        else:
            yield from _plain(file, language or UNKNOWN)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{file} cannot be read to its end: {' '.join(str(error).split())}") from None


def _plain(file: Path, language: str) -> Iterator[Item]:
    for line in read_lines(file):
        yield line if isinstance(line, BadLine) else Sentence(line, language, file.name)


def read_lines(file: Path) -> Iterator[str | BadLine]:
    """Yield the lines of a UTF-8 file, plain or gz, in constant memory; broken ones as BadLine."""
    with _open(file) as stream:
        while line := stream.readline(_LINE_LIMIT):
            if len(line) == _LINE_LIMIT and not line.endswith(b"\n"):
                while (rest := stream.readline(_LINE_LIMIT)) and not rest.endswith(b"\n"):
                    pass
                yield BadLine(file.name, "line over 1 MiB")
                continue
            try:
                text = line.decode("utf-8-sig")
            except UnicodeDecodeError:
                yield BadLine(file.name, "not UTF-8")
                continue
            yield BadLine(file.name, "NUL character") if "\0" in text else text


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb")  # type: ignore[return-value]


def _json_rows(file: Path) -> Iterator[dict[str, Any] | BadLine]:
    for line in read_lines(file):
        if isinstance(line, BadLine):
            yield line
            continue
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # a number of 5,000 digits is a plain ValueError
            yield BadLine(file.name, "not JSON")
            continue
        yield row if isinstance(row, dict) else BadLine(file.name, "not a JSON object")


def _csv_rows(file: Path, delimiter: str) -> Iterator[dict[str, Any] | BadLine]:
    bad: list[BadLine] = []

    def good_lines() -> Iterator[str]:
        for line in read_lines(file):
            if isinstance(line, BadLine):
                bad.append(line)
            else:
                yield line

    reader = csv.DictReader(good_lines(), delimiter=delimiter)
    while True:
        yield from bad
        bad.clear()
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            yield BadLine(file.name, "not CSV")
            continue
        yield {key: value for key, value in row.items() if key is not None}
    yield from bad


def _parquet_rows(file: Path) -> Iterator[dict[str, Any] | BadLine]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, ValueError) as error:  # ValueError: a text that is not UTF-8
        raise SourceError(f"{file} is not a whole parquet file: {' '.join(str(error).split())}") from None


def _rows_to_items(
    rows: Iterable[dict[str, Any] | BadLine],
    file: Path,
    source: FileSource,
    language: str | None,
    languages: tuple[str, ...],
) -> Iterator[Item]:
    for number, row in enumerate(rows):
        if isinstance(row, BadLine):
            yield row
            continue
        fields = list(_fields(row, source, language, languages))
        if not fields:
            yield BadLine(file.name, f"no column {' or '.join(source.columns) or 'text'}")
        group = f"{file.name}:{number}" if len(fields) > 1 else None
        for text, code in fields:
            yield Sentence(text, code, file.name, group=group)


def _fields(
    row: dict[str, Any], source: FileSource, language: str | None, languages: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield the texts of a table row with their languages."""
    code = language or UNKNOWN
    if source.language_column:
        written = language_code(str(row.get(source.language_column) or ""), languages)
        code = code if written == UNKNOWN else written
    columns = source.columns or (("text",) if "text" in row else ())
    if not columns:  # a row of translations: {"en": ..., "ko": ...}
        parallel = [key for key in row if _LANGUAGE.match(key) and isinstance(row[key], str)]
        yield from ((row[key], key) for key in parallel if key in languages)
        return
    for column in columns:
        yield from ((text, code) for text in _texts(row.get(column)))


def _texts(value: Any) -> list[str]:
    """Return the texts of a cell: a text, a list of turns, or a list of turns written as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            turns = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
        return [_turn(turn) for turn in turns] if isinstance(turns, list) else [value]
    if isinstance(value, list | tuple):
        return [_turn(turn) for turn in value]
    return [value] if isinstance(value, str) else []


def _turn(turn: Any) -> str:
    if isinstance(turn, dict):
        turn = next((turn[key] for key in ("content", "text", "value") if isinstance(turn.get(key), str)), "")
    return turn if isinstance(turn, str) else ""


def first_lines(path: Path, *, limit: int) -> list[str]:
    """Return the first good lines of a text file, plain or .gz, read no further than that. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"text file {path} is missing; give a file with one text a line, plain or .gz")
    try:
        lines = (line.rstrip("\r\n") for line in read_lines(path) if isinstance(line, str))
        return list(islice((line for line in lines if line), limit))
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: {' '.join(str(error).split())}") from None

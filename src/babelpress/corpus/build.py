"""Build a corpus: clean, deduplicate, split, write. Memory does not grow with its length.

Two passes over the disk. The first spreads the cleaned sentences over buckets by the hash of their
text; the second goes through one bucket at a time, keeps the first of equal texts and writes parquet.
So the order of a corpus is that of the hashes: the same wherever it is built, and well mixed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from babelpress.corpus.clean import Rejected, clean
from babelpress.corpus.contamination import Likeness, Match, SuiteTexts
from babelpress.corpus.sentence import BadLine, Sentence, Split
from babelpress.corpus.split import split_of
from babelpress.errors import SourceError
from babelpress.utils.files import remove_tree
from babelpress.utils.progress import bar

BUCKETS = 128  # files open at once; macOS allows 256
ROWS_PER_FILE = 1 << 18
_ROWS_PER_WRITE = 1 << 13
_BATCH = 1 << 12  # sentences looked for in the test data at once
_SCHEMA = pa.schema([("text", pa.string()), ("language", pa.string()), ("source", pa.string())])


@dataclass(frozen=True)
class TaskMatches:
    """How many sentences were left out because a task's test data have them, or something nearly equal."""

    exact: int = 0
    near: int = 0


@dataclass(frozen=True)
class CorpusReport:
    """What went into a corpus and what was left out.

    `contamination` is by task, None where nobody looked; a sentence that several tasks have counts for each.
    """

    splits: dict[str, int]
    languages: dict[str, int]
    sources: dict[str, int]
    dropped: dict[str, int]
    contamination: dict[str, TaskMatches] | None = None

    @property
    def train(self) -> int:
        """Return the number of training sentences."""
        return self.splits.get("train", 0)


def build_corpus(
    items: Iterable[Sentence | BadLine],
    folder: Path,
    *,
    seed: int,
    min_chars: int,
    max_chars: int,
    held_out: float,
    held_out_limit: int,
    test_texts: SuiteTexts | None = None,
) -> CorpusReport:
    """Write `train-*.parquet`, `validation-*.parquet` and `test-*.parquet` into a folder.

    Sentences that stand in `test_texts`, exactly or nearly, are left out and counted by task, but for those whose
    source says that they are test sentences themselves. Raises SourceError when no training sentence is left.
    """
    dropped: Counter[str] = Counter()
    matches: Counter[tuple[str, Likeness]] = Counter()
    buckets = folder / "buckets"
    buckets.mkdir()
    with bar("corpus: reading", unit="sentences") as advance, ExitStack() as stack:
        files = [
            stack.enter_context((buckets / f"{number:03d}").open("w", encoding="utf-8")) for number in range(BUCKETS)
        ]
        for batch in _batches(items):
            cleaned = _cleaned(batch, dropped, min_chars=min_chars, max_chars=max_chars)
            for sentence, match in zip(cleaned, _matches(cleaned, test_texts), strict=True):
                if match is not None:
                    matches.update((task, match.likeness) for task in match.tasks)
                    dropped[_REASONS[match.likeness]] += 1
                    continue
                split = sentence.split or split_of(sentence.group or sentence.text, seed=seed, held_out=held_out)
                record = [sentence.text, sentence.language, sentence.source, split.value]
                number = xxhash.xxh3_64_intdigest(sentence.text.encode()) % BUCKETS
                files[number].write(json.dumps(record, ensure_ascii=False) + "\n")
            advance(len(batch))
    tasks = None if test_texts is None else test_texts.tasks
    report = _write(buckets, folder, dropped, held_out_limit, _by_task(tasks, matches))
    remove_tree(buckets)
    _check(report, held_out)
    return report


def read_texts(folder: Path, split: Split, *, batch_size: int = 1024) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (texts, languages) of a split in its order, in batches."""
    for file in split_files(folder, split):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=batch_size, columns=["text", "language"]):
            columns = batch.to_pydict()
            yield columns["text"], columns["language"]


def split_files(folder: Path, split: Split) -> list[Path]:
    """Return the parquet files of a split, in order."""
    return sorted(folder.glob(f"{split.value}-*.parquet"))


def count_rows(folder: Path, split: Split) -> int:
    """Return how many sentences a split has."""
    return sum(pq.ParquetFile(file).metadata.num_rows for file in split_files(folder, split))


_REASONS = {
    Likeness.EXACT: "equal to a test text",
    Likeness.NEAR: "nearly equal to a test text",
}


def _batches(items: Iterable[Sentence | BadLine]) -> Iterator[list[Sentence | BadLine]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _cleaned(
    batch: list[Sentence | BadLine], dropped: Counter[str], *, min_chars: int, max_chars: int
) -> list[Sentence]:
    kept = []
    for item in batch:
        try:
            kept.append(_checked(item, min_chars=min_chars, max_chars=max_chars))
        except Rejected as reason:
            dropped[str(reason)] += 1
    return kept


def _matches(sentences: list[Sentence], test_texts: SuiteTexts | None) -> list[Match | None]:
    """Look for sentences in the test data; those that are test sentences by their source are not looked for."""
    if test_texts is None:
        return [None] * len(sentences)
    places = [place for place, sentence in enumerate(sentences) if sentence.split is not Split.TEST]
    found: list[Match | None] = [None] * len(sentences)
    for place, match in zip(places, test_texts.find([sentences[place].text for place in places]), strict=True):
        found[place] = match
    return found


def _by_task(tasks: tuple[str, ...] | None, matches: Counter[tuple[str, Likeness]]) -> dict[str, TaskMatches] | None:
    if tasks is None:
        return None
    return {task: TaskMatches(matches[task, Likeness.EXACT], matches[task, Likeness.NEAR]) for task in tasks}


def _checked(item: Sentence | BadLine, *, min_chars: int, max_chars: int) -> Sentence:
    if isinstance(item, BadLine):
        raise Rejected(item.reason)
    text = clean(item.text, min_chars=min_chars, max_chars=max_chars)
    return Sentence(
        text, _writable(item.language), _writable(item.source), item.group and _writable(item.group), item.split
    )


def _writable(name: str) -> str:
    """Replace lone surrogates: a file name that is not UTF-8 has them, and JSON may."""
    return name.encode(errors="replace").decode()


def _write(
    buckets: Path,
    folder: Path,
    dropped: Counter[str],
    held_out_limit: int,
    contamination: dict[str, TaskMatches] | None,
) -> CorpusReport:
    languages: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    with ExitStack() as stack:
        writers = {split: stack.enter_context(_Writer(folder, split)) for split in Split}
        advance = stack.enter_context(bar("corpus: deduplicating", total=BUCKETS, unit="buckets"))
        for number in range(BUCKETS):
            seen: set[int] = set()
            for text, language, source, split_name in _records(buckets / f"{number:03d}"):
                digest = _digest(text)
                if digest in seen:
                    dropped["duplicate"] += 1
                    continue
                seen.add(digest)
                split = Split(split_name)
                if split is not Split.TRAIN and writers[split].rows >= held_out_limit:
                    dropped[f"{split.value} split is full"] += 1
                    continue
                writers[split].add(text, language, source)
                languages[language] += 1
                sources[source] += 1
            advance()
    rows = {split.value: writers[split].rows for split in Split}
    return CorpusReport(
        splits=rows,
        languages=dict(sorted(languages.items())),
        sources=dict(sorted(sources.items())),
        dropped=dict(sorted(dropped.items())),
        contamination=contamination,
    )


def _records(path: Path) -> Iterator[list[Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


class _Writer:
    """Write rows of one split into parquet files of bounded length."""

    def __init__(self, folder: Path, split: Split) -> None:
        self._folder, self._split = folder, split
        self._pending: list[tuple[str, str, str]] = []
        self._writer: pq.ParquetWriter | None = None
        self._in_file = 0
        self.rows = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, text: str, language: str, source: str) -> None:
        self._pending.append((text, language, source))
        self.rows += 1
        self._in_file += 1
        if self._in_file == ROWS_PER_FILE:
            self.__exit__()
            self._writer, self._in_file = None, 0
        elif len(self._pending) == _ROWS_PER_WRITE:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            number = (self.rows - 1) // ROWS_PER_FILE
            path = self._folder / f"{self._split.value}-{number:05d}.parquet"
            self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        texts, languages, sources = zip(*self._pending, strict=True)
        self._writer.write_table(pa.table([list(texts), list(languages), list(sources)], schema=_SCHEMA))
        self._pending.clear()


def _digest(text: str) -> int:
    return xxhash.xxh3_128_intdigest(text.encode())


def _check(report: CorpusReport, held_out: float) -> None:
    if not report.train:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped.items()) or "there was no text"
        raise SourceError(f"no training sentence is left ({reasons})")
    empty = [split for split in ("validation", "test") if not report.splits[split]]
    if empty:
        raise SourceError(
            f"no sentence fell into the {empty[0]} split (corpus.held_out is {held_out}); give more text or raise it"
        )

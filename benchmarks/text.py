"""Real text for the benchmarks: a folder of .txt.gz (one language a file) and .jsonl.gz (parallel rows or pairs)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import xxhash

LANGUAGES = ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl")
PARTS = {"train": (0, 2), "count": (2, 4), "report": (4, 5)}  # of five, by the hash of the text


def read_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, language) of every file, in the order of the files."""
    for path in sorted(folder.rglob("*.gz")):
        language = "en" if path.parent.name == "pairs_en" else path.name[:2]
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if path.name.endswith(".txt.gz"):
                    yield line.rstrip("\n"), language
                    continue
                row = json.loads(line)
                if "a" in row and "b" in row:
                    yield from ((row[key], language) for key in ("a", "b"))
                else:
                    yield from ((text, code) for code, text in row.items())


def split_folder(folder: Path, work: Path) -> dict[str, Path]:
    """Write the distinct texts of each part as language TAB text, in the order of their hashes; keep what is there."""
    paths = {part: work / f"{part}.tsv" for part in PARTS}
    if all(path.is_file() for path in paths.values()):
        return paths
    rows: dict[int, tuple[str, str]] = {}
    for text, language in read_folder(folder):
        clean = " ".join(text.split("\n")).replace("\t", " ")
        rows[xxhash.xxh3_64_intdigest(f"{language}\t{clean}".encode())] = (language, clean)
    work.mkdir(parents=True, exist_ok=True)
    for part, (first, last) in PARTS.items():
        with paths[part].open("w", encoding="utf-8") as file:
            for key in sorted(rows):
                if first <= (key >> 20) % 5 < last:
                    file.write("\t".join(rows[key]) + "\n")
    return paths


def batches(path: Path, *, limit: int | None = None, size: int = 2000) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (texts, languages) of a part."""
    texts: list[str] = []
    languages: list[str] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            if limit is not None and number >= limit:
                break
            language, _, text = line.rstrip("\n").partition("\t")
            texts.append(text)
            languages.append(language)
            if len(texts) == size:
                yield texts, languages
                texts, languages = [], []
    if texts:
        yield texts, languages

"""Write task data in the layout of ../shared/eval: DIR/Task/[subset/]split.jsonl.gz and a README.md."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SENTENCES = {
    "en": ["The dog runs", "A cat sleeps", "Rain falls today", "She buys bread", "He reads a book", "They sing a song"],
    "de": ["Der Hund rennt", "Eine Katze schläft", "Heute regnet es", "Sie kauft Brot", "Er liest", "Sie singen"],
    "nl": ["De hond rent", "Een kat slaapt", "Vandaag regent het", "Zij koopt brood", "Hij leest", "Zij zingen"],
}


def pairs(language: str = "en", *, score: str = "score", flip: bool = False) -> list[Row]:
    """All pairs of six sentences; the score of a pair is how near their places are."""
    texts = SENTENCES[language]
    made = []
    for first in range(6):
        for second in range(6):
            near = 5.0 - abs(first - second)
            made.append(
                {"sentence1": texts[first], "sentence2": texts[second], score: 5.0 - near if flip else near}
            )  # fmt: skip
    return made


def write_task(data_dir: Path, name: str, subsets: dict[str, dict[str, list[Row]]]) -> Path:
    """Write a task's tables: subset → split → rows; the subset "" is a task without subsets."""
    folder = data_dir / name
    lines = ["---", "configs:"]
    for subset, splits in subsets.items():
        lines += [f"- config_name: {subset or 'default'}", "  data_files:"]
        for split, table in splits.items():
            place = f"{subset}/{split}.jsonl.gz" if subset else f"{split}.jsonl.gz"
            lines += [f"  - split: {split}", f"    path: {place}"]
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table).encode()
            (folder / place).write_bytes(gzip.compress(data, mtime=0))
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
    return folder


def write_stsbenchmark(data_dir: Path, *, flip: bool = False) -> Path:
    return write_task(data_dir, "STSBenchmark", {"": {"test": pairs(flip=flip)}})


def write_multilingual(data_dir: Path, languages: tuple[str, ...] = ("en", "de", "nl")) -> Path:
    tables = {code: {split: pairs(code, score="similarity_score") for split in ("dev", "test")} for code in languages}
    return write_task(data_dir, "STSBenchmarkMultilingualSTS", tables)

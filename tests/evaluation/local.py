"""Write task data in the layout of ../shared/eval: DIR/Task/[subset/]split.jsonl.gz and a README.md; load models."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from babelpress.architectures.encoders import load_encoder
from babelpress.evaluation.tasks.scoring import Subject

Row = dict[str, Any]
MULTILINGUAL = "STSBenchmarkMultilingualSTS"

SENTENCES = {
    "en": ["The dog runs", "A cat sleeps", "Rain falls today", "She buys bread", "He reads a book", "They sing a song"],
    "de": ["Der Hund rennt", "Eine Katze schläft", "Heute regnet es", "Sie kauft Brot", "Er liest", "Sie singen"],
    "nl": ["De hond rent", "Een kat slaapt", "Vandaag regent het", "Zij koopt brood", "Hij leest", "Zij zingen"],
}


def subjects_of(folders: list[Path]) -> dict[str, Subject]:
    """Load models to be scored, by the names of their folders."""
    return {folder.name: Subject(load_encoder(folder), f"babelpress/{folder.name}", "w") for folder in folders}


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
    return write_task(data_dir, MULTILINGUAL, tables)


def write_classes(data_dir: Path, name: str = "Banking77Classification") -> Path:
    """Sentences whose class is the language or, the fourth, English in capitals; the last stands once in the test."""
    texts = {code: SENTENCES[code] for code in ("en", "de", "nl")} | {"EN": [text.upper() for text in SENTENCES["en"]]}
    table = [
        {"text": text, "label": label, "label_text": code}
        for label, (code, lines) in enumerate(texts.items())
        for text in lines
    ]
    test = [{**row, "text": f"{row['text']} {row['text']}"} for row in table[:19]]
    return write_task(data_dir, name, {"": {"train": table, "test": test}})


def write_flores(data_dir: Path) -> Path:
    """Translations in columns of one table; all pairs of languages are subsets."""
    columns = {"eng_Latn": "en", "deu_Latn": "de", "nld_Latn": "nl"}
    table = [{column: SENTENCES[code][place] for column, code in columns.items()} for place in range(6)]
    return write_task(data_dir, "FloresBitextMining", {"": {"devtest": table}})


def write_tatoeba(data_dir: Path) -> Path:
    """Translations to English, a subset for each language."""
    tables = {
        f"{three}-eng": [
            {"sentence1": own, "sentence2": other} for own, other in zip(SENTENCES[code], SENTENCES["en"], strict=True)
        ]
        for three, code in (("deu", "de"), ("nld", "nl"))
    }
    return write_task(data_dir, "Tatoeba", {pair: {"test": table} for pair, table in tables.items()})


def write_duplicates(data_dir: Path, *, in_one_row: bool = False) -> Path:
    """Pairs that are duplicates where their places are next to each other."""
    table = [
        {"sent1": row["sentence1"], "sent2": row["sentence2"], "labels": int(row["score"] >= 4)} for row in pairs()
    ]
    rows = [{key: [row[key] for row in table] for key in table[0]}] if in_one_row else table
    return write_task(data_dir, "SprintDuplicateQuestions", {"": {"test": rows}})


def write_retrieval(data_dir: Path, name: str = "NFCorpus", *, ranked: bool = False) -> Path:
    """German questions for English documents, two of which are right for each; `ranked` are four to be put in order.

    A question and the document that says the same have one id.
    """
    corpus = [{"_id": f"{place}", "title": "", "text": text} for place, text in enumerate(SENTENCES["en"])]
    queries = [{"_id": f"{place}", "text": text} for place, text in enumerate(SENTENCES["de"])]
    found = [
        {"query-id": f"{place}", "corpus-id": f"{(place + more) % 6}", "score": 3 - more}
        for place in range(6)
        for more in (1, 2)
    ]
    tables = {"corpus": {"corpus": corpus}, "queries": {"queries": queries}, "default": {"test": found}}
    if ranked:
        some = [
            {"query-id": f"{place}", "corpus-ids": [f"{(place + more) % 6}" for more in range(4)]} for place in range(6)
        ]
        tables["top_ranked"] = {"test": some}
    return write_task(data_dir, name, tables)


def write_clusters(data_dir: Path) -> Path:
    """Sentences whose cluster is their language; mteb takes a few per cent of them."""
    texts = [(f"{number} {text}", code) for number in range(60) for code, lines in SENTENCES.items() for text in lines]
    row = {"sentences": [text for text, _ in texts], "labels": [code for _, code in texts]}
    return write_task(data_dir, "TwentyNewsgroupsClustering.v2", {"": {"test": [row]}})

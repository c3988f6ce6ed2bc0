"""Lay out the training text of the shipped student: files whose licence permits it, sampled to a budget.

    python -m benchmarks.real_text SOURCE DIR

SOURCE is a folder of parallel sentences (`parallel/NAME.jsonl.gz`, a JSON object of language codes a line), labelled
pairs (`pairs_en/`, `pairs_xx/`: `{"a", "b", "label"}`) and sentences of one language (`mono/CODE.txt.gz`). DIR/text
is what `babelpress run me5s_cpu --data-dir DIR` reads. The files named here are those whose licence allows training
a model that anyone may use; what is left out, and why, stands beside each rule.
"""

from __future__ import annotations

import argparse
import gzip
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import xxhash

# Share of the rows of each parallel file. Not here: `_nc`, `gpl` and `agpl` files; alt_ja_vi (its repository says
# research only); ntrex128 (an mteb task); ud_pud (the held-out text of benchmarks/recipes.py).
PARALLEL = {
    "ami_meeting_enja": 1.0,
    "android_apps_apache2": 1.0,
    "joshua_hi_en": 1.0,
    "korean_english_park": 1.0,
    "mgsm": 1.0,
    "mozilla_apps_l10n": 1.0,
    "mozilla_www_l10n": 1.0,
    "pawsx_devtest": 1.0,
    "python_docs": 1.0,
    "tanaka_small_enja": 0.2,
    "tatoeba_anki_en_xx": 0.4,
    "tatoeba_challenge": 0.25,
    "tico19": 1.0,
    "xcopa": 1.0,
    "xquad_questions": 1.0,
    "xsid": 1.0,
}
PAIRS = {
    "pairs_en": ("e2e_refs", "med", "mqr", "pawsx_en_dev", "snli_devtest", "wiki_auto_valid"),
    "pairs_xx": ("id_indonli_train", "ja_jnli_valid", "ko_klue_nli_dev", "ko_parakqc"),
}
LINES = 18_000  # of each language's own file; English has all of its
ENGLISH = 60_000
RESEARCH_ONLY = "alt_ja_vi"  # some lines of mono ja and vi stand there, too


def main() -> None:
    """Write the files."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path)
    arguments.add_argument("folder", type=Path)
    given = arguments.parse_args()
    text = given.folder / "text"
    for name, share in PARALLEL.items():
        lines = _lines(given.source / "parallel" / f"{name}.jsonl.gz")
        _write(text / "parallel" / f"{name}.jsonl.gz", (line for line in lines if _drawn(line) < share))
    for folder, names in PAIRS.items():
        for name in names:
            _write(text / folder / f"{name}.jsonl.gz", _lines(given.source / folder / f"{name}.jsonl.gz"))
    forbidden = {
        _letters(sentence)
        for line in _lines(given.source / "parallel" / f"{RESEARCH_ONLY}.jsonl.gz")
        for sentence in json.loads(line).values()
    }
    for path in sorted((given.source / "mono").glob("*.txt.gz")):
        allowed = [line for line in _lines(path) if _letters(line) not in forbidden]
        count = ENGLISH if path.name.startswith("en.") else LINES
        _write(text / "mono" / path.name, iter(sorted(allowed, key=_drawn)[:count]))


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def _write(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for line in lines:
            file.write(f"{line}\n".encode())
            count += 1
    print(f"{path}: {count:,} lines")


def _drawn(line: str) -> float:
    """Return a number in [0, 1) that depends on the line alone."""
    return float(xxhash.xxh3_64_intdigest(line.encode())) / 2.0**64


def _letters(text: str) -> str:
    """Return what tells two sentences apart: letters, marks and digits."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LMN")


if __name__ == "__main__":
    main()

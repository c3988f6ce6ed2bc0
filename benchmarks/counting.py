"""Count the pieces of 500,000 real lines with a Unigram of 250,001 pieces, as whole processes.

    python benchmarks/counting.py ../shared/corpus [--work runs/benchmarks] [--lines 500000] [--rounds 3]

Side by side in one run: babelpress, and `encode_batch_fast` of the tokenizers library on the same lines.
CPU-seconds (all threads) are those of reading the lines and counting, loading left out; peak memory is that of
the whole process, the lines themselves not held. The counts of both are compared, piece by piece.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.text import batches, split_folder
from benchmarks.tokenizers_250k import train_unigram
from benchmarks.vocabulary import PIECES


def count_with_babelpress(tokenizer: Path, text: Path, lines: int) -> tuple[dict[str, np.ndarray], float, float]:
    from babelpress.vocabulary.count import count_pieces
    from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

    file = read_tokenizer_file(tokenizer)
    count_pieces(file, batches(text, limit=1000))  # compiles the kernels, which are kept between runs
    started, wall = time.process_time(), time.perf_counter()
    found = count_pieces(file, batches(text, limit=lines))
    return found.pieces, time.process_time() - started, time.perf_counter() - wall


def count_with_tokenizers(tokenizer: Path, text: Path, lines: int) -> tuple[dict[str, np.ndarray], float, float]:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    size = loaded.get_vocab_size()
    counts: dict[str, np.ndarray] = {}
    started, wall = time.process_time(), time.perf_counter()
    for texts, languages in batches(text, limit=lines):
        found: dict[str, list[int]] = {}
        for language, encoding in zip(
            languages, loaded.encode_batch_fast(texts, add_special_tokens=False), strict=True
        ):
            found.setdefault(language, []).extend(encoding.ids)
        for language, ids in found.items():
            own = counts.setdefault(language, np.zeros(size, dtype=np.int64))
            own += np.bincount(ids, minlength=size)
    return counts, time.process_time() - started, time.perf_counter() - wall


WAYS = {"babelpress": count_with_babelpress, "tokenizers": count_with_tokenizers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = arguments.work
    text = split_folder(arguments.corpus, work)
    teacher = train_unigram(text["train"], work / "teacher.json", pieces=PIECES)
    if arguments.way:
        counts, cpu, wall = WAYS[arguments.way](teacher, text["count"], arguments.lines)
        np.savez(work / f"counting-{arguments.way}.npz", **counts)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        print(json.dumps([cpu, wall, peak]))
        return
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, str(arguments.corpus), "--work", str(work), "--way", way]
            command += ["--lines", str(arguments.lines)]
            environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
            found[way].append(json.loads(out))
    with np.load(work / "counting-babelpress.npz") as ours, np.load(work / "counting-tokenizers.npz") as theirs:
        same = set(ours) == set(theirs) and all(np.array_equal(ours[code], theirs[code]) for code in ours)
        pieces = sum(int(theirs[code].sum()) for code in theirs)
    print(f"{arguments.lines:,} lines, {pieces:,} pieces, counts {'identical' if same else 'DIFFERENT'}")
    middle = {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()}
    for way, (cpu, wall, peak) in middle.items():
        low, high = min(row[0] for row in found[way]), max(row[0] for row in found[way])
        print(
            f"{way:12s} {arguments.lines / cpu:9,.0f} lines a CPU-second  {cpu:6.2f} CPU-seconds ({low:.2f} to "
            f"{high:.2f})  {wall:6.2f} s  {peak:5.0f} MiB"
        )
    ratios = [theirs[0] / ours[0] for ours, theirs in zip(found["babelpress"], found["tokenizers"], strict=True)]
    print(f"ratio        {statistics.median(ratios):.1f} x ({min(ratios):.1f} to {max(ratios):.1f}) in pairs")


if __name__ == "__main__":
    main()

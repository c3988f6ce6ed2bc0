"""Look for the test data of real tasks in a real corpus: how much of it stands there, and how fast it is found.

    python benchmarks/contamination.py ../shared/corpus ../shared/eval/data [--lines 2000000] [--show 3]

The corpus is a folder of .txt.gz and .jsonl.gz files (see text.py), the data a folder of mteb tasks as --data-dir
takes it; folders that mteb has no task for are left out. CPU-seconds (all threads) are those of the search alone:
reading the files is left out. `--show` prints so many nearly equal sentences of every task, to judge by eye.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.text import LANGUAGES, read_folder

BATCH = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--lines", type=int)
    parser.add_argument("--show", type=int, default=0)
    arguments = parser.parse_args()

    from babelpress.corpus.contamination import Likeness, SuiteTexts
    from babelpress.errors import EvaluationError
    from babelpress.evaluation.tasks.mteb_tasks import check_tasks
    from babelpress.evaluation.tasks.test_data import read_test_data

    names = []
    for folder in sorted(path for path in arguments.data.iterdir() if path.is_dir()):
        try:
            check_tasks((folder.name,))
            names.append(folder.name)
        except EvaluationError as error:
            print(f"left out: {error}")
    pairs = list(read_test_data(tuple(names), languages=LANGUAGES, data_dir=arguments.data))
    started = time.process_time()
    suite = SuiteTexts(pairs)
    print(f"{len(suite):,} distinct test texts, {time.process_time() - started:.2f} CPU-seconds for their index")

    found: dict[str, Counter[Likeness]] = {task: Counter() for task in suite.tasks}
    total: Counter[Likeness] = Counter()
    languages: Counter[str] = Counter()
    shown: defaultdict[str, list[str]] = defaultdict(list)
    lines, cpu = 0, 0.0
    rows = islice(read_folder(arguments.corpus), arguments.lines)
    while batch := list(islice(rows, BATCH)):
        started = time.process_time()
        matches = suite.find([text for text, _ in batch])
        cpu += time.process_time() - started
        lines += len(batch)
        for (text, language), match in zip(batch, matches, strict=True):
            if match is None:
                continue
            total[match.likeness] += 1
            languages[language] += 1
            for task in match.tasks:
                found[task][match.likeness] += 1
                if match.likeness is Likeness.NEAR and len(shown[task]) < arguments.show:
                    shown[task].append(text)
    for task, counts in found.items():
        print(f"{task:36s} {counts[Likeness.EXACT]:6,} equal {counts[Likeness.NEAR]:6,} nearly equal")
        for text in shown[task]:
            print(f"    {text}")
    print(f"{'sentences, each once':36s} {total[Likeness.EXACT]:6,} equal {total[Likeness.NEAR]:6,} nearly equal")
    print("by language:", ", ".join(f"{code} {count:,}" for code, count in languages.most_common()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"{lines:,} lines, {lines / cpu:,.0f} a CPU-second, {cpu:.1f} CPU-seconds; peak {peak:,.0f} MiB")


if __name__ == "__main__":
    main()

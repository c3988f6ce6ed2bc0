"""What 1,000 replicates cost, and what it takes to resample translations of the same sentences together.

    python benchmarks/intervals.py [MODEL ../shared/eval/data --languages en,de,es,fr --cache DIR]

Without a model, the CPU-seconds of replicates for scores of usual sizes, of made-up predictions. With a model folder
and mteb's data, the standard error of the multilingual STS score, whose subsets are translations of each other, with
subsets resampled together (as babelpress does) and as if they were independent.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

TASK = "STSBenchmarkMultilingualSTS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--languages", default="en,de,es,fr")
    parser.add_argument("--cache", type=Path, default=Path("cache/mteb"))
    arguments = parser.parse_args()
    if arguments.model and arguments.data:
        compare_errors(arguments.model, arguments.data, arguments.cache, tuple(arguments.languages.split(",")))
    else:
        time_statistics()


def time_statistics() -> None:
    from babelpress.evaluation.intervals.bootstrap import average_precision, macro_f1, mean_of, resample, spearman

    draw = np.random.default_rng(0)
    gold = draw.integers(0, 77, 3_080)
    guesses = np.where(draw.random((10, 3_080)) < 0.7, gold, draw.integers(0, 77, (10, 3_080)))
    cases = {
        "STS, 10 subsets of 1,400 pairs": (10, 1_400, spearman(draw.random(1_400), draw.random(1_400).round(1))),
        "accuracy, 25,000 sentences": (1, 25_000, mean_of(draw.random(25_000) < 0.7)),
        "macro F1, 77 classes, 10 experiments, 3,080 sentences": (1, 3_080, macro_f1(gold, guesses)),
        "average precision, 16,000 pairs": (
            1, 16_000, average_precision(draw.integers(0, 2, 16_000), draw.random(16_000)),
        ),
    }  # fmt: skip
    resample(mean_of([0.0, 1.0]), 2, seed=(0,))  # imports
    for name, (times, sentences, statistic) in cases.items():
        started = time.process_time()
        for number in range(times):
            resample(statistic, sentences, seed=(number,))
        print(f"{name}: {time.process_time() - started:.2f} CPU-seconds")


def compare_errors(model: Path, data: Path, cache: Path, languages: tuple[str, ...]) -> None:
    from babelpress.evaluation.compare.models import Wanted, score_named

    (found,) = score_named([str(model)], Wanted((TASK,), cache=cache, languages=languages, data_dir=data))
    replicates = found.replicates[TASK]
    alone = {subset: float(values.std()) for subset, values in replicates.subsets.items()}
    together = replicates.over(list(alone))
    assert together is not None
    independent = np.sqrt(sum(error**2 for error in alone.values())) / len(alone)
    print(f"{found.scores[TASK].score:.2f}; standard errors: {', '.join(f'{k} {v:.2f}' for k, v in alone.items())}")
    print(f"of the mean: {together.std():.2f}; as if subsets were independent: {independent:.2f}")


if __name__ == "__main__":
    main()

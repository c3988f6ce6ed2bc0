"""Memory of a training: it knows neither how many sentences there are nor how many steps were taken.

    python benchmarks/memory.py [--steps 20]
    python benchmarks/memory.py --long 5000 [--batch 32]

The first trains on stores of 65,536 and of 20 million sentences; the second takes many steps, in fp32, with batches
of ever new numbers of tokens, and prints the memory every 200 steps, with free memory given back to the system as the
training does it, and without. Each row is a process of its own: the reference student's shape (4 x 384, 15,424 rows).
Shards are real files, linked so that 20 million rows need the disk of one shard. What counts is memory of the
process's own (RssAnon); pages of the mapped files belong to the page cache, which gives them back.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SIZES = (65_536, 20_000_000)
LENGTH = 24


def make_store(folder: Path, rows: int) -> None:
    import numpy as np
    import torch

    from babelpress.corpus.sentence import Split
    from babelpress.distillation.shards import write_shard
    from babelpress.distillation.targets import shard_path
    from babelpress.distillation.texts import SHARD_ROWS

    draw = np.random.default_rng(20)
    lengths = draw.poisson(LENGTH - 4, SHARD_ROWS) + 4
    offsets = torch.from_numpy(np.cumsum([0, *lengths]))
    ids = torch.from_numpy(draw.integers(5, 1_000, int(lengths.sum())).astype(np.uint16))
    embeddings = torch.nn.functional.normalize(torch.randn(SHARD_ROWS, 384), dim=1).half()
    shards = -(-rows // SHARD_ROWS)
    for kind, tensors in (
        ("tokens", {"ids": ids, "offsets": offsets}),
        ("targets", {"embeddings": embeddings, "ends": torch.zeros(SHARD_ROWS, dtype=torch.int32)}),
    ):
        first = shard_path(folder / kind, Split.TRAIN, 0)
        write_shard(first, tensors, key="benchmark", rows=SHARD_ROWS)
        for number in range(1, shards):
            os.link(first, shard_path(folder / kind, Split.TRAIN, number))


EVERY = 200  # steps


def train(folder: Path, steps: int, *, batch_size: int = 512, keep: bool = False, every: int | None = None) -> None:
    from babelpress.corpus.sentence import Split
    from babelpress.distillation import train as module
    from babelpress.distillation.batches import BatchPlan
    from babelpress.distillation.checkpoint import Progress
    from babelpress.distillation.feed import TrainingText, batches_from
    from babelpress.distillation.shards import open_shard
    from babelpress.distillation.targets import Targets
    from babelpress.distillation.tokens import TokenStore
    from babelpress.distillation.train import make_engine, take_step
    from babelpress.recipe import DistillationSection
    from babelpress.utils.memory import own_memory, release_memory

    def shards(kind: str) -> tuple:
        paths = sorted((folder / kind).glob(f"{Split.TRAIN.value}-*.safetensors"))
        return tuple(open_shard(path) for path in paths)

    text = TrainingText(TokenStore(shards("tokens")), Targets(shards("targets")))
    settings = DistillationSection(batch_size=batch_size, trackers=(), precision="fp32" if every else "auto")
    engine = make_engine(folder / "student", folder, train=text, settings=settings)
    plan = BatchPlan(text.tokens, batch_size=batch_size, seed=20)
    found = []
    for number, batch in enumerate(batches_from(text, plan, epoch=0, position=0, tokens=engine.part_tokens), start=1):
        take_step(engine, batch, rate=2e-5, progress=Progress())
        if not keep and number % module._RELEASE_EVERY == 0:
            release_memory()
        if number == steps or (every and number % every == 0):
            found.append(f"{own_memory() / 2**20:.0f}")
        if number == steps:
            break
    print(f"{text.tokens.rows:,} {' '.join(found)}")


def make_model(folder: Path) -> None:
    from tests.tiny import SPECIAL, make_teacher, words

    pieces = list(words(5_000))
    make_teacher(
        folder / "student", layers=4, hidden=384, heads=12, feed_forward=1536, positions=512, pieces=pieces,
        spare_rows=15_424 - len(pieces) - len(SPECIAL) - 1,
    )  # fmt: skip


def many_steps(steps: int, batch: int) -> None:
    """Print the memory every so many steps, with and without giving free memory back."""
    for keep in (False, True):
        with tempfile.TemporaryDirectory() as name:
            make_model(Path(name))
            make_store(Path(name), SIZES[0])
            command = [sys.executable, __file__, "--train", name, "--long", str(steps), "--batch", str(batch)]
            out = subprocess.run(
                [*command, *(["--keep"] if keep else [])], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            label = "kept by the allocator" if keep else "given back as it trains"
            print(f"free memory {label}, MiB every {EVERY} steps: {' '.join(out.split()[1:])}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--long", type=int, metavar="STEPS")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train and arguments.long:
        train(arguments.train, arguments.long, batch_size=arguments.batch, keep=arguments.keep, every=EVERY)
        return
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    if arguments.long:
        many_steps(arguments.long, arguments.batch)
        return
    print("| sentences | MiB of the process's own after so many steps |\n| ---: | ---: |")
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_model(folder)
            make_store(folder, rows)
            command = [sys.executable, __file__, "--train", name, "--steps", str(arguments.steps)]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            print("| " + " | ".join(out.split()) + " |", flush=True)


if __name__ == "__main__":
    main()

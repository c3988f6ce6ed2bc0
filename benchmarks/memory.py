"""Train on a store of 20 million sentences, and show that memory does not know how many there are.

    python benchmarks/memory.py [--steps 20]

Each size is a process of its own: the reference student's shape (4 x 384, 15,424 rows), batch 512. Shards
are real files, linked so that 20 million rows need the disk of one shard. What counts is memory of the
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


def train(folder: Path, steps: int) -> None:
    from babelpress.corpus.sentence import Split
    from babelpress.distillation.batches import BatchPlan
    from babelpress.distillation.checkpoint import Progress
    from babelpress.distillation.feed import TrainingText, batches_from
    from babelpress.distillation.shards import open_shard
    from babelpress.distillation.targets import Targets
    from babelpress.distillation.tokens import TokenStore
    from babelpress.distillation.train import make_engine, take_step
    from babelpress.recipe import DistillationSection

    def shards(kind: str) -> tuple:
        paths = sorted((folder / kind).glob(f"{Split.TRAIN.value}-*.safetensors"))
        return tuple(open_shard(path) for path in paths)

    text = TrainingText(TokenStore(shards("tokens")), Targets(shards("targets")))
    settings = DistillationSection(batch_size=512, trackers=())
    engine = make_engine(folder / "student", folder, train=text, settings=settings)
    plan = BatchPlan(text.tokens, batch_size=512, seed=20)
    for number, batch in enumerate(batches_from(text, plan, epoch=0, position=0, tokens=engine.part_tokens)):
        take_step(engine, batch, rate=2e-5, progress=Progress())
        if number + 1 == steps:
            break
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
    print(f"{text.tokens.rows:,} {own / 1024:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    from tests.tiny import make_teacher

    print("| sentences | MiB of the process's own after so many steps |\n| ---: | ---: |")
    for rows in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_teacher(
                folder / "student", layers=4, hidden=384, heads=12, feed_forward=1536, positions=512,
                spare_rows=15_424 - 5_000,
            )  # fmt: skip
            make_store(folder, rows)
            command = [sys.executable, __file__, "--train", name, "--steps", str(arguments.steps)]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            print("| " + " | ".join(out.split()) + " |", flush=True)


if __name__ == "__main__":
    main()

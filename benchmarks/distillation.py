"""Distil the reference shape (12 x 384 and 250,001 rows to 4 x 384 and 15,424 rows) on real text, in several ways.

    python benchmarks/distillation.py ../shared/corpus [--work runs/benchmarks] [--sentences 40000] [--rounds 3]

Side by side in one run, in sentences per CPU-second (all threads), at batches of 512 and of 32:

- `peer`: the teacher encodes every batch again, fp32, texts in random order padded to the longest of their batch.
- `st`: SentenceTransformerTrainer and EmbedDistillLoss on precomputed embeddings, as its documentation has it.
- `products`: nothing but the matrix products of a step, forward and backward; the ceiling.
- `babelpress`: targets (one pass of the teacher), tokens, and the training step, as the stages run them.

A job of 13 epochs is (cost of targets and tokens + 13 steps' cost) a sentence. Weights are random, which changes
no cost. Ways take turns in every round; the figures are medians.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
os.environ |= {"TOKENIZERS_PARALLELISM": "true"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.sentence import Split
from babelpress.distillation.batches import BatchPlan
from babelpress.distillation.checkpoint import Progress
from babelpress.distillation.feed import TrainingText, batches_from
from babelpress.distillation.schedule import learning_rate
from babelpress.distillation.targets import TargetsSpec, compute_targets, open_targets
from babelpress.distillation.texts import TextRules
from babelpress.distillation.tokens import build_token_store
from babelpress.distillation.train import make_engine, take_step
from babelpress.recipe import DistillationSection, Precision, TargetPrecision
from babelpress.utils.machine import describe_machine
from benchmarks.reference_shape import LAYERS, make_reference_shape

EPOCHS = 13
LONGEST = 64


@contextmanager
def cpu_seconds(found: dict[str, list[float]], name: str, sentences: Callable[[], float]) -> Iterator[None]:
    """Add the sentences per CPU-second of the block to `found`."""
    started = time.process_time()
    yield
    found.setdefault(name, []).append(sentences() / (time.process_time() - started))


def forget_accelerate() -> None:
    """Let the next way start as in a process of its own."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


class Bench:
    """The models, the text, and the ways."""

    def __init__(self, corpus: Path, work: Path, folder: Path, *, sentences: int, seconds: float) -> None:
        from tests.distillation import write_corpus

        self.seconds, self.folder = seconds, folder
        made = make_reference_shape(corpus, work, folder, sentences=sentences)
        self.teacher, self.pruned, self.texts = made.teacher, made.student, made.texts
        self.corpus = write_corpus(folder / "corpus", train=self.texts, validation=self.texts[:64])
        self.spec = TargetsSpec(self.teacher, self.corpus, "benchmark", TextRules(max_length=LONGEST))
        self.found: dict[str, list[float]] = {}

    # --- babelpress ------------------------------------------------------------------------------

    def targets(self, name: str) -> None:
        spec = replace(self.spec, precision=TargetPrecision(name))
        with tempfile.TemporaryDirectory() as place:
            with cpu_seconds(self.found, f"targets {name}", lambda: len(self.texts)):
                compute_targets(spec, Path(place))
            targets = open_targets(spec, Path(place), Split.TRAIN)
            store = Path(place) / "tokens"
            with cpu_seconds(self.found, "tokens", lambda: len(self.texts)):
                tokens = build_token_store(
                    self.pruned, self.corpus, store, split=Split.TRAIN, targets=targets, rules=self.spec.rules,
                    key="benchmark", max_length=512,
                )  # fmt: skip
            self.text = TrainingText(tokens, targets)

    def step(self, batch_size: int, precision: Precision) -> None:
        forget_accelerate()
        settings = DistillationSection(batch_size=batch_size, precision=precision, trackers=(), learning_rate=2e-5)
        engine = make_engine(self.pruned, self.folder, train=self.text, settings=settings)
        plan = BatchPlan(self.text.tokens, batch_size=batch_size, seed=20)
        every = batches_from(self.text, plan, epoch=0, position=0, tokens=engine.part_tokens)

        def train(batch: Any) -> None:
            rate = learning_rate(0, total=10, peak=2e-5, warmup=0.0)
            take_step(engine, batch, rate=rate, progress=Progress())

        train(next(every))
        mean = self.text.tokens.tokens / self.text.tokens.rows
        seen = 0.0  # in sentences of the mean length: batches are of like lengths, and few of them are measured
        with cpu_seconds(self.found, f"step {precision} {batch_size}", lambda: seen):
            for batch in self._for_a_while(every):
                train(batch)
                seen += batch.own_tokens / mean

    # --- the ceiling -----------------------------------------------------------------------------

    def products(self, batch_size: int, precision: Precision) -> None:
        """Multiply what a step multiplies, on as many tokens as its batches have: forward, and twice that back."""
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        per_sentence = self.text.tokens.tokens / self.text.tokens.rows
        rows = round(batch_size * per_sentence)
        pairs = [
            (
                torch.ones(rows, left, dtype=dtype),
                torch.ones(left, right, dtype=dtype),
                torch.ones(rows, right, dtype=dtype),
            )
            for left, right in ((384, 1152), (384, 384), (384, 1536), (1536, 384))
        ]
        seen = 0
        with cpu_seconds(self.found, f"products {precision} {batch_size}", lambda: seen):
            for _ in self._for_a_while(iter(int, 1)):
                for _ in LAYERS:
                    for states, weight, gradient in pairs:
                        states @ weight
                        gradient @ weight.T
                        states.T @ gradient
                seen += batch_size

    # --- others ----------------------------------------------------------------------------------

    def peer(self, batch_size: int) -> None:
        """Encode with the teacher, train the student: every batch from text, in random order."""
        teacher, student = load_encoder(self.teacher.folder), load_encoder(self.pruned)
        teacher.max_seq_length = student.max_seq_length = LONGEST
        student.train()
        optimizer = torch.optim.AdamW(student.parameters(), lr=2e-5, weight_decay=0.01)
        order = np.random.default_rng(20).permutation(len(self.texts))
        every = ([self.texts[row] for row in order[at : at + batch_size]] for at in range(0, len(order), batch_size))
        seen = 0
        with cpu_seconds(self.found, f"peer {batch_size}", lambda: seen):
            for batch in self._for_a_while(every):
                with torch.no_grad():
                    wanted = teacher(teacher.preprocess(batch))["sentence_embedding"]
                own = student(student.preprocess(batch))["sentence_embedding"]
                loss = torch.nn.functional.mse_loss(own, wanted)
                loss = loss + 0.5 * (1 - torch.nn.functional.cosine_similarity(own, wanted)).mean()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                seen += len(batch)

    def st(self, batch_size: int, precision: Precision) -> None:
        """Let sentence-transformers train on precomputed embeddings."""
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

        forget_accelerate()
        steps = max(2, int(self.seconds * 50 / batch_size))
        rows = np.random.default_rng(20).permutation(len(self.texts))[: (steps + 1) * batch_size]
        student = load_encoder(self.pruned)
        student.max_seq_length = LONGEST
        labels = self.text.targets.gather(rows).float().numpy()
        data = Dataset.from_dict({"sentence": [self.texts[row] for row in rows], "label": list(labels)})
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(self.folder / "st"), per_device_train_batch_size=batch_size, max_steps=steps,
            learning_rate=2e-5, report_to="none", save_strategy="no", logging_strategy="no", use_cpu=True,
            bf16=precision is Precision.BF16, disable_tqdm=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=student, args=arguments, train_dataset=data, loss=EmbedDistillLoss(student)
        )
        with cpu_seconds(self.found, f"st {precision} {batch_size}", lambda: steps * batch_size):
            trainer.train()

    def _for_a_while(self, items: Iterator[Any]) -> Iterator[Any]:
        started = time.perf_counter()
        for number, item in enumerate(items):
            if number > 1 and time.perf_counter() - started > self.seconds:
                return
            yield item


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--sentences", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each way runs in a round")
    parser.add_argument("--only", nargs="*", help="ways to run: targets step products peer st")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(
            arguments.corpus, arguments.work, Path(name), sentences=arguments.sentences, seconds=arguments.seconds
        )
        for _ in range(arguments.rounds):
            run_round(bench, arguments.only)
        show(bench)


def run_round(bench: Bench, only: list[str] | None) -> None:
    bench.targets("fp32" if only and "targets" not in only else "bf16")
    for batch_size in (512, 32):
        for precision in (Precision.FP32, Precision.BF16):
            for way in ("step", "products", "st"):
                if not only or way in only:
                    getattr(bench, way)(batch_size, precision)
        if not only or "peer" in only:
            bench.peer(batch_size)


def show(bench: Bench) -> None:
    middle = {name: statistics.median(values) for name, values in bench.found.items()}
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['threads']} threads, torch {torch.__version__}")
    print(
        f"{len(bench.texts):,} sentences, {bench.text.tokens.tokens / bench.text.tokens.rows:.1f} student tokens each"
    )
    print("\n| sentences a CPU-second | median | lowest | highest |\n| --- | ---: | ---: | ---: |")
    for name, values in sorted(bench.found.items()):
        print(f"| {name} | {middle[name]:,.1f} | {min(values):,.1f} | {max(values):,.1f} |")
    for batch_size in (512, 32):
        if f"peer {batch_size}" not in middle:
            continue
        steps = {p: middle[f"step {p} {batch_size}"] for p in ("fp32", "bf16")}
        best = max(steps, key=steps.__getitem__)
        job = EPOCHS / (1 / middle["targets bf16"] + 1 / middle["tokens"] + EPOCHS / steps[best])
        theirs = max(middle[f"st {p} {batch_size}"] for p in ("fp32", "bf16"))
        share = steps[best] / middle[f"products {best} {batch_size}"]
        print(
            f"\nbatch {batch_size}: a job of {EPOCHS} epochs, {job:,.1f} visits a CPU-second: "
            f"{job / middle[f'peer {batch_size}']:.1f} x peer, {job / theirs:.1f} x st; "
            f"the step in {best} is {100 * share:.0f} % of the products"
        )


if __name__ == "__main__":
    main()

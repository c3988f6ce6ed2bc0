"""Training steps per second by how OpenMP's threads wait, on an idle machine and beside one busy process.

    python benchmarks/threads.py [--rounds 5] [--seconds 10] [--batch-size 32] [--precision auto] [--onnx] [--json]

Steps are those of babelpress's training, on a student of the reference shape (4 x 384, 15,424 rows) with random
weights and sentences of 24 random tokens in the mean. Each setting is a process of its own; in every round all of them
take a turn on the machine as it is, then all beside a process that keeps one core busy, in an order that moves on from
round to round. Figures are medians of the rounds; ratios are those within a round, to the default on the idle machine.

What is wanted of the setting that babelpress uses (`babelpress.utils.threads`): at most 3 % slower than the default
on an idle machine, and beside a busy process at most 2.5 times slower than that.

--onnx times batches of the int8 export in ONNX Runtime instead, whose threads spin unless told not to; babelpress's
sessions do not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from babelpress.utils.threads import SHORT_SPIN

ROWS, LENGTH, SENTENCES = 15_424, 24, 4096
VARIABLES = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", *SHORT_SPIN)
# name -> environment; the first one is what all are compared with, the second what babelpress uses
TRAINING = {
    "default": {},
    " ".join(f"{name}={value}" for name, value in SHORT_SPIN.items()): SHORT_SPIN,
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
ONNX = {
    "allow_spinning=1 (default)": {"SPINNING": "1"},
    "allow_spinning=0": {"SPINNING": "0"},
    "one thread": {"SPINNING": "0", "OMP_NUM_THREADS": "1"},
}
SLOWER_IDLE, SLOWER_BUSY = 1.03, 2.5
PLACES = ("idle", "busy")


# --- the process that works ---------------------------------------------------------------------


def work(folder: Path, given: argparse.Namespace) -> None:
    """Answer each number of seconds on standard input with the steps per second during that time."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    step = (onnx_batches if given.onnx else training_steps)(folder, given.batch_size, given.precision)
    for _ in range(given.warmup):
        step()
    print("ready", file=channel, flush=True)
    for line in sys.stdin:
        step()  # the caches were another process's
        started = time.perf_counter()
        done = 0
        while not done or time.perf_counter() - started < float(line):
            step()
            done += 1
        print(done / (time.perf_counter() - started), file=channel, flush=True)


def training_steps(folder: Path, batch_size: int, precision: str) -> Callable[[], Any]:
    import torch

    from babelpress.distillation.batches import BatchPlan
    from babelpress.distillation.checkpoint import Progress
    from babelpress.distillation.feed import TrainingText, batches_from
    from babelpress.distillation.targets import Targets
    from babelpress.distillation.tokens import TokenStore
    from babelpress.distillation.train import make_engine, take_step
    from babelpress.recipe import DistillationSection, Precision

    ids, lengths = sentences()
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    embeddings = torch.randn(SENTENCES, 384, generator=torch.Generator().manual_seed(20))
    targets = {
        "embeddings": torch.nn.functional.normalize(embeddings, dim=1).half(),
        "ends": torch.zeros(SENTENCES, dtype=torch.int32),
    }
    text = TrainingText(TokenStore(({"ids": torch.from_numpy(ids), "offsets": offsets},)), Targets((targets,)))
    settings = DistillationSection(batch_size=batch_size, precision=Precision(precision), trackers=())
    engine = make_engine(folder / "student", folder, train=text, settings=settings)
    plan = BatchPlan(text.tokens, batch_size=batch_size, seed=20)
    every = (
        batch
        for epoch in count()
        for batch in batches_from(text, plan, epoch=epoch, position=0, tokens=engine.part_tokens)
    )
    return lambda: take_step(engine, next(every), rate=2e-5, progress=Progress())


def onnx_batches(folder: Path, batch_size: int, precision: str) -> Callable[[], Any]:
    """Run batches of sentences of like lengths through the graph, padded to the longest."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    options.add_session_config_entry("session.intra_op.allow_spinning", os.environ["SPINNING"])
    graph = folder / "student" / "onnx" / "model_quantized.onnx"
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    ids, lengths = sentences()
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    batches = []
    for at in range(0, SENTENCES, batch_size):
        rows = order[at : at + batch_size]
        mask = (np.arange(lengths[rows].max()) < lengths[rows][:, None]).astype(np.int64)
        own = np.zeros_like(mask)
        own[mask == 1] = np.concatenate([ids[starts[row] : starts[row] + lengths[row]] for row in rows])
        batches.append({"input_ids": own, "attention_mask": mask})
    shuffled = np.random.default_rng(20).permutation(len(batches))
    every = (batches[number] for _ in count() for number in shuffled)
    return lambda: session.run(["sentence_embedding"], next(every))


def sentences() -> tuple[Any, Any]:
    """Return the ids of all sentences, laid end to end, and the sentences' lengths."""
    import numpy as np

    draw = np.random.default_rng(20)
    lengths = draw.poisson(LENGTH - 4, SENTENCES) + 4
    return draw.integers(5, ROWS, int(lengths.sum())).astype(np.uint16), lengths


# --- the process that measures ------------------------------------------------------------------


class Worker:
    """A process of one setting."""

    def __init__(self, folder: Path, environment: dict[str, str], given: argparse.Namespace) -> None:
        plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        command = [
            sys.executable, __file__, "--worker", str(folder), "--batch-size", str(given.batch_size), "--precision",
            given.precision, "--warmup", str(given.warmup), *(["--onnx"] if given.onnx else []),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, env={**plain, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Worker:
        if self._answer() != "ready":
            raise SystemExit("a worker did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def rate(self, seconds: float) -> float:
        """Let it work for so long; return its steps per second."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"a worker ended with code {self._process.wait()}")
        return line


@contextmanager
def busy(place: str) -> Iterator[None]:
    """Keep one core busy, if that is what this place is about."""
    if place == "idle":
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def make_student(folder: Path, *, onnx: bool) -> None:
    from tests.tiny import id_count, make_teacher, tokenizer_json, words

    spare = ROWS - id_count(tokenizer_json(list(words(600))))
    make_teacher(folder, layers=4, hidden=384, heads=12, feed_forward=1536, positions=512, spare_rows=spare, scale=0.05)
    if onnx:
        from babelpress.exports.export import export_student
        from babelpress.schema.formats import choose_formats

        export_student(folder, choose_formats(["onnx-int8"]), texts={"en": ["one", "two"]}, scorer=lambda *_: {})


def measure(given: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return, by setting, the steps per second of every round, idle and busy."""
    settings = ONNX if given.onnx else TRAINING
    found: dict[str, dict[str, list[float]]] = {name: {place: [] for place in PLACES} for name in settings}
    with tempfile.TemporaryDirectory() as place_of_all, ExitStack() as stack:
        make_student(Path(place_of_all) / "student", onnx=given.onnx)
        workers = {}
        for name, environment in settings.items():
            folder = Path(place_of_all) / f"worker-{len(workers)}"
            folder.mkdir()
            (folder / "student").symlink_to(Path(place_of_all) / "student")
            workers[name] = stack.enter_context(Worker(folder, environment, given))
        names = list(settings)
        for number in range(given.rounds):
            for place in PLACES:
                with busy(place):
                    for name in names[number % len(names) :] + names[: number % len(names)]:
                        found[name][place].append(workers[name].rate(given.seconds))
    return found


def summarise(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Any]]:
    """Return medians, and how many times slower than the idle default (within each round, then the median)."""
    default = next(iter(found.values()))["idle"]
    return {
        name: {
            place: {
                "steps_per_second": statistics.median(rates[place]),
                "times_slower": statistics.median(
                    before / now for before, now in zip(default, rates[place], strict=True)
                ),
                "rounds": rates[place],
            }
            for place in PLACES
        }
        for name, rates in found.items()
    }


def share_in_use() -> float:
    """Return how much of the machine others use, in percent."""
    import psutil

    return float(psutil.cpu_percent(interval=1.0))


def report(figures: dict[str, dict[str, Any]], used: str) -> None:
    what = "| setting | idle, a second | times slower | beside a busy process, a second | times slower than idle |"
    print(f"{what}\n| --- | ---: | ---: | ---: | ---: |")
    for name, own in figures.items():
        idle, loaded = own["idle"], own["busy"]
        print(
            f"| {name} | {idle['steps_per_second']:.2f} | {idle['times_slower']:.2f} "
            f"| {loaded['steps_per_second']:.2f} | {loaded['times_slower']:.2f} |"
        )
    print(
        f"\n{used}: {figures[used]['idle']['times_slower']:.3f} times slower idle (wanted: at most {SLOWER_IDLE}), "
        f"{figures[used]['busy']['times_slower']:.2f} beside a busy process (wanted: at most {SLOWER_BUSY})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each setting runs in a round")
    parser.add_argument("--warmup", type=int, default=10, help="steps before the first round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--onnx", action="store_true", help="time ONNX Runtime instead of the training")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given)
        return
    in_use = share_in_use()
    if in_use > 5:
        print(f"others use {in_use:.0f} % of this machine now: these are no figures of an idle one", file=sys.stderr)
    figures = summarise(measure(given))
    used = list(figures)[1]
    if given.json:
        from babelpress.utils.machine import describe_machine

        facts = {
            "machine": describe_machine(), "in_use_percent": in_use, "batch_size": given.batch_size,
            "precision": given.precision, "onnx": given.onnx, "settings": figures, "used": used,
            "met": {
                "idle": figures[used]["idle"]["times_slower"] <= SLOWER_IDLE,
                "busy": figures[used]["busy"]["times_slower"] <= SLOWER_BUSY,
            },
        }  # fmt: skip
        print(json.dumps(facts, indent=2))
    else:
        report(figures, used)


if __name__ == "__main__":
    main()

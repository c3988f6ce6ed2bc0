"""Two processes train what one trains: the same batches, the same losses, and nobody who goes on alone.

`train_all` runs here, in one process, and once more in two, which torchrun starts on this very file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from babelpress.distillation import tracking
from babelpress.distillation import train as module
from babelpress.errors import Stopped
from babelpress.utils import processes
from tests.distillation import make_student, make_texts, read_log, train

REPOSITORY = Path(__file__).parents[2]
LONG = {"epochs": 4, "checkpoint_steps": 1000}  # 12 steps
EVERY_TERM = {"mse": 1.0, "cosine": 0.5, "similarity": 2.0, "distribution": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "parts": {"micro_batch_tokens": 40},
    "a batch of one": {"batch_size": 19, "loss": EVERY_TERM},  # the last of 96 sentences, and there are two processes
    "wide": {"loss": {"hidden": 1.0, "similarity": 1.0, "matryoshka": [8]}},
    "bf16": {"precision": "bf16"},
    "long": LONG,
}
# Who is told to stop, in which step. All processes tell each other every 8 steps, and at the end of an epoch.
TOLD = {"both told": {0: 1, 1: 2}, "one told": {1: 7}, "one told in the last step of an epoch": {1: 3}}


def train_all(folder: Path) -> None:
    """Train in all ways, each from the student that lies in the folder."""
    for name, changed in SETTINGS.items():
        shape = {"dimensions": 24, "hidden": (1, 24)} if name == "wide" else {}
        train(folder / "student", folder / name, make_texts(**shape), **changed)


def stop(folder: Path, told: dict[int, int]) -> None:
    """Train until SIGTERM, which process `rank` gets in step `told[rank]`, and write down how that ended."""
    step = module.take_step

    def stepping(engine, batch, *, rate, progress):
        if progress.step + 1 == told.get(processes.rank()):
            os.kill(os.getpid(), signal.SIGTERM)
        return step(engine, batch, rate=rate, progress=progress)

    module.take_step = stepping
    try:
        train(folder.parent / "student", folder, make_texts(), **LONG)
        said = "went on"
    except Stopped as stopped:
        said = str(stopped)
    module.take_step = step
    (folder / f"said-{processes.rank()}.txt").write_text(said)


def main(folder: Path) -> None:
    """Do, in one of several processes, what the tests look at."""
    torch.set_num_threads(1)
    tracking.EVERY = 1
    train_all(folder)
    for name, told in TOLD.items():
        stop(folder / name, told)
        if name == "both told":
            train(folder / "student", folder / name, make_texts(), **LONG)


if __name__ == "__main__":
    main(Path(sys.argv[1]))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return what one process left and what two left, and what these said last."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in (one, two):
        make_student(folder / "student")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", __name__, str(two)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY, env=environment
    ) as started:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracking, "EVERY", 1)
            train_all(one)
        try:
            said, _ = started.communicate(timeout=280)
        finally:
            started.kill()
    return one, two, said[-6000:]


def test_two_processes_come_to_the_end(folders):
    _, two, said = folders
    assert (two / "long" / "best.safetensors").is_file(), said


@pytest.mark.parametrize("name", SETTINGS)
def test_every_loss_of_two_processes_is_that_of_one(folders, name):
    one, two = (read_log(folder / name) for folder in folders[:2])
    tolerance = 2e-2 if name == "bf16" else 1e-4
    assert len(one) == len(two)
    for alone, both in zip(one, two, strict=True):
        assert alone.keys() == both.keys()
        for term in alone.keys() - {"sentences_per_second", "tokens_per_second", "peak_share", "memory_mib"}:
            assert both[term] == pytest.approx(alone[term], rel=tolerance, abs=tolerance), (alone["step"], term)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_best_weights_of_two_processes_are_those_of_one(folders, name):
    one, two = (load_file(folder / name / "best.safetensors") for folder in folders[:2])
    assert one.keys() == two.keys()
    for tensor, value in one.items():
        if not tensor.endswith("attention.self.key.bias"):  # gradients that are 0 but for rounding
            torch.testing.assert_close(two[tensor], value, atol=1e-2 if name == "bf16" else 1e-4, rtol=0.0)


def test_the_projection_of_two_processes_is_that_of_one(folders):
    one, two = (load_file(folder / "wide" / "projection.safetensors")["projection.weight"] for folder in folders[:2])
    torch.testing.assert_close(two, one, atol=1e-4, rtol=0.0)


def test_two_processes_leave_the_files_that_one_leaves(folders):
    for name in SETTINGS:
        one, two = (sorted(path.name for path in (folder / name).rglob("*")) for folder in folders[:2])
        assert two == one


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("both told", "stopped after epoch 1; run the same command again to go on"),
        ("one told", "stopped at step 8 of 12; run the same command again to go on"),
        ("one told in the last step of an epoch", "stopped"),
    ],
)
def test_sigterm_stops_all_processes_at_the_same_step(folders, name, expected):
    found = {path.name: path.read_text() for path in (folders[1] / name).glob("said-*.txt")}
    assert found.keys() == {"said-0.txt", "said-1.txt"}, folders[2]
    assert found["said-0.txt"] == found["said-1.txt"]
    assert expected in found["said-0.txt"]
    assert list((folders[1] / name).glob("checkpoint-*"))


def test_two_processes_that_were_stopped_end_as_two_that_were_not(folders):
    whole, stopped = (folders[1] / name / "best.safetensors" for name in ("long", "both told"))
    assert stopped.read_bytes() == whole.read_bytes()

"""Training that goes wrong: one clear line, the last good checkpoint stays, and the next run goes on from it."""

from __future__ import annotations

import errno
import math
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from babelpress.distillation import checkpoint, tracking
from babelpress.distillation import train as module
from babelpress.distillation.feed import TrainingText
from babelpress.distillation.loss import DistillationLoss
from babelpress.distillation.targets import Targets
from babelpress.errors import BabelpressError, Stopped, TrainingError
from tests.distillation import make_student, make_text, read_log, train

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def whole(student, texts, tmp_path_factory):
    """The folder and the report of an undisturbed training."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(student, folder, texts)


def assert_ends_as(whole, student, texts, folder, **changed):
    """A further call ends as the undisturbed training did."""
    assert train(student, folder, texts, **changed) == whole[1]
    assert (folder / "best.safetensors").read_bytes() == (whole[0] / "best.safetensors").read_bytes()


def held_out_losses(monkeypatch, *losses):
    numbers = iter(losses)
    monkeypatch.setattr(module, "held_out_figures", lambda *_: {"loss": next(numbers), "cosine": 0.5, "cosine_p5": 0.5})


def at_step(monkeypatch, number, do):
    """Do something during the n-th step."""
    step = module.take_step

    def stepping(engine, batch, *, rate, progress):
        if progress.step == number - 1:
            do()
        return step(engine, batch, rate=rate, progress=progress)

    monkeypatch.setattr(module, "take_step", stepping)


# --- what is not a number -----------------------------------------------------------------------


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(student, texts, whole, tmp_path, monkeypatch):
    original, calls = DistillationLoss.__call__, []

    def loss(self, *arguments):
        parts = original(self, *arguments)
        calls.append(torch.is_grad_enabled())
        return replace(parts, total=parts.total * math.nan) if sum(calls) == 6 else parts

    with monkeypatch.context() as patch:
        patch.setattr(DistillationLoss, "__call__", loss)
        with pytest.raises(
            TrainingError, match=r"the loss is nan at step 5 \(epoch 2, corpus rows \[.*last checkpoint is kept"
        ):
            train(student, tmp_path, texts)
    assert (tmp_path / "checkpoint-000000004" / "state.safetensors").is_file()
    assert all(value.isfinite().all() for value in load_file(tmp_path / "best.safetensors").values())
    assert_ends_as(whole, student, texts, tmp_path)


def test_a_gradient_that_is_not_a_number_does_not_reach_the_weights(student, texts, whole, tmp_path, monkeypatch):
    """A finite loss may have one; clipping would spread it over every weight."""
    clip, calls = module.torch.nn.utils.clip_grad_norm_, []

    def broken(parameters, *arguments, **named):
        calls.append(1)
        if len(calls) == 6:
            parameters[0].grad[:] = math.nan
        return clip(parameters, *arguments, **named)

    monkeypatch.setattr(module.torch.nn.utils, "clip_grad_norm_", broken)
    with pytest.raises(TrainingError, match=r"the gradient norm is nan at step 5 \(epoch 2, .*last checkpoint is kept"):
        train(student, tmp_path, texts)
    monkeypatch.undo()
    assert_ends_as(whole, student, texts, tmp_path)


def test_targets_that_are_not_numbers_stop_the_training(student, texts, tmp_path):
    broken = {name: value.clone() for name, value in texts[0].targets.shards[0].items()}
    broken["embeddings"][:] = math.nan
    text = TrainingText(texts[0].tokens, Targets((broken,)))
    with pytest.raises(TrainingError, match="the loss is nan at step 0"):
        train(student, tmp_path, (text, texts[1]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_held_out_loss_that_is_not_a_number_is_never_the_best(student, texts, tmp_path, monkeypatch, value):
    held_out_losses(monkeypatch, 0.5, value)
    with pytest.raises(
        TrainingError, match=rf"the held-out loss is {value} after epoch 2; the last checkpoint is kept"
    ):
        train(student, tmp_path, texts)
    assert (tmp_path / "checkpoint-000000004").is_dir()


def test_a_training_that_blows_up_in_its_first_epoch_leaves_no_best_weights(student, texts, tmp_path, monkeypatch):
    held_out_losses(monkeypatch, math.nan)
    with pytest.raises(TrainingError, match="the held-out loss is nan after epoch 1"):
        train(student, tmp_path, texts)
    assert not (tmp_path / "best.safetensors").exists()


# --- asked to stop ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (1, "stopped at step 1 of 6; run the same command again"),
        (2, "stopped at step 2 of 6"),
        (3, "stopped after epoch 1; run the same command again"),
        (5, "stopped at step 5 of 6"),
    ],
)
def test_sigterm_saves_a_checkpoint_and_the_next_run_ends_as_the_undisturbed_one(
    student, texts, whole, tmp_path, monkeypatch, step, said
):
    """Machines that are taken back say so by SIGTERM, some seconds before."""
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped, match=said):
            train(student, tmp_path, texts, checkpoint_steps=1000)
    assert signal.getsignal(signal.SIGTERM) is before
    assert [path.name for path in tmp_path.glob("checkpoint*")] == [f"checkpoint-{step:09d}"]
    assert_ends_as(whole, student, texts, tmp_path, checkpoint_steps=1000)


def test_sigterm_in_the_last_step_loses_nothing(student, texts, whole, tmp_path, monkeypatch):
    at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert_ends_as(whole, student, texts, tmp_path)


def test_a_training_off_the_main_thread_does_without_sigterm(student, texts, whole, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(train(student, tmp_path, texts)))
    thread.start()
    thread.join()
    assert found == [whole[1]]


# --- full disks ---------------------------------------------------------------------------------


def full_from(monkeypatch, module, name, call):
    """Let a function find the disk full from its n-th call on, having written something."""
    write, calls = getattr(module, name), []

    def full(tensors, path, *arguments):
        calls.append(1)
        if len(calls) < call:
            return write(tensors, path, *arguments)
        Path(path).write_bytes(b"half")
        raise NO_SPACE

    monkeypatch.setattr(module, name, full)


@pytest.mark.parametrize(("call", "kept"), [(1, []), (2, [2]), (3, [3]), (4, [4])])
def test_a_full_disk_at_a_checkpoint_is_one_error_and_the_one_before_survives(
    student, texts, whole, tmp_path, monkeypatch, call, kept
):
    """Checkpoints are of steps 2, 3, 4 and 6."""
    with monkeypatch.context() as patch:
        full_from(patch, checkpoint, "save_file", call)
        with pytest.raises(BabelpressError, match=r"the disk is full: .* free some space and run the same command"):
            train(student, tmp_path, texts)
    found = sorted(path.name for path in tmp_path.glob("*checkpoint*"))
    assert found == [f"checkpoint-{step:09d}" for step in kept]
    assert not list(tmp_path.rglob("*.tmp"))
    assert_ends_as(whole, student, texts, tmp_path)


def test_a_full_disk_at_the_best_weights_keeps_those_before(student, texts, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        full_from(patch, module, "save_file", 2)
        with pytest.raises(BabelpressError, match=r"the disk is full: .*best\.safetensors could not be written"):
            train(student, tmp_path, texts)
    assert load_file(tmp_path / "best.safetensors")
    assert_ends_as(whole, student, texts, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_at_the_log_is_one_error_and_training_can_go_on(student, texts, whole, tmp_path, monkeypatch):
    def fill():
        (tmp_path / "log.jsonl").unlink()
        (tmp_path / "log.jsonl").symlink_to("/dev/full")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "EVERY", 1)
        at_step(patch, 3, fill)
        with pytest.raises(TrainingError, match=r"log\.jsonl could not be written \(No space left on device\)"):
            train(student, tmp_path, texts)
    assert (tmp_path / "checkpoint-000000002").is_dir()
    (tmp_path / "log.jsonl").unlink()
    assert_ends_as(whole, student, texts, tmp_path)


# --- what cannot be had -------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_fp16_without_a_gpu_is_refused_in_one_line(student, texts, tmp_path):
    with pytest.raises(TrainingError, match=r"distillation\.precision is fp16, which needs a GPU") as caught:
        train(student, tmp_path, texts, precision="fp16")
    assert "\n" not in str(caught.value)


def test_an_unknown_tracker_is_refused_in_one_line(student, texts, tmp_path):
    with pytest.raises(TrainingError, match=r"distillation\.trackers: tensorbored cannot be used: .*") as caught:
        train(student, tmp_path, texts, trackers=["tensorbored"])
    assert "\n" not in str(caught.value)


def test_without_trackers_the_log_alone_is_written(student, texts, tmp_path):
    train(student, tmp_path, texts, trackers=[])
    assert not (tmp_path / "trackers").exists()
    assert read_log(tmp_path)


def test_tensorboard_files_lie_beside_the_log_unless_the_recipe_says_otherwise(student, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "EVERY", 1)
    train(student, tmp_path, texts, trackers=["tensorboard"])
    written = [path for path in (tmp_path / "trackers").rglob("*tfevents*") if path.stat().st_size]
    assert written
    for name in (b"loss", b"held_out_cosine", b"tokens_per_second"):
        assert any(name in path.read_bytes() for path in written)


def test_a_checkpoint_of_another_student_is_refused(student, texts, tmp_path):
    train(student, tmp_path / "run", texts, epochs=1)
    other = make_student(tmp_path / "other", layers=2)
    with pytest.raises(TrainingError, match=r"has no encoder\.layer\.1\..*; it is of another student, remove it"):
        train(other, tmp_path / "run", texts)


def test_hidden_states_of_other_layers_than_the_students_are_refused(student, tmp_path):
    texts = make_text(rows=96, hidden=(2, 16)), make_text(rows=24, seed=1, hidden=(2, 16))
    with pytest.raises(TrainingError, match="hidden states of other layers than the student has"):
        train(student, tmp_path, texts, loss={"hidden": 1.0})

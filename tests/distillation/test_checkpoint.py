"""Checkpoints that a kill, a full disk or another model cannot spoil."""

from __future__ import annotations

import errno
import json
import os

import pytest
import torch

from babelpress.distillation import checkpoint as module
from babelpress.distillation.checkpoint import Progress, load_checkpoint, save_checkpoint
from babelpress.errors import BabelpressError, TrainingError


class Training:
    """Two parameters and their optimizer; a step's gradient depends on the parameters."""

    def __init__(self, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.parameters = {
            "embeddings.weight": torch.nn.Parameter(torch.randn(3, 2, generator=draw)),
            "norm.bias": torch.nn.Parameter(torch.randn(2, generator=draw)),
        }
        self.optimizer = torch.optim.AdamW(list(self.parameters.values()), lr=0.1, weight_decay=0.01)
        self.progress = Progress()

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            loss = sum(((value - 3.0) ** 4).sum() for value in self.parameters.values())
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.progress.step += 1
            self.progress.position += 1

    def save(self, folder) -> None:
        save_checkpoint(folder, self.progress, self.parameters, self.optimizer)

    def load(self, folder) -> None:
        self.progress = load_checkpoint(folder, self.parameters, self.optimizer)

    def values(self) -> list[list[float]]:
        return [value.detach().flatten().tolist() for value in self.parameters.values()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_resumed_training_is_the_undisturbed_one_to_the_bit(tmp_path):
    whole, killed, resumed = Training(), Training(), Training(seed=5)
    whole.step(7)
    killed.step(3)
    killed.save(tmp_path)
    resumed.load(tmp_path)
    resumed.step(4)
    assert resumed.values() == whole.values()
    assert resumed.progress == whole.progress


def test_a_step_that_was_left_out_is_not_counted_by_the_optimizer_after_a_resume(tmp_path):
    """fp16 leaves out steps whose gradients overflow, several at the start of every training."""
    whole, killed, resumed = Training(), Training(), Training(seed=5)
    for training in (whole, killed):
        training.step(2)
        training.progress.step += 1
        training.progress.position += 1
    killed.save(tmp_path)
    resumed.load(tmp_path)
    for training in (whole, resumed):
        training.step(2)
    assert resumed.progress == whole.progress
    assert resumed.values() == whole.values()


def test_progress_comes_back_whole(tmp_path):
    training = Training()
    training.step()
    training.progress = Progress(
        epoch=1,
        position=4,
        step=53,
        best_loss=0.1 + 0.2,
        best_epoch=0,
        history=[{"loss": 1 / 3, "cosine": 0.5}],
        scaler={"scale": 65536.0, "_growth_tracker": 7},
    )
    training.save(tmp_path)
    loaded = Training()
    loaded.load(tmp_path)
    assert loaded.progress == training.progress


def test_the_state_of_scaled_gradients_comes_back_to_the_bit(tmp_path):
    training, scaler = Training(), torch.amp.GradScaler("cpu", init_scale=3.0 * 2.0**11)
    training.step()
    scaler.scale(torch.ones(1))
    scaler.update(new_scale=scaler.get_scale() * 0.1)
    training.progress.scaler = dict(scaler.state_dict())
    training.save(tmp_path)
    loaded, fresh = Training(), torch.amp.GradScaler("cpu")
    loaded.load(tmp_path)
    assert loaded.progress.scaler["scale"] not in {fresh.get_scale(), 3.0 * 2.0**11}
    fresh.load_state_dict(loaded.progress.scaler)
    assert fresh.state_dict() == scaler.state_dict()


def test_a_checkpoint_without_the_state_of_a_scaler_is_read(tmp_path):
    """Trainings in fp32 and bf16 have none."""
    training = Training()
    training.step()
    training.save(tmp_path)
    path = tmp_path / "checkpoint-000000001" / "progress.json"
    facts = json.loads(path.read_text())
    assert facts.pop("scaler") == {}
    path.write_text(json.dumps(facts))
    loaded = Training()
    loaded.load(tmp_path)
    assert (loaded.progress.step, loaded.progress.scaler) == (1, {})


def test_without_a_checkpoint_training_starts_at_the_beginning(tmp_path):
    training = Training()
    before = training.values()
    training.load(tmp_path)
    assert training.progress == Progress()
    assert training.values() == before


def test_a_checkpoint_holds_no_pickle(tmp_path):
    training = Training()
    training.step()
    training.save(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000001"]
    assert names(tmp_path / "checkpoint-000000001") == ["progress.json", "state.safetensors"]


def test_only_the_last_checkpoint_takes_room(tmp_path):
    training = Training()
    for _ in range(3):
        training.step()
        training.save(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000003"]


@pytest.mark.parametrize("part", ["write_json", "replace_file"])
def test_a_kill_while_a_checkpoint_is_written_keeps_the_one_before(tmp_path, monkeypatch, part):
    training = Training()
    training.step(2)
    training.save(tmp_path)
    kept = training.values()
    training.step()

    def killed(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(module, part, killed)
        with pytest.raises(RuntimeError):
            training.save(tmp_path)
    loaded = Training(seed=9)
    loaded.load(tmp_path)
    assert loaded.progress.step == 2
    assert loaded.values() == kept


def test_a_kill_before_the_older_checkpoint_is_removed_goes_on_from_the_newer(tmp_path, monkeypatch):
    training = Training()
    training.step(9)
    training.save(tmp_path)
    training.step()
    with monkeypatch.context() as patch:
        patch.setattr(module, "remove_tree", lambda _: None)
        training.save(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000009", "checkpoint-000000010"]
    loaded = Training()
    loaded.load(tmp_path)
    assert loaded.progress.step == 10
    loaded.step()
    loaded.save(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000011"]


def test_a_stale_half_written_checkpoint_is_ignored_and_written_over(tmp_path):
    training = Training()
    training.step()
    training.save(tmp_path)
    stale = tmp_path / "checkpoint.partial"
    stale.mkdir()
    (stale / "state.safetensors").write_bytes(b"half")
    (stale / "progress.json").write_text('{"step": 99}')
    loaded = Training()
    loaded.load(tmp_path)
    assert loaded.progress.step == 1
    loaded.step()
    loaded.save(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000002"]


def test_a_full_disk_is_one_error_and_the_last_checkpoint_survives(tmp_path, monkeypatch):
    training = Training()
    training.step(2)
    training.save(tmp_path)
    kept = training.values()
    training.step()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BabelpressError, match=r"the disk is full: .* free some space and run the same command"):
            training.save(tmp_path)
    loaded = Training(seed=3)
    loaded.load(tmp_path)
    assert (loaded.progress.step, loaded.values()) == (2, kept)


def test_a_checkpoint_of_another_student_is_refused_by_name(tmp_path):
    training = Training()
    training.step()
    training.save(tmp_path)
    other = {**training.parameters, "encoder.layer.7.weight": torch.nn.Parameter(torch.zeros(2))}
    with pytest.raises(TrainingError, match=r"has no encoder\.layer\.7\.weight; it is of another student"):
        load_checkpoint(tmp_path, other, training.optimizer)


def test_a_parameter_that_was_never_updated_comes_back_without_moments(tmp_path):
    training = Training()
    training.parameters["norm.bias"].requires_grad_(False)
    loss = training.parameters["embeddings.weight"].sum()
    loss.backward()
    training.optimizer.step()
    training.save(tmp_path)
    loaded = Training()
    loaded.load(tmp_path)
    assert loaded.parameters["norm.bias"] not in loaded.optimizer.state
    assert set(loaded.optimizer.state[loaded.parameters["embeddings.weight"]]) == {"step", "exp_avg", "exp_avg_sq"}

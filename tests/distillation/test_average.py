"""The running mean of the weights, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from babelpress.distillation import train as module
from babelpress.distillation.average import Average
from tests.distillation import kill_at, train


def parameter(value: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([value]))


def test_the_mean_moves_by_what_the_decay_leaves():
    weight = parameter(1.0)
    average = Average({"w": weight}, decay=0.5)
    weight.data.fill_(3.0)
    average.update(100)
    assert average.values["w"].item() == pytest.approx(2.0)  # 0.5 * 1 + 0.5 * 3
    average.update(101)
    assert average.values["w"].item() == pytest.approx(2.5)


def test_the_first_steps_are_not_held_back_by_the_start():
    weight = parameter(0.0)
    average = Average({"w": weight}, decay=0.999)
    weight.data.fill_(10.0)
    average.update(1)  # a tenth of the start stays: 1 / (1 + 9)
    assert average.values["w"].item() == pytest.approx(9.0)


def test_the_weights_come_back_after_the_mean_stood_in_for_them():
    weight = parameter(1.0)
    average = Average({"w": weight}, decay=0.5)
    weight.data.fill_(3.0)
    with pytest.raises(RuntimeError), average.in_place():
        assert weight.item() == 1.0
        raise RuntimeError
    assert weight.item() == 3.0
    assert average.values["w"].item() == 1.0


def test_the_mean_is_what_is_judged_and_kept(student, texts, tmp_path):
    plain = train(student, tmp_path / "plain", texts)
    mean = train(student, tmp_path / "mean", texts, average=0.9)
    assert plain.history != mean.history
    first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("plain", "mean"))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_mean_of_nothing_is_the_weights_themselves(student, texts, tmp_path):
    train(student, tmp_path / "plain", texts)
    train(student, tmp_path / "mean", texts, average=0.0)
    plain, mean = (tmp_path / name / "best.safetensors" for name in ("plain", "mean"))
    assert plain.read_bytes() == mean.read_bytes()


def test_a_killed_training_with_a_mean_and_cycles_ends_with_the_same_bytes(student, texts, tmp_path, monkeypatch):
    settings = {"average": 0.8, "cycles": 2, "final_learning_rate": 0.1, "embedding_rate": 2.0, "epochs": 3}
    train(student, tmp_path / "whole", texts, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(module, "take_step", kill_at(6, module.take_step))
        with pytest.raises(KeyboardInterrupt):
            train(student, tmp_path / "killed", texts, **settings)
    train(student, tmp_path / "killed", texts, **settings)
    whole, killed = (tmp_path / name / "best.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()

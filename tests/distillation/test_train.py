"""Training: it learns, keeps the best, stops at nonsense, and does not touch what it should not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from babelpress.distillation import train as module
from babelpress.distillation.loss import LossParts
from babelpress.distillation.targets import Targets
from babelpress.distillation.train import TrainingText, learning_rate, train_student, trainable_parameters
from babelpress.encoders import load_encoder
from babelpress.errors import RecipeError, TrainingError
from babelpress.recipe import DistillationSection, Recipe
from tests.distillation import RECIPE, make_text
from tests.tiny import make_teacher, words


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A student folder; its pad token is the tokenizer's, as press makes it."""
    return make_teacher(
        tmp_path_factory.mktemp("student") / "s", layers=1, pieces=list(words(60)), spare_rows=0, pad_in_config=1
    )


@pytest.fixture(scope="module")
def texts():
    return make_text(rows=96, pieces=64), make_text(rows=24, pieces=64, seed=1)


def section(**changed):
    values = {"epochs": 2, "batch_size": 32, "learning_rate": 3e-3, "checkpoint_steps": 2, **changed}
    return DistillationSection(**values)


def train(student, folder, texts, *, seed=20, **changed):
    folder.mkdir(exist_ok=True)
    return train_student(
        student, folder, train=texts[0], validation=texts[1], settings=section(**changed), seed=seed
    )  # fmt: skip


def scripted(monkeypatch, losses):
    """Let the held-out loss be these numbers; return the weights that were judged."""
    judged = []
    numbers = iter(losses)

    def held_out_loss(model, text, *, settings, pad):
        judged.append({name: value.detach().clone() for name, value in model[0].auto_model.named_parameters()})
        return {"loss": next(numbers), "cosine": 0.5, "cosine_p5": 0.5}

    monkeypatch.setattr(module, "held_out_loss", held_out_loss)
    return judged


def test_the_held_out_loss_falls(student, texts, tmp_path):
    report = train(student, tmp_path, texts, epochs=20, learning_rate=2e-2)
    losses = [figures["loss"] for figures in report.history]
    assert losses[-1] < 0.7 * losses[0]
    assert report.history[-1]["cosine"] > report.history[0]["cosine"]
    assert (report.epochs, report.steps, report.best_loss) == (20, 60, min(losses))


def test_the_kept_weights_are_those_of_the_held_out_minimum_not_the_last(student, texts, tmp_path, monkeypatch):
    judged = scripted(monkeypatch, [0.5, 0.2, 0.9, 0.3])
    report = train(student, tmp_path, texts, epochs=4)
    best = load_file(tmp_path / "best.safetensors")
    assert (report.best_epoch, report.best_loss) == (1, 0.2)
    for name, value in best.items():
        assert torch.equal(value, judged[1][name])
    assert not torch.equal(
        best["encoder.layer.0.output.dense.weight"], judged[3]["encoder.layer.0.output.dense.weight"]
    )


def test_of_two_equal_losses_the_earlier_weights_stay(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.2, 0.2])
    assert train(student, tmp_path, texts).best_epoch == 0


def test_training_stops_when_patience_is_spent(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.2, 0.3, 0.4, 0.1])
    report = train(student, tmp_path, texts, epochs=5, patience=2)
    assert (report.epochs, report.best_epoch) == (4, 1)


def test_without_patience_all_epochs_are_trained(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.6, 0.7, 0.8, 0.9])
    assert train(student, tmp_path, texts, epochs=5, patience=None).epochs == 5


def test_the_held_out_figures_are_those_of_a_hand_computation(student, texts):
    model = load_encoder(student)
    held_out = texts[1]
    figures = module.held_out_loss(model, held_out, settings=section(batch_size=5), pad=1)
    cosines = []
    for row in range(24):
        ids = torch.tensor([held_out.tokens.sentence(row)])
        with torch.inference_mode():
            value = model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"][0].numpy()
        target = held_out.targets.gather(np.array([row]))[0]
        cosines.append(value @ target / np.linalg.norm(value) / np.linalg.norm(target))
    losses = [2 * (1 - cosine) + 0.5 * (1 - cosine) for cosine in cosines]
    assert figures["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert figures["cosine"] == pytest.approx(np.mean(cosines), rel=1e-4)
    assert figures["cosine_p5"] == pytest.approx(np.percentile(cosines, 5), rel=1e-3, abs=1e-5)


def test_two_trainings_with_one_seed_are_equal_to_the_bit(student, texts, tmp_path):
    for name in ("a", "b"):
        train(student, tmp_path / name, texts)
    assert (tmp_path / "a" / "best.safetensors").read_bytes() == (tmp_path / "b" / "best.safetensors").read_bytes()


def test_another_seed_is_another_training(student, texts, tmp_path):
    for seed in (1, 2):
        train(student, tmp_path / str(seed), texts, seed=seed)
    assert (tmp_path / "1" / "best.safetensors").read_bytes() != (tmp_path / "2" / "best.safetensors").read_bytes()


@pytest.mark.parametrize("at", [2, 3, 5, 6])
def test_a_training_that_was_killed_ends_as_the_undisturbed_one(student, texts, tmp_path, monkeypatch, at):
    """Steps 1 to 6 in epochs of three; checkpoints after 2, 3 (end of epoch) and 4."""
    train(student, tmp_path / "whole", texts)
    calls: list[int] = []
    rate = learning_rate
    monkeypatch.setattr(module, "learning_rate", lambda *a, **k: _count(calls, at, rate, a, k))
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path / "killed", texts)
    train(student, tmp_path / "killed", texts)
    whole, resumed = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "killed"))
    assert resumed == whole


def test_a_resume_does_not_train_the_steps_before_the_checkpoint_again(student, texts, tmp_path, monkeypatch):
    calls: list[int] = []
    rate = learning_rate
    monkeypatch.setattr(module, "learning_rate", lambda *a, **k: _count(calls, 6, rate, a, k))
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path, texts)
    before = len(calls)
    train(student, tmp_path, texts)
    assert len(calls) - before == 2  # steps 5 and 6; the checkpoint is of step 4


def _count(calls, at, function, arguments, named):
    calls.append(1)
    if len(calls) == at:
        raise KeyboardInterrupt
    return function(*arguments, **named)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(student, texts, tmp_path, monkeypatch):
    original, calls = module.distillation_loss, []

    def loss(embeddings, wanted, weights):
        parts = original(embeddings, wanted, weights)
        if torch.is_grad_enabled():
            calls.append(1)
        return LossParts(parts.total * math.nan, parts.mse, parts.cosine) if len(calls) == 6 else parts

    monkeypatch.setattr(module, "distillation_loss", loss)
    with pytest.raises(
        TrainingError, match=r"the loss is nan at step 5 \(epoch 2, corpus rows \[.*last checkpoint is kept"
    ):
        train(student, tmp_path, texts)
    assert (tmp_path / "checkpoint-000000004" / "state.safetensors").is_file()
    assert all(value.isfinite().all() for value in load_file(tmp_path / "best.safetensors").values())


def test_targets_that_are_not_numbers_stop_the_training(student, texts, tmp_path):
    broken = texts[0].targets.shards[0].copy()
    broken[:] = np.nan
    text = TrainingText(texts[0].tokens, Targets((broken,), texts[0].targets.ends))
    with pytest.raises(TrainingError, match="the loss is nan at step 0"):
        train(student, tmp_path, (text, texts[1]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_held_out_loss_that_is_not_a_number_is_never_the_best(student, texts, tmp_path, monkeypatch, value):
    scripted(monkeypatch, [0.5, value])
    with pytest.raises(
        TrainingError, match=rf"the held-out loss is {value} after epoch 2; the last checkpoint is kept"
    ):
        train(student, tmp_path, texts)
    assert (tmp_path / "checkpoint-000000004").is_dir()


def test_a_training_that_blows_up_in_its_first_epoch_leaves_no_best_weights(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [math.nan])
    with pytest.raises(TrainingError, match="the held-out loss is nan after epoch 1"):
        train(student, tmp_path, texts)
    assert not (tmp_path / "best.safetensors").exists()


def test_a_batch_larger_than_the_corpus_is_refused_with_both_numbers(student, texts, tmp_path):
    with pytest.raises(TrainingError, match=r"distillation\.batch_size is 97, there are 96 training sentences"):
        train(student, tmp_path, texts, batch_size=97)


def test_a_batch_as_large_as_the_corpus_is_trained_on(student, texts, tmp_path):
    assert train(student, tmp_path, texts, batch_size=96, epochs=1).steps == 1


@pytest.mark.parametrize(
    "override", ["distillation.epochs=0", "distillation.loss.mse=-1", "distillation.learning_rate=0",
                 "distillation.batch_size=0", "distillation.prompts=[]", "distillation.warmup=1.0",
                 "distillation.learning_rate=.nan"],
)  # fmt: skip
def test_a_training_without_sense_is_refused_by_its_key(override):
    with pytest.raises(RecipeError, match=override.partition("=")[0]):
        Recipe.parse(RECIPE.format(teacher="x"), overrides=[override])


def test_the_pooler_and_further_modules_are_left_alone(student, texts, tmp_path):
    model = load_encoder(student)
    names = set(trainable_parameters(model))
    assert names
    assert not any(name.startswith("pooler.") for name in names)
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert {name.partition("pooler.")[2] for name in frozen} == {"dense.weight", "dense.bias"}
    train(student, tmp_path, texts, epochs=1)
    assert set(load_file(tmp_path / "best.safetensors")) == names


def test_the_row_of_the_first_special_token_is_trained(student, texts, tmp_path):
    """A wrong pad id freezes `<s>`, which stands in every sentence (FIELD_NOTES B3)."""
    train(student, tmp_path, texts, epochs=1)
    before = load_file(student / "model.safetensors")["embeddings.word_embeddings.weight"]
    after = load_file(tmp_path / "best.safetensors")["embeddings.word_embeddings.weight"]
    changed = (before != after).any(dim=1)
    assert changed[0]
    assert changed[2]
    assert not changed[1]  # the pad row


def test_rows_of_pieces_that_never_occur_are_not_decayed(student, texts, tmp_path):
    train(student, tmp_path, texts, epochs=2, weight_decay=5.0)
    before = load_file(student / "model.safetensors")["embeddings.word_embeddings.weight"]
    after = load_file(tmp_path / "best.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(before[3], after[3])  # <unk>


def test_matrices_are_decayed_norms_biases_and_embeddings_are_not(student):
    parameters = trainable_parameters(load_encoder(student))
    decayed, others = module._groups(parameters, section(weight_decay=0.3))
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    names = {id(value): name for name, value in parameters.items()}
    assert {names[id(value)].rpartition("layer.0.")[2] for value in decayed["params"]} == {
        "attention.self.query.weight", "attention.self.key.weight", "attention.self.value.weight",
        "attention.output.dense.weight", "intermediate.dense.weight", "output.dense.weight",
    }  # fmt: skip
    assert len(decayed["params"]) + len(others["params"]) == len(parameters)


def test_dropout_does_not_blur_the_training(student, texts, tmp_path, monkeypatch):
    modes = []
    original = module.embed
    monkeypatch.setattr(module, "embed", lambda model, batch: modes.append(model.training) or original(model, batch))
    train(student, tmp_path, texts, epochs=1)
    assert set(modes) == {False}


def test_the_learning_rate_falls_in_half_a_cosine():
    # 0.5 * (1 + cos(pi * step / 4)) of 4 steps
    rates = [learning_rate(step, total=4, peak=2.0, warmup=0.0) for step in range(5)]
    assert rates == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5), 0.0])


def test_the_learning_rate_rises_in_a_line_first():
    # 4 of 12 steps rise; the other 8 are half a cosine
    rates = [learning_rate(step, total=12, peak=1.0, warmup=1 / 3) for step in range(12)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[8] == pytest.approx(0.5)


def test_the_learning_rate_is_never_zero_or_negative_inside_a_training():
    for total in (1, 2, 3, 50):
        for warmup in (0.0, 0.1, 0.5, 0.99):
            assert all(0 < learning_rate(step, total=total, peak=1.0, warmup=warmup) <= 1 for step in range(total))


def test_every_step_gets_the_rate_of_its_place(student, texts, tmp_path, monkeypatch):
    used = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a, **k: used.append(self.param_groups[0]["lr"]) or step(self, *a, **k)
    )
    train(student, tmp_path, texts, warmup=0.34, learning_rate=1e-3)
    assert used == pytest.approx([learning_rate(n, total=6, peak=1e-3, warmup=0.34) for n in range(6)])


def test_the_log_has_no_line_twice_after_a_resume(student, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOG_EVERY", 1)
    calls: list[int] = []
    rate = learning_rate
    monkeypatch.setattr(module, "learning_rate", lambda *a, **k: _count(calls, 6, rate, a, k))
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path, texts)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # a line that a kill tore
    train(student, tmp_path, texts)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert set(lines[0]) == {"step", "epoch", "loss", "mse", "cosine", "lr", "steps_per_second"}

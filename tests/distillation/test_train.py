"""Training: it learns, keeps the best, comes out the same each time, and does not touch what it should not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from babelpress.architectures.encoders import load_encoder
from babelpress.distillation import tracking
from babelpress.distillation import train as module
from babelpress.distillation.batches import BatchPlan
from babelpress.distillation.schedule import learning_rate
from babelpress.distillation.train import held_out_figures, make_engine
from babelpress.errors import RecipeError, TrainingError
from babelpress.recipe import Recipe
from tests.distillation import RECIPE, kill_at, read_log, section, train

WORDS = "embeddings.word_embeddings.weight"


def scripted(monkeypatch, losses):
    """Let the held-out loss be these numbers; return the weights that were judged."""
    judged = []
    numbers = iter(losses)

    def figures(engine, text):
        judged.append({name: value.detach().clone() for name, value in engine.parameters.items()})
        return {"loss": next(numbers), "cosine": 0.5, "cosine_p5": 0.5}

    monkeypatch.setattr(module, "held_out_figures", figures)
    return judged


def embed_alone(model, ids: list[int]) -> np.ndarray:
    """Embed one sentence by the model's own forward pass."""
    row = torch.tensor([ids])
    with torch.inference_mode():
        return model({"input_ids": row, "attention_mask": torch.ones_like(row)})["sentence_embedding"][0].numpy()


def cosines_of(model, text, rows) -> list[float]:
    """Return the cosines of student and target, sentence by sentence."""
    found = []
    for row in rows:
        value = embed_alone(model, text.tokens.sentence(row))
        target = text.targets.gather(np.array([row]))[0].float().numpy()
        found.append(value @ target / np.linalg.norm(value) / np.linalg.norm(target))
    return found


# --- learning -----------------------------------------------------------------------------------


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


def test_a_training_whose_patience_is_spent_stays_at_its_end(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.2, 0.3, 0.4])
    first = train(student, tmp_path, texts, epochs=5, patience=2)
    assert train(student, tmp_path, texts, epochs=5, patience=2) == first


def test_without_patience_all_epochs_are_trained(student, texts, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.6, 0.7, 0.8, 0.9])
    assert train(student, tmp_path, texts, epochs=5, patience=None).epochs == 5


@pytest.mark.parametrize("tokens", [None, 1, 40])
def test_the_held_out_figures_are_those_of_a_hand_computation(student, texts, tmp_path, tokens):
    settings = section(batch_size=5, micro_batch_tokens=tokens)
    engine = make_engine(student, tmp_path, train=texts[0], settings=settings)
    figures = held_out_figures(engine, texts[1])
    cosines = cosines_of(load_encoder(student), texts[1], range(24))
    assert set(figures) == {"loss", "mse", "cosine", "cosine_p5"}
    assert figures["loss"] == pytest.approx(np.mean([2.5 * (1 - cosine) for cosine in cosines]), rel=1e-4)
    assert figures["mse"] == pytest.approx(np.mean([2 * (1 - cosine) for cosine in cosines]), rel=1e-4)
    assert figures["cosine"] == pytest.approx(np.mean(cosines), rel=1e-4)
    assert figures["cosine_p5"] == pytest.approx(np.percentile(cosines, 5), rel=1e-3, abs=1e-5)


def test_dropout_does_not_blur_the_training(student, texts, tmp_path, monkeypatch):
    """The first step's loss is that of the untouched student, each sentence embedded by itself."""
    found = []
    step = module.take_step
    monkeypatch.setattr(module, "take_step", lambda *a, **k: found.append(step(*a, **k)) or found[-1])
    train(student, tmp_path, texts, epochs=1)
    model = load_encoder(student)
    assert model[0].auto_model.config.hidden_dropout_prob > 0  # it would be felt
    first = BatchPlan(texts[0].tokens, batch_size=32, seed=20).batch(0, 0)
    cosines = cosines_of(model, texts[0], first)
    assert found[0]["loss"] == pytest.approx(2.5 * (1 - np.mean(cosines)), rel=1e-4)


# --- again and again ----------------------------------------------------------------------------


def test_two_trainings_with_one_seed_are_equal_to_the_bit(student, texts, tmp_path):
    for name in ("a", "b"):
        train(student, tmp_path / name, texts)
    assert (tmp_path / "a" / "best.safetensors").read_bytes() == (tmp_path / "b" / "best.safetensors").read_bytes()


def test_another_seed_is_another_training(student, texts, tmp_path):
    for seed in (1, 2):
        train(student, tmp_path / str(seed), texts, seed=seed)
    assert (tmp_path / "1" / "best.safetensors").read_bytes() != (tmp_path / "2" / "best.safetensors").read_bytes()


@pytest.mark.parametrize(("at", "precision"), [(2, "fp32"), (3, "fp32"), (5, "fp32"), (6, "fp32"), (6, "bf16")])
def test_a_training_that_was_killed_ends_as_the_undisturbed_one(student, texts, tmp_path, monkeypatch, at, precision):
    """Steps 1 to 6 in epochs of three; checkpoints after 2, 3 (end of epoch) and 4."""
    whole = train(student, tmp_path / "whole", texts, precision=precision)
    monkeypatch.setattr(module, "learning_rate", kill_at(at, learning_rate))
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path / "killed", texts, precision=precision)
    assert train(student, tmp_path / "killed", texts, precision=precision) == whole
    undisturbed, resumed = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "killed"))
    assert resumed == undisturbed


def test_a_training_killed_between_its_best_weights_and_the_checkpoint_ends_the_same(
    student, texts, tmp_path, monkeypatch
):
    whole = train(student, tmp_path / "whole", texts)
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_checkpoint", kill_at(2, module.save_checkpoint))
        with pytest.raises(KeyboardInterrupt):
            train(student, tmp_path / "killed", texts)
    assert (tmp_path / "killed" / "best.safetensors").is_file()
    assert train(student, tmp_path / "killed", texts) == whole
    undisturbed, resumed = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "killed"))
    assert resumed == undisturbed


def test_a_resume_does_not_train_the_steps_before_the_checkpoint_again(student, texts, tmp_path, monkeypatch):
    killing = kill_at(6, learning_rate)
    monkeypatch.setattr(module, "learning_rate", killing)
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path, texts)
    train(student, tmp_path, texts)
    assert killing.calls - 6 == 2  # steps 5 and 6; the checkpoint is of step 4


def test_the_log_has_no_line_twice_after_a_resume(student, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "EVERY", 1)
    monkeypatch.setattr(module, "learning_rate", kill_at(6, learning_rate))
    with pytest.raises(KeyboardInterrupt):
        train(student, tmp_path, texts)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # a line that a kill tore
    train(student, tmp_path, texts)
    lines = read_log(tmp_path)
    assert [(line["step"], line["epoch"]) for line in lines if "loss" in line] == [
        (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1),
    ]  # fmt: skip
    held_out = [line for line in lines if "loss" not in line]
    assert [(line["step"], line["epoch"]) for line in held_out] == [(3, 0), (6, 1)]
    assert set(lines[0]) == {
        "step", "epoch", "loss", "mse", "cosine", "gradient_norm", "lr", "sentences_per_second", "tokens_per_second",
        "memory_mib", "peak_share",
    }  # fmt: skip
    assert set(held_out[0]) == {
        "step", "epoch", "held_out_loss", "held_out_mse", "held_out_cosine", "held_out_cosine_p5",
    }  # fmt: skip


def test_the_log_holds_means_of_the_steps_since_its_last_line(student, texts, tmp_path, monkeypatch):
    for every in (1, 2):
        monkeypatch.setattr(tracking, "EVERY", every)
        train(student, tmp_path / str(every), texts)
    single = [line["loss"] for line in read_log(tmp_path / "1") if "loss" in line]
    pairs = [line["loss"] for line in read_log(tmp_path / "2") if "loss" in line]
    assert pairs == pytest.approx([sum(single[first : first + 2]) / 2 for first in (0, 2, 4)])


# --- sizes --------------------------------------------------------------------------------------


def test_a_batch_larger_than_the_corpus_is_refused_with_both_numbers(student, texts, tmp_path):
    with pytest.raises(TrainingError, match=r"distillation\.batch_size is 97, there are 96 training sentences"):
        train(student, tmp_path, texts, batch_size=97)


def test_a_batch_as_large_as_the_corpus_is_trained_on(student, texts, tmp_path):
    assert train(student, tmp_path, texts, batch_size=96, epochs=1).steps == 1


@pytest.mark.parametrize(
    "override", ["distillation.epochs=0", "distillation.loss.mse=-1", "distillation.learning_rate=0",
                 "distillation.batch_size=0", "distillation.prompts=[]", "distillation.warmup=1.0",
                 "distillation.learning_rate=.nan", "distillation.micro_batch_tokens=0", "distillation.precision=fp8",
                 "distillation.loss.matryoshka=[0]", "distillation.loss.temperature=0",
                 "distillation.target_precision=fp16"],
)  # fmt: skip
def test_a_training_without_sense_is_refused_by_its_key(override):
    with pytest.raises(RecipeError, match=override.partition("=")[0]):
        Recipe.parse(RECIPE.format(teacher="x"), overrides=[override])


# --- what is touched ----------------------------------------------------------------------------


def test_the_pooler_and_further_modules_are_left_alone(student, texts, tmp_path):
    engine = make_engine(student, tmp_path, train=texts[0], settings=section())
    names = set(engine.parameters)
    assert names
    assert not any(name.startswith("pooler.") for name in names)
    frozen = {name for name, value in engine.trainee.named_parameters() if not value.requires_grad}
    assert {name.partition("pooler.")[2] for name in frozen} == {"dense.weight", "dense.bias"}
    train(student, tmp_path, texts, epochs=1)
    assert set(load_file(tmp_path / "best.safetensors")) == names
    assert names == {name for name in load_file(student / "model.safetensors") if not name.startswith("pooler.")}


def test_the_row_of_the_first_special_token_is_trained(student, texts, tmp_path):
    """A wrong pad id freezes `<s>`, which stands in every sentence (docs/pitfalls.md, B3)."""
    train(student, tmp_path, texts, epochs=1)
    before, after = load_file(student / "model.safetensors")[WORDS], load_file(tmp_path / "best.safetensors")[WORDS]
    changed = (before != after).any(dim=1)
    assert changed[0]
    assert changed[2]
    assert not changed[1]  # the pad row


def test_rows_of_pieces_that_never_occur_are_not_decayed(student, texts, tmp_path):
    train(student, tmp_path, texts, epochs=2, weight_decay=5.0)
    before, after = load_file(student / "model.safetensors")[WORDS], load_file(tmp_path / "best.safetensors")[WORDS]
    assert torch.equal(before[3], after[3])  # <unk>


def test_every_step_gets_the_rate_of_its_place(student, texts, tmp_path, monkeypatch):
    used = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a, **k: used.append(self.param_groups[0]["lr"]) or step(self, *a, **k)
    )
    train(student, tmp_path, texts, warmup=0.34, learning_rate=1e-3)
    assert used == pytest.approx([learning_rate(n, total=6, peak=1e-3, warmup=0.34) for n in range(6)])


def test_gradients_are_cut_to_the_norm_that_the_recipe_gives(student, texts, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def looking(self, *arguments, **named):
        every = [value.grad for group in self.param_groups for value in group["params"] if value.grad is not None]
        norms.append(math.sqrt(sum(float(gradient.square().sum()) for gradient in every)))
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", looking)
    monkeypatch.setattr(tracking, "EVERY", 1)
    train(student, tmp_path, texts, clip_norm=0.01, epochs=1)
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)
    assert all(line["gradient_norm"] > 0.02 for line in read_log(tmp_path) if "loss" in line)  # before it was cut

"""What the recipe may ask of a training: other terms, parts of batches, less memory, teachers of other widths."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from babelpress.architectures.encoders import load_encoder
from babelpress.distillation import feed, tracking
from babelpress.distillation import precision as precision_module
from babelpress.distillation import train as module
from babelpress.distillation.batches import BatchPlan
from babelpress.distillation.feed import batches_from
from babelpress.distillation.schedule import learning_rate
from babelpress.distillation.train import held_out_figures, make_engine
from babelpress.errors import TrainingError
from babelpress.student.build import replace_weights
from tests.distillation import kill_at, make_student, make_text, make_texts, read_log, section, train

STEADY = ("step", "epoch", "lr", "loss", "gradient_norm")
PLAIN = {"mse": 0.0, "cosine": 1.0}
# Gradients of the keys' biases are 0 but for rounding, of which Adam makes steps of any direction.
ROUNDING = "attention.self.key.bias"


@pytest.fixture(autouse=True)
def _every_step_is_logged(monkeypatch):
    monkeypatch.setattr(tracking, "EVERY", 1)


def losses_of(folder):
    return [line["loss"] for line in read_log(folder) if "loss" in line]


def means_of(folder, name, *, epochs):
    """Return what a term was, on the average of an epoch's steps."""
    lines = [line for line in read_log(folder) if "loss" in line]
    return [np.mean([line[name] for line in lines if line["epoch"] == epoch]) for epoch in epochs]


def terms_of(folder):
    """Return the names of what the log tells of a step beyond what it always does."""
    line = next(line for line in read_log(folder) if "loss" in line)
    return set(line) - {*STEADY, "sentences_per_second", "tokens_per_second", "peak_share", "memory_mib"}


def assert_close(folders, *, atol):
    """Two trainings ended with the same weights."""
    one, other = (load_file(folder / "best.safetensors") for folder in folders)
    assert set(one) == set(other)
    for name, value in one.items():
        if not name.endswith(ROUNDING):
            torch.testing.assert_close(value, other[name], atol=atol, rtol=0.0, msg=lambda text, name=name: name + text)


# --- terms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ({"similarity": 5.0}, {"cosine", "similarity"}),
        ({"distribution": 0.5}, {"cosine", "distribution"}),
        ({"matryoshka": [8, 16, 4]}, {"cosine", "cosine@8", "cosine@4"}),
        ({"matryoshka": [8], "similarity": 1.0}, {"cosine", "cosine@8", "similarity", "similarity@8"}),
        ({"centre": True}, {"cosine"}),
        ({"mse": 1.0, "mse_reduction": "mean"}, {"cosine", "mse"}),
    ],
)
def test_every_term_is_trained_and_logged_by_its_name(student, texts, tmp_path, weights, names):
    train(student, tmp_path, texts, epochs=4, learning_rate=1e-2, loss={**PLAIN, **weights})
    assert terms_of(tmp_path) == names
    held_out = next(line for line in read_log(tmp_path) if "held_out_loss" in line)
    assert {f"held_out_{name}" for name in names} <= set(held_out)
    for name in ("loss", *names):
        first, last = means_of(tmp_path, name, epochs=(0, 3))
        assert last < first, name


def test_the_loss_is_the_weighted_sum_of_what_is_logged(student, texts, tmp_path):
    train(student, tmp_path, texts, loss={"mse": 2.0, "cosine": 0.5, "similarity": 3.0, "distribution": 0.1})
    for line in read_log(tmp_path):
        if "loss" in line:
            expected = 2 * line["mse"] + 0.5 * line["cosine"] + 3 * line["similarity"] + 0.1 * line["distribution"]
            assert line["loss"] == pytest.approx(expected, rel=1e-5)


def test_hidden_states_are_learned_through_a_projection_that_is_not_kept(student, tmp_path, monkeypatch):
    wide = make_texts(hidden=(1, 24))
    settings = {"epochs": 4, "learning_rate": 1e-2, "loss": {**PLAIN, "hidden": 1.0}}
    whole = train(student, tmp_path / "whole", wide, **settings)
    assert terms_of(tmp_path / "whole") == {"cosine", "hidden"}
    assert whole.history[-1]["hidden"] < whole.history[0]["hidden"]
    assert not any("projection" in name for name in load_file(tmp_path / "whole" / "best.safetensors"))
    assert not (tmp_path / "whole" / "projection.safetensors").exists()
    checkpoint = load_file(next((tmp_path / "whole").glob("checkpoint-*")) / "state.safetensors")
    assert checkpoint["model/hidden_projections.0.weight"].shape == (24, 16)
    assert checkpoint["exp_avg/hidden_projections.0.weight"].abs().sum() > 0
    with monkeypatch.context() as patch:
        patch.setattr(module, "learning_rate", kill_at(8, learning_rate))
        with pytest.raises(KeyboardInterrupt):
            train(student, tmp_path / "killed", wide, **settings)
    assert train(student, tmp_path / "killed", wide, **settings) == whole


def test_matryoshka_beyond_the_dimensions_is_refused_with_both_numbers(student, texts, tmp_path):
    with pytest.raises(TrainingError, match="matryoshka asks for 17 dimensions, the embeddings have 16"):
        train(student, tmp_path, texts, loss={"matryoshka": [8, 17]})


def test_short_embeddings_are_better_when_they_are_trained(student, texts, tmp_path):
    for name, matryoshka in (("plain", []), ("short", [4])):
        train(student, tmp_path / name, texts, epochs=12, learning_rate=2e-2, loss={**PLAIN, "matryoshka": matryoshka})
    cosines = {}
    for name in ("plain", "short"):
        folder = make_student(tmp_path / f"{name}-student")
        replace_weights(student, tmp_path / name / "best.safetensors", folder / "model.safetensors")
        engine = make_engine(folder, tmp_path, train=texts[0], settings=section(loss={**PLAIN, "matryoshka": [4]}))
        cosines[name] = 1 - held_out_figures(engine, texts[1])["cosine@4"]
    assert cosines["short"] > cosines["plain"]


# --- a teacher of another width -----------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [24, 8])
def test_a_student_of_another_width_learns_through_a_projection_that_is_kept(student, tmp_path, dimensions):
    texts = make_texts(dimensions=dimensions)
    train(student, tmp_path, texts, epochs=4, learning_rate=1e-2)
    first, last = means_of(tmp_path, "loss", epochs=(0, 3))
    assert last < first
    projection = load_file(tmp_path / "projection.safetensors")
    assert {name: tuple(value.shape) for name, value in projection.items()} == {
        "projection.weight": (dimensions, 16),
    }
    assert not torch.equal(projection["projection.weight"], torch.eye(dimensions, 16))
    own = load_file(tmp_path / "best.safetensors")
    assert set(own) <= set(load_file(student / "model.safetensors"))


def test_the_kept_projection_belongs_to_the_kept_weights(student, tmp_path, monkeypatch):
    judged = []

    def figures(engine, text):
        judged.append(engine.parameters["projection.weight"].detach().clone())
        return {"loss": [0.5, 0.1, 0.3][len(judged) - 1]}

    monkeypatch.setattr(module, "held_out_figures", figures)
    train(student, tmp_path, make_texts(dimensions=24), epochs=3)
    assert torch.equal(load_file(tmp_path / "projection.safetensors")["projection.weight"], judged[1])


def test_a_student_of_the_teachers_width_has_no_projection(student, texts, tmp_path):
    train(student, tmp_path, texts, epochs=1)
    assert not (tmp_path / "projection.safetensors").exists()


# --- parts, memory, number formats --------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 30, 100])
def test_a_batch_in_parts_gives_the_weights_of_a_whole_one(student, texts, tmp_path, tokens):
    train(student, tmp_path / "whole", texts, micro_batch_tokens=100_000)
    train(student, tmp_path / "parts", texts, micro_batch_tokens=tokens)
    assert losses_of(tmp_path / "parts") == pytest.approx(losses_of(tmp_path / "whole"), rel=1e-5)
    assert_close((tmp_path / "whole", tmp_path / "parts"), atol=1e-5)


def test_checkpointed_gradients_are_the_gradients(student, texts, tmp_path):
    for name, checkpointing in (("kept", False), ("again", True)):
        train(student, tmp_path / name, texts, gradient_checkpointing=checkpointing)
    assert losses_of(tmp_path / "again") == pytest.approx(losses_of(tmp_path / "kept"), rel=1e-6)
    assert_close((tmp_path / "kept", tmp_path / "again"), atol=1e-6)


def test_bf16_products_train_fp32_weights(student, texts, tmp_path):
    for precision in ("fp32", "bf16"):
        train(student, tmp_path / precision, texts, precision=precision)
    exact, rounded = (np.array(losses_of(tmp_path / precision)) for precision in ("fp32", "bf16"))
    assert (exact != rounded).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.02)
    weights = load_file(tmp_path / "bf16" / "best.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert_close((tmp_path / "fp32", tmp_path / "bf16"), atol=0.02)  # six steps of 0.003 at most


@pytest.mark.parametrize(
    ("fast", "narrowest", "expected"), [(True, 16, "bf16"), (True, 17, "fp32"), (False, 16, "fp32")]
)
def test_the_number_format_of_auto_is_what_pays_here(student, texts, tmp_path, monkeypatch, fast, narrowest, expected):
    """The student is 16 wide."""
    monkeypatch.setattr(precision_module, "bf16_is_fast", lambda device: fast)
    monkeypatch.setattr(precision_module, "_CPU_WIDTH", narrowest)
    for precision in ("auto", expected):
        train(student, tmp_path / precision, texts, precision=precision, epochs=1)
    auto, asked_for = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("auto", expected))
    assert auto == asked_for


def test_the_trained_weights_are_the_weights_that_were_judged(student, texts, tmp_path):
    """What lies in best.safetensors gives, through the library's own forward pass, the report's cosine."""
    report = train(student, tmp_path / "run", texts, epochs=3)
    folder = make_student(tmp_path / "trained")
    replace_weights(student, tmp_path / "run" / "best.safetensors", folder / "model.safetensors")
    model = load_encoder(folder)
    cosines = []
    for row in range(24):
        ids = torch.tensor([texts[1].tokens.sentence(row)])
        with torch.inference_mode():
            value = model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"]
        target = texts[1].targets.gather(np.array([row])).float()
        cosines.append(float(torch.nn.functional.cosine_similarity(value, target)))
    assert report.history[report.best_epoch]["cosine"] == pytest.approx(np.mean(cosines), rel=1e-5)


# --- reading ahead ------------------------------------------------------------------------------


def test_the_feed_never_holds_more_than_a_few_batches(monkeypatch):
    text = make_text(rows=400)
    plan = BatchPlan(text.tokens, batch_size=8, seed=20)
    made, held, read = [], [], feed.read_batch

    def reading(*arguments, **named):
        batch = read(*arguments, **named)
        made.append(weakref.ref(batch))
        held.append(sum(each() is not None for each in made))
        return batch

    monkeypatch.setattr(feed, "read_batch", reading)
    taken = []
    for batch in batches_from(text, plan, epoch=0, position=0, tokens=1000):
        taken.append(batch.rows.copy())
        assert len(held) <= len(taken) + feed._AHEAD
        del batch
    assert max(held) <= feed._AHEAD + 3
    assert len(taken) == plan.steps == 50
    assert sorted(np.concatenate(taken).tolist()) == list(range(400))


def test_the_feed_goes_on_at_any_place():
    text = make_text(rows=100)
    plan = BatchPlan(text.tokens, batch_size=8, seed=20)
    whole = [batch.rows.tolist() for batch in batches_from(text, plan, epoch=1, position=0, tokens=20)]
    for position in (1, 5, 12, 13):
        rest = [batch.rows.tolist() for batch in batches_from(text, plan, epoch=1, position=position, tokens=20)]
        assert rest == whole[position:]


def test_the_feed_pairs_every_sentence_with_its_own_target():
    text = make_text(rows=100, hidden=(1, 4))
    plan = BatchPlan(text.tokens, batch_size=16, seed=20)
    for batch in batches_from(text, plan, epoch=0, position=0, tokens=40, hidden=True):
        assert len(batch.rows) == 4 or len(batch.parts) > 1
        assert batch.own_tokens == sum(len(text.tokens.sentence(row)) for row in batch.rows)
        for part in batch.parts:
            assert part.packed.ids.tolist() == [token for row in part.rows for token in text.tokens.sentence(row)]
            assert torch.equal(part.teacher, text.targets.gather(part.rows))
            assert torch.equal(part.hidden, text.targets.gather(part.rows, name="hidden"))


def test_a_text_that_cannot_be_read_is_an_error_of_the_step_not_a_hanging_thread(monkeypatch):
    text = make_text(rows=100)
    plan = BatchPlan(text.tokens, batch_size=8, seed=20)
    monkeypatch.setattr(feed, "read_batch", kill_at(5, feed.read_batch))
    taken = 0
    with pytest.raises(KeyboardInterrupt):
        for _ in batches_from(text, plan, epoch=0, position=0, tokens=1000):
            taken += 1
    assert taken == 4

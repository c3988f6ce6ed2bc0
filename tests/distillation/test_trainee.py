"""The student while it learns: what is trained, what is projected, and what is left alone."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers.models import Dense
from torch.nn.functional import normalize

from babelpress.architectures.encoders import load_encoder
from babelpress.architectures.packed import PackedEncoder, pack
from babelpress.distillation.trainee import PROJECTION, Trainee, is_projection
from tests.distillation import make_student, section

SENTENCES = [[0, 9, 2], [0, 7, 8, 2], [0, 7, 9, 2], [0, 6, 5, 8, 11, 2], [0, 2]]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A student folder of two layers and 16 dimensions."""
    return make_student(tmp_path_factory.mktemp("student") / "s", layers=2)


@pytest.fixture
def model(student):
    """Loaded for each test: `learned` changes what asks for gradients."""
    return load_encoder(student)


@pytest.fixture(scope="module")
def packed():
    return pack(SENTENCES)[0]


def trainee_of(model, *, dimensions=16, hidden_width=0, **changed) -> Trainee:
    settings = section(**{"precision": "fp32", **changed})
    return Trainee(model, settings, dimensions=dimensions, hidden_width=hidden_width)


# --- embeddings ---------------------------------------------------------------------------------


def test_a_student_of_the_teachers_width_is_not_projected(model, packed):
    trainee = trainee_of(model)
    embeddings, hidden = trainee(packed)
    assert torch.equal(embeddings, PackedEncoder(model)(packed))
    assert (trainee.projection, hidden) == (None, None)


@pytest.mark.parametrize("dimensions", [24, 8])
def test_a_student_of_another_width_is_projected_and_starts_as_it_is(model, packed, dimensions):
    """What both sides have is copied, what the student lacks is 0: training starts where the press ended."""
    embeddings, _ = trainee_of(model, dimensions=dimensions)(packed)
    assert embeddings.shape == (len(SENTENCES), dimensions)
    own = PackedEncoder(model)(packed)
    shared = min(16, dimensions)
    torch.testing.assert_close(embeddings[:, :shared], own[:, :shared])
    assert not embeddings[:, shared:].any()


def test_a_projection_is_of_embeddings_of_unit_length(model):
    """A student without Normalize would be projected by its length as well, which is served to nobody."""
    trainee = trainee_of(model, dimensions=24)
    values = torch.randn(3, 16)
    assert torch.allclose(trainee.project(5 * values), trainee.project(values), atol=1e-6)
    assert torch.allclose(trainee.project(values)[:, :16], normalize(values, dim=1))


def test_a_projection_is_as_wide_as_what_the_whole_model_gives(model, packed):
    """The embeddings of a student with a Dense module are not as wide as its hidden states."""
    model.append(Dense(16, 12))
    assert trainee_of(model, dimensions=12).projection is None
    assert trainee_of(model, dimensions=16)(packed)[0].shape == (len(SENTENCES), 16)


# --- hidden states ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [24, 16, 10])
def test_hidden_states_of_every_layer_have_the_teachers_width(model, packed, width):
    embeddings, hidden = trainee_of(model, hidden_width=width)(packed)
    assert embeddings.shape == (len(SENTENCES), 16)
    assert hidden.shape == (len(SENTENCES), 2, width)
    _, own = PackedEncoder(model).forward_layers(packed, layers=range(2))
    shared = min(16, width)
    torch.testing.assert_close(hidden[..., :shared], own.transpose(0, 1)[..., :shared])
    assert not hidden[..., shared:].any()


def test_every_layer_has_a_projection_of_its_own(model, packed):
    """One that is shared, or taken in another order, would compare a layer through another's map."""
    trainee = trainee_of(model, hidden_width=16)
    plain = trainee(packed)[1]
    with torch.no_grad():
        trainee.hidden_projections[1].weight.mul_(3)
    scaled = trainee(packed)[1]
    torch.testing.assert_close(scaled[:, 0], plain[:, 0])
    torch.testing.assert_close(scaled[:, 1], 3 * plain[:, 1])


# --- what is learned ----------------------------------------------------------------------------


def test_the_pooler_and_further_modules_are_left_alone(model, student, packed):
    model.append(Dense(16, 16))
    trainee = trainee_of(model)
    learned = trainee.learned()
    assert set(learned) == {
        name for name in load_file(student / "model.safetensors") if not name.startswith("pooler.")
    }  # fmt: skip
    trainee(packed)[0].sum().backward()
    with_gradients = {name for name, value in model.named_parameters() if value.grad is not None}
    assert len(with_gradients) == len(learned)
    assert not any("pooler" in name or "linear" in name for name in with_gradients)


def test_projections_are_learned_too(model, packed):
    trainee = trainee_of(model, dimensions=24, hidden_width=12)
    learned = trainee.learned()
    names = {PROJECTION, "hidden_projections.0.weight", "hidden_projections.1.weight"}
    assert {name for name in learned if is_projection(name)} == names
    embeddings, hidden = trainee(packed)
    (embeddings.square().sum() + hidden.square().sum()).backward()
    assert all(learned[name].grad.abs().sum() > 0 for name in names)


def test_what_is_learned_is_the_model_itself_not_a_copy(model, packed):
    learned = trainee_of(model).learned()
    before = PackedEncoder(model)(packed)
    with torch.no_grad():
        learned["embeddings.word_embeddings.weight"].mul_(-1)
    assert not torch.allclose(PackedEncoder(model)(packed), before, atol=1e-2)


def test_only_projections_are_no_part_of_the_students_folder(student):
    assert is_projection(PROJECTION)
    assert is_projection("hidden_projections.3.weight")
    assert not any(is_projection(name) for name in load_file(student / "model.safetensors"))


# --- settings -----------------------------------------------------------------------------------


def test_bf16_gives_fp32_to_the_loss(model, packed):
    exact, rounded = (
        trainee_of(model, dimensions=24, hidden_width=12, precision=precision)(packed) for precision in ("fp32", "bf16")
    )
    for own, expected in zip(rounded, exact, strict=True):
        assert own.dtype is torch.float32
        assert not torch.equal(own, expected)
        torch.testing.assert_close(own, expected, atol=0.1, rtol=0.05)


def test_checkpointing_is_passed_on(model, packed, monkeypatch):
    calls = []
    gelu = torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda *a, **k: calls.append(1) or gelu(*a, **k))
    for on, times in ((False, 2), (True, 4)):
        calls.clear()
        trainee_of(model, gradient_checkpointing=on)(packed)[0].sum().backward()
        assert len(calls) == times

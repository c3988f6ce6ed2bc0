"""Every family that is registered: read, counted, pressed, run, trained, and loaded by the real libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel

from babelpress.architectures import FAMILIES, family_of, find_family
from babelpress.architectures.encoders import load_encoder
from babelpress.architectures.packed import PackedEncoder, pack, parts_of
from babelpress.architectures.padded import PaddedEncoder, open_encoder
from babelpress.distillation.schedule import make_optimizer
from babelpress.distillation.trainee import Trainee
from babelpress.errors import TeacherError
from babelpress.evaluation.model_folders import model_facts
from babelpress.exports.graph import trace_graph
from babelpress.exports.runtime import graph_encoder
from babelpress.student.sizing import estimate_size
from babelpress.teacher import read_teacher
from tests.architectures import CONFIGS, family_teacher
from tests.distillation import section
from tests.student import TEXTS, covered_texts, load, press

KINDS = sorted(CONFIGS)
IDS = [[0, *range(10, 10 + length), 2] for length in (3, 9, 1, 30)]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Folders of teachers by family."""
    root = tmp_path_factory.mktemp("families")
    return {kind: family_teacher(root / kind, kind) for kind in KINDS}


def test_every_registered_family_is_tested_here():
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_with_all_layers_embeds_kept_text_as_its_teacher(teachers, tmp_path, kind):
    plan = press(teachers[kind], tmp_path / "student", layers=(0, 1, 2, 3), size=2500)
    texts = covered_texts(teachers[kind], plan)
    assert len(texts) > 100
    difference = load(tmp_path / "student").encode(texts) - load(teachers[kind]).encode(texts)
    assert np.abs(difference).max() <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_with_fewer_layers_is_complete_for_transformers_and_has_the_counted_size(teachers, tmp_path, kind):
    press(teachers[kind], tmp_path / "student", layers=(0, 3), size=2000)
    _, loaded = AutoModel.from_pretrained(tmp_path / "student", output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    counted = estimate_size(read_teacher(str(teachers[kind])), layers=2, rows=2000, pooler=True)
    facts = model_facts(tmp_path / "student")
    assert (facts["layers"], facts["vocab_size"], facts["parameters"]) == (2, 2000, counted.parameters)
    assert facts["parameters_without_pooler"] == counted.parameters_without_pooler


@pytest.mark.parametrize("kind", KINDS)
def test_kept_layers_are_the_teachers_in_their_order(teachers, tmp_path, kind):
    from safetensors.numpy import load_file

    press(teachers[kind], tmp_path / "student", layers=(1, 3), size=2000)
    family = FAMILIES[kind]
    before, after = (load_file(folder / "model.safetensors") for folder in (teachers[kind], tmp_path / "student"))
    kept = [name for name in after if family.layer_of(name)]
    assert len(kept) >= 2 * 10
    for name in kept:
        number, rest = family.layer_of(name)
        assert np.array_equal(after[name], before[family.in_layer((1, 3)[number], rest)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_of_training_gives_what_sentence_transformers_gives(teachers, kind):
    model = load_encoder(teachers[kind])
    texts = [text for text in TEXTS if len(text) < 60][:20]
    packed, order = pack(model.tokenizer(texts)["input_ids"])
    with torch.inference_mode():
        embeddings = open_encoder(model)(packed)
    assert np.abs(embeddings.numpy() - model.encode(texts)[order]).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_of_training_changes_embeddings_and_leaves_the_pooler_alone(teachers, kind):
    model = load_encoder(teachers[kind])
    trainee = Trainee(model, section(), dimensions=16)
    parameters = trainee.learned()
    assert not any(FAMILIES[kind].is_optional(name) for name in parameters)
    optimizer = make_optimizer(parameters, section(learning_rate=0.01), embeddings=FAMILIES[kind].outside)
    packed, _ = pack(IDS)
    before, _ = trainee(packed)
    (before - torch.randn(before.shape, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(value.grad is not None for value in parameters.values())
    optimizer.step()
    after, _ = trainee(packed)
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_of_every_family_gives_the_students_vectors(teachers, tmp_path, kind):
    pytest.importorskip("onnxruntime")
    model = load_encoder(teachers[kind])
    file = tmp_path / "model.onnx"
    file.write_bytes(trace_graph(model))
    assert np.abs(graph_encoder(model, file).encode(TEXTS[:8]) - model.encode(TEXTS[:8])).max() < 1e-5


# --- padded instead of packed -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mpnet"])
def test_the_padded_pass_gives_the_packed_ones_numbers_and_gradients(teachers, kind):
    packed, _ = pack(IDS)
    given = []
    for encoder_class in (PackedEncoder, PaddedEncoder):
        model = load_encoder(teachers[kind])
        encoder = encoder_class(model)
        embeddings, states = encoder.forward_layers(packed, layers=[0, 2])
        (embeddings.sum() + states.sum()).backward()
        words = dict(model[0].auto_model.named_parameters())[FAMILIES[kind].embeddings]
        given.append((embeddings.detach(), states.detach(), words.grad, encoder(packed).detach()))
        assert (encoder.layers, encoder.hidden, encoder.feed_forward) == (4, 16, 32)
    for ours, theirs in zip(*given, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_layers_computed_again_in_the_backward_pass_give_the_same_gradients(teachers):
    packed, _ = pack(IDS)
    gradients = []
    for checkpointing in (False, True):
        model = load_encoder(teachers["mpnet"])
        PaddedEncoder(model, checkpointing=checkpointing)(packed).sum().backward()
        gradients.append(model[0].auto_model.embeddings.word_embeddings.weight.grad)
    assert torch.allclose(*gradients, atol=1e-6)


def test_mpnet_has_no_packed_pass_and_runs_padded(teachers):
    model = load_encoder(teachers["mpnet"])
    assert parts_of(model) is None
    assert isinstance(open_encoder(model), PaddedEncoder)
    assert isinstance(open_encoder(load_encoder(teachers["bert"])), PackedEncoder)


# --- families that are not there ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["t5", "", None, 3, ["bert"]])
def test_an_unknown_family_is_refused_with_those_that_are_known(kind):
    assert find_family(kind) is None
    with pytest.raises(TeacherError, match="cannot prune; supported: bert, distilbert, mpnet, roberta, xlm-roberta"):
        family_of(kind, model="a model")

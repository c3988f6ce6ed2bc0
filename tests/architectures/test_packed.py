"""Sentences laid end to end give what padded ones give: numbers, gradients and all."""

from __future__ import annotations

import json
import shutil
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense
from torch.nn.functional import cosine_similarity

from babelpress.architectures import packed as module
from babelpress.architectures.encoders import embed, load_encoder, pad_batch, width_of
from babelpress.architectures.packed import Group, Packed, PackedEncoder, pack, parts_of
from babelpress.errors import TeacherError
from tests.tiny import make_teacher, words

PAD = 1  # the tokenizer's; press writes it into the config as well
PIECES = 64
LONGEST = 22
KINDS = ("bert", "xlm-roberta", "roberta")
EACH_WAY = pytest.mark.parametrize("padded", [False, True])  # how attention and pooling see sentences
LENGTHS = (1, LONGEST, 5, 5, 7, 2, 1, LONGEST - 1, 5, 13)


class Shape(NamedTuple):
    """What a teacher is: its type, its pooling, and whether it normalises."""

    kind: str
    pooling: str = "mean"
    normalised: bool = True


def make_model(folder, shape, **changed) -> SentenceTransformer:
    """Load a random teacher of two layers that reads LONGEST tokens; `changed` goes into its config."""
    # RoBERTa counts positions from behind the pad id
    positions = LONGEST if shape.kind == "bert" else LONGEST + PAD + 1
    make_teacher(
        folder, layers=2, positions=positions, pieces=list(words(PIECES - 5)), spare_rows=0, pad_in_config=PAD,
        model_type=shape.kind, seed=3,
    )  # fmt: skip

    def rewrite(name, change):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    rewrite("config.json", lambda config: config | changed)
    modes = {f"pooling_mode_{mode}": mode.startswith(shape.pooling) for mode in ("cls_token", "mean_tokens")}
    rewrite("1_Pooling/config.json", lambda config: config | modes)
    if not shape.normalised:
        rewrite("modules.json", lambda modules: modules[:2])
    model = load_encoder(folder)
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "LayerNorm" in name:  # untrained ones would hide that one is left out
                value.add_(0.2 * torch.randn(value.shape, generator=draw))
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Every model of a test is loaded once; tests that change one make their own."""
    made: dict[Shape, SentenceTransformer] = {}

    def get(kind, *rest) -> SentenceTransformer:
        shape = Shape(kind, *rest)
        if shape not in made:
            made[shape] = make_model(tmp_path_factory.mktemp("model"), shape)
        return made[shape]

    return get


def sentences_of(lengths, *, seed=0) -> list[list[int]]:
    """Make sentences of random ids, none of which is the pad's."""
    draw = np.random.default_rng(seed)
    return [draw.integers(PAD + 1, PIECES, length).tolist() for length in lengths]


def reference(model, sentences, order) -> torch.Tensor:
    """Embed as sentence-transformers does, in the order of the packed ones."""
    return embed(model, pad_batch([sentences[row] for row in order], pad=PAD))


def assert_same(model, sentences, padded):
    packed, order = pack(sentences)
    with torch.inference_mode():
        found, expected = PackedEncoder(model, padded=padded)(packed), reference(model, sentences, order)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def gradients(model, embed_all) -> dict[str, torch.Tensor]:
    """Return the gradients of the encoder's parameters of a loss in which every number of every embedding counts."""
    model.zero_grad()
    found = embed_all()
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (found * weights).sum().backward()
    every = model[0].auto_model.named_parameters()
    return {name: value.grad.clone() for name, value in every if not name.startswith("pooler.")}


# --- embeddings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", KINDS)
@EACH_WAY
def test_packed_embeddings_are_those_of_the_padded_pass(models, kind, pooling, normalised, padded):
    """From one token to the last position, several sentences of some lengths."""
    assert_same(models(kind, pooling, normalised), sentences_of(LENGTHS), padded)


@pytest.mark.parametrize("kind", KINDS)
@EACH_WAY
@given(st.lists(st.integers(1, LONGEST), min_size=1, max_size=12), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_no_mixture_of_lengths_is_packed_into_something_else(models, kind, padded, lengths, seed):
    assert_same(models(kind), sentences_of(lengths, seed=seed), padded)


@pytest.mark.parametrize("lengths", [[1], [LONGEST], [4] * 7, range(1, LONGEST + 1)])
@EACH_WAY
def test_one_group_and_a_group_for_every_sentence_are_the_same_to_the_model(models, lengths, padded):
    assert_same(models("bert"), sentences_of(lengths), padded)


@pytest.mark.parametrize("kind", KINDS)
@EACH_WAY
def test_a_literal_pad_token_does_not_shift_the_positions_behind_it(models, kind, padded):
    """RoBERTa gives pads no position of their own, wherever they stand; BERT counts them like any other."""
    model = models(kind)
    assert_same(model, [[0, 9, PAD, 7, 8, 2], [PAD, 5, 6], [0, PAD, PAD, 2], [PAD], [0, 7, 2]], padded)
    with torch.inference_mode():
        pads, others = (PackedEncoder(model)(pack([[0, 9, number, 7, 2]])[0]) for number in (PAD, 11))
    assert not torch.allclose(pads, others, atol=1e-2)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@EACH_WAY
def test_a_sentence_does_not_see_its_neighbours(models, kind, padded):
    encoder = PackedEncoder(models(kind), padded=padded)
    sentences = sentences_of([5, 5, 5, 9, 9, 2])
    packed, order = pack(sentences)
    with torch.inference_mode():
        together = encoder(packed)
        for place, row in enumerate(order):
            torch.testing.assert_close(together[place], encoder(pack([sentences[row]])[0])[0], atol=1e-6, rtol=0)


def test_cls_pooling_is_not_taken_for_mean_pooling(models):
    packed, _ = pack(sentences_of([6, 9]))
    with torch.inference_mode():
        first, mean = (PackedEncoder(models("bert", pooling, False)) for pooling in ("cls", "mean"))
        states = first.hidden_states(packed)
        torch.testing.assert_close(first(packed), states[[0, 6]])
        torch.testing.assert_close(mean(packed), torch.stack([states[:6].mean(0), states[6:].mean(0)]))


@EACH_WAY
def test_further_modules_of_the_model_are_applied(tmp_path, padded):
    model = make_model(tmp_path, Shape("bert"))
    model.append(Dense(16, 6))
    sentences = sentences_of(LENGTHS)
    assert_same(model, sentences, padded)
    assert PackedEncoder(model)(pack(sentences)[0]).shape == (len(LENGTHS), 6)


def test_on_a_cpu_nothing_is_spent_on_padding(models, monkeypatch):
    def pad(*_):
        raise AssertionError("padded")

    monkeypatch.setattr(module, "pad_packed", pad)
    packed, _ = pack(sentences_of(LENGTHS))
    assert PackedEncoder(models("bert"))(packed).shape == (len(LENGTHS), 16)
    with pytest.raises(AssertionError, match="padded"):
        PackedEncoder(models("bert"), padded=True)(packed)


def test_there_is_no_dropout_in_training_mode(tmp_path):
    model = make_model(tmp_path, Shape("bert"), hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    packed, _ = pack(sentences_of(LENGTHS))
    encoder = PackedEncoder(model)
    quiet = encoder(packed)
    encoder.train()
    assert torch.equal(encoder(packed), quiet)


# --- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", KINDS)
@EACH_WAY
def test_every_parameter_gets_the_gradient_of_the_padded_pass(models, kind, pooling, padded):
    model = models(kind, pooling)
    sentences = sentences_of(LENGTHS)
    packed, order = pack(sentences)
    expected = gradients(model, lambda: reference(model, sentences, order))
    found = gradients(model, lambda: PackedEncoder(model, padded=padded)(packed))
    assert len(found) == 5 + 2 * 16
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5, msg=lambda text, at=name: f"{at}{text}")


def test_a_wrong_pad_id_in_the_config_freezes_no_row(tmp_path):
    """BERT takes the gradient from the row of the config's pad id, which is `<s>` in some teachers (FIELD_NOTES B3)."""
    model = make_model(tmp_path, Shape("bert"), pad_token_id=0)
    packed, _ = pack([[0, 9, 2], [0, 7, 8, 2]])
    rows = gradients(model, lambda: PackedEncoder(model)(packed))["embeddings.word_embeddings.weight"]
    assert rows.abs().sum(1).nonzero().flatten().tolist() == [0, 2, 7, 8, 9]


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@EACH_WAY
def test_checkpointing_changes_no_gradient(models, kind, padded):
    model = models(kind)
    packed, _ = pack(sentences_of(LENGTHS))
    plain = gradients(model, lambda: PackedEncoder(model, padded=padded)(packed))
    checkpointed = gradients(model, lambda: PackedEncoder(model, padded=padded, checkpointing=True)(packed))
    for name, value in checkpointed.items():
        torch.testing.assert_close(value, plain[name], atol=1e-6, rtol=1e-6)


def test_checkpointing_computes_layers_again_only_where_there_is_a_backward_pass(models, monkeypatch):
    calls = []
    gelu = torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda *a, **k: calls.append(1) or gelu(*a, **k))
    model = models("bert")
    packed, _ = pack(sentences_of(LENGTHS))
    with torch.no_grad():
        PackedEncoder(model, checkpointing=True)(packed)
    assert len(calls) == 2
    gradients(model, lambda: PackedEncoder(model, checkpointing=True)(packed))
    assert len(calls) == 2 + 4


# --- bf16 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@EACH_WAY
def test_bf16_stays_near_fp32(models, kind, trained, padded):
    """With gradients, attention goes another way in bf16."""
    model = models(kind)
    packed, _ = pack(sentences_of(LENGTHS))
    with torch.set_grad_enabled(trained):
        exact = PackedEncoder(model, padded=padded)(packed)
        rounded = PackedEncoder(model, padded=padded, dtype=torch.bfloat16)(packed)
    assert (rounded.dtype, rounded.requires_grad) == (torch.float32, trained)
    assert 0.999 < cosine_similarity(exact, rounded).min() < 1.0 - 1e-6


def test_bf16_leaves_weights_and_gradients_in_fp32(models):
    model = models("bert")
    packed, _ = pack(sentences_of(LENGTHS))
    exact = gradients(model, lambda: PackedEncoder(model)(packed))
    rounded = gradients(model, lambda: PackedEncoder(model, dtype=torch.bfloat16)(packed))
    assert {value.dtype for value in [*model.parameters(), *rounded.values()]} == {torch.float32}
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.intermediate.dense.weight"):
        assert cosine_similarity(exact[name].flatten(), rounded[name].flatten(), dim=0) > 0.99


# --- hidden states ------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [(0, 1), (1,), (1, 0)])
@EACH_WAY
def test_mean_hidden_states_are_those_of_the_layers_that_were_asked_for(models, layers, padded):
    model = models("xlm-roberta")
    sentences = sentences_of(LENGTHS)
    packed, order = pack(sentences)
    encoder = PackedEncoder(model, padded=padded)
    with torch.inference_mode():
        embeddings, means = encoder.forward_layers(packed, layers=layers)
        assert means.shape == (len(layers), len(LENGTHS), 16)
        assert torch.equal(embeddings, encoder(packed))
        for place, row in enumerate(order):
            ids = torch.tensor([sentences[row]])
            every = model[0].auto_model(ids, torch.ones_like(ids), output_hidden_states=True).hidden_states
            expected = torch.stack([every[layer + 1][0].mean(0) for layer in layers])
            torch.testing.assert_close(means[:, place], expected, atol=1e-5, rtol=0)


def test_the_facts_of_the_model_are_its_own(models):
    encoder = PackedEncoder(models("bert"))
    assert (encoder.layers, encoder.hidden, encoder.feed_forward) == (2, 16, 32)
    assert width_of(models("bert")) == 16


# --- packing ------------------------------------------------------------------------------------


def test_packing_sorts_by_length_and_says_where_each_sentence_went():
    packed, order = pack([[7, 8, 9], [5], [3, 4], [6]])
    assert packed.ids.tolist() == [5, 6, 3, 4, 7, 8, 9]
    assert packed.ids.dtype is torch.int64
    assert packed.groups == (Group(2, 1), Group(1, 2), Group(1, 3))
    assert order.tolist() == [1, 3, 2, 0]
    assert (packed.sentences, packed.longest) == (4, 3)


def test_every_token_knows_its_sentence_and_its_place_in_it():
    packed, _ = pack([[5], [6], [3, 4], [7, 8, 9]])
    assert packed.owners.tolist() == [0, 1, 2, 2, 3, 3, 3]
    assert packed.positions.tolist() == [0, 0, 0, 1, 0, 1, 2]
    # of four sentences padded to three tokens each
    assert packed.places.tolist() == [0, 3, 6, 7, 9, 10, 11]


def test_sentences_of_one_length_keep_their_order():
    sentences = [[number] * (1 + number % 2) for number in range(2000)]
    assert pack(sentences)[1].tolist() == [*range(0, 2000, 2), *range(1, 2000, 2)]


@pytest.mark.parametrize("lengths", [[2, 1], [1, 2, 1], [3, 3, 2], [1, 2, 2, 1]])
def test_lengths_out_of_order_are_refused_not_mixed_up(lengths):
    with pytest.raises(ValueError, match="packed sentences stand in order of their length"):
        Packed.of(np.zeros(sum(lengths), np.uint16), lengths)


def test_ids_of_two_bytes_keep_their_value():
    assert Packed.of(np.array([65_535, 40_000], np.uint16), [2]).ids.tolist() == [65_535, 40_000]


# --- models that are not known ------------------------------------------------------------------


def test_a_model_of_another_activation_is_refused_in_one_line(tmp_path):
    model = make_model(tmp_path, Shape("bert"), hidden_act="relu")
    with pytest.raises(
        TeacherError, match="this model has no packed pass; encoders with absolute positions, gelu"
    ) as caught:
        PackedEncoder(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("model_type", "electra"), ("hidden_act", "gelu_new"), ("is_decoder", True),
     ("position_embedding_type", "relative_key")],
)  # fmt: skip
def test_a_model_that_would_be_run_wrongly_is_told_from_one_that_is_known(models, monkeypatch, key, value):
    model = models("bert")
    assert parts_of(model)
    monkeypatch.setattr(model[0].auto_model.config, key, value, raising=False)
    assert parts_of(model) is None


@pytest.mark.full
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_layers_give_the_same_numbers_and_gradients(tmp_path):
    model = make_model(tmp_path / "teacher", Shape("bert"))
    found = []
    for compiled in (False, True):
        model.zero_grad()
        encoder = PackedEncoder(model, compiled=compiled)
        for lengths in ((3, 5, 5), (2, 9, 9, 20)):  # other shapes, the same code
            packed, _ = pack([[0, *range(5, 3 + length), 2] for length in lengths])
            embeddings = encoder(packed)
            embeddings.square()[:, 0].sum().backward()
        weight = model[0].auto_model.encoder.layer[0].output.dense.weight
        found.append((embeddings.detach(), weight.grad.clone()))
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain, atol=1e-5, rtol=1e-4)

"""Targets: the teacher's embeddings in the corpus's order, of exactly the text that the student sees."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from babelpress.corpus.sentence import Split
from babelpress.distillation import targets as module
from babelpress.distillation.targets import check_length, compute_targets, open_targets, token_batches
from babelpress.distillation.texts import Cut, TextRules
from babelpress.errors import TrainingError
from babelpress.recipe import TargetPrecision
from babelpress.teacher import read_teacher
from tests.distillation import write_corpus
from tests.distillation.examples import (
    EVERY,
    HELD_OUT,
    LONG,
    TEXTS,
    alone,
    compute,
    contents,
    spec_of,
    states_alone,
)  # fmt: skip
from tests.tiny import make_teacher


@pytest.fixture
def fast_bf16(monkeypatch):
    monkeypatch.setattr(module, "bf16_is_fast", lambda device: True)


@pytest.mark.usefixtures("small_shards")
def test_every_row_is_the_target_of_its_own_sentence(teacher, corpus, tmp_path):
    """Batches go by length, shards by row: neither may move a target to another sentence."""
    found = compute(spec_of(teacher, corpus), tmp_path)
    assert (found.rows, found.dimensions, found.hidden_width, len(found.shards)) == (10, 16, 0, 3)
    expected = np.stack([alone(teacher, text) for text in TEXTS])
    np.testing.assert_allclose(found.gather(EVERY), expected, atol=2e-3)
    held_out = open_targets(spec_of(teacher, corpus), tmp_path, Split.VALIDATION)
    np.testing.assert_allclose(
        held_out.gather(np.arange(2)), np.stack([alone(teacher, text) for text in HELD_OUT]), atol=2e-3
    )


@pytest.mark.usefixtures("small_shards")
def test_rows_are_gathered_in_the_order_that_is_asked_for(teacher, corpus, tmp_path):
    found = compute(spec_of(teacher, corpus), tmp_path)
    whole = found.gather(EVERY)
    wanted = np.array([9, 0, 5, 5, 3])
    np.testing.assert_array_equal(found.gather(wanted), whole[wanted])


def test_targets_are_unit_vectors_in_half_precision(teacher, corpus, tmp_path):
    found = compute(spec_of(teacher, corpus), tmp_path)
    stored = load_file(tmp_path / "train-00000.safetensors")
    assert set(stored) == {"embeddings", "ends"}
    assert (stored["embeddings"].dtype, stored["embeddings"].shape) == (np.float16, (10, 16))
    np.testing.assert_allclose(np.linalg.norm(stored["embeddings"].astype(np.float64), axis=1), 1.0, atol=2e-3)
    np.testing.assert_array_equal(found.gather(EVERY), stored["embeddings"])
    np.testing.assert_array_equal(found.sample(), stored["embeddings"])


def test_targets_do_not_depend_on_how_many_tokens_are_encoded_at_a_time(teacher, corpus, tmp_path, monkeypatch):
    found = []
    for tokens in (1, 20, 10_000):
        monkeypatch.setattr(module, "_CPU_TOKENS", tokens)
        found.append(compute(spec_of(teacher, corpus), tmp_path / str(tokens)).gather(EVERY))
    np.testing.assert_allclose(found[0], found[2], atol=1e-3)
    np.testing.assert_allclose(found[1], found[2], atol=1e-3)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nobody says here what is mapped")
def test_targets_are_memory_mapped_not_read(teacher, corpus, tmp_path):
    found = compute(spec_of(teacher, corpus), tmp_path)
    assert found.rows
    assert str(tmp_path / "train-00000.safetensors") in Path("/proc/self/maps").read_text()


@pytest.mark.usefixtures("small_shards")
def test_prompts_take_turns_also_across_shards(teacher, corpus, tmp_path):
    prompts = ("", "query: ", "passage: ")
    found = compute(spec_of(teacher, corpus, prompts=prompts), tmp_path).gather(EVERY)
    expected = np.stack([alone(teacher, prompts[row % 3] + text) for row, text in enumerate(TEXTS)])
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.usefixtures("small_shards")
def test_hidden_states_of_the_wanted_layers_are_kept_as_well(teacher, corpus, tmp_path):
    found = compute(spec_of(teacher, corpus, layers=(0, 2)), tmp_path)
    assert found.hidden_width == 16
    hidden = found.gather(EVERY, name="hidden")
    assert hidden.shape == (10, 2, 16)
    expected = np.stack([[states_alone(teacher, text)[layer + 1] for layer in (0, 2)] for text in TEXTS])
    np.testing.assert_allclose(hidden, expected, atol=4e-3)
    plain = compute(spec_of(teacher, corpus), tmp_path / "plain")
    np.testing.assert_allclose(found.gather(EVERY), plain.gather(EVERY), atol=1e-3)


# --- number formats -----------------------------------------------------------------------------


def assert_fp32(teacher, corpus, folder):
    spec = spec_of(teacher, corpus, precision=TargetPrecision.AUTO)
    auto = open_targets(spec, folder / "auto", Split.TRAIN).gather(EVERY)
    assert torch.equal(auto, compute(spec_of(teacher, corpus), folder / "fp32").gather(EVERY))


def test_without_fast_bf16_nothing_but_fp32_is_tried(teacher, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "bf16_is_fast", lambda device: False)
    told = compute_targets(spec_of(teacher, corpus, precision=TargetPrecision.AUTO), tmp_path / "auto")
    assert told == {"precision": "fp32"}
    assert_fp32(teacher, corpus, tmp_path)


@pytest.mark.usefixtures("fast_bf16")
def test_fast_and_faithful_bf16_is_taken(teacher, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FAITHFUL", 0.99)
    told = compute_targets(spec_of(teacher, corpus, precision=TargetPrecision.AUTO), tmp_path / "auto")
    assert told["precision"] == "bf16"
    assert 0.99 < float(told["fidelity"]) < 1.0
    spec = spec_of(teacher, corpus, precision=TargetPrecision.AUTO)
    auto = open_targets(spec, tmp_path / "auto", Split.TRAIN).gather(EVERY)
    exact = compute(spec_of(teacher, corpus), tmp_path / "fp32").gather(EVERY)
    assert (auto != exact).any()
    np.testing.assert_allclose(auto, exact, atol=0.05)


@pytest.mark.usefixtures("fast_bf16")
def test_bf16_that_is_not_faithful_enough_gives_way_to_fp32(teacher, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FAITHFUL", 1.1)
    told = compute_targets(spec_of(teacher, corpus, precision=TargetPrecision.AUTO), tmp_path / "auto")
    assert told["precision"] == "fp32"
    assert float(told["fidelity"]) < 1.0
    assert_fp32(teacher, corpus, tmp_path)


def test_bf16_that_the_recipe_asks_for_is_taken_with_a_warning(teacher, corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "FAITHFUL", 1.1)
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        told = compute_targets(spec_of(teacher, corpus, precision=TargetPrecision.BF16), tmp_path)
    assert told["precision"] == "bf16"
    assert f"bf16 targets have a cosine of {float(told['fidelity']):.5f} to fp32 ones" in caplog.text


# --- what cannot be learned from ----------------------------------------------------------------


def test_a_teacher_that_gives_nan_is_a_clear_error_with_a_text(tmp_path, corpus):
    folder = make_teacher(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    spec = spec_of(read_teacher(str(folder)), corpus)
    with pytest.raises(TrainingError, match=r"the teacher gives NaN or infinity for a batch with 'a'"):
        compute(spec, tmp_path / "targets")
    assert contents(tmp_path / "targets") == {}


def test_a_length_beyond_the_teachers_is_refused_with_both_numbers(teacher):
    check_length(teacher, TextRules(max_length=128))
    with pytest.raises(TrainingError, match=r"distillation\.max_length is 129, but .* takes 128 tokens at most"):
        check_length(teacher, TextRules(max_length=129))
    with pytest.raises(TrainingError, match=r"distillation\.long_length is 300, but .* takes 128 tokens at most"):
        check_length(teacher, TextRules(max_length=64, long_length=300, long_share=0.1))


def test_a_length_beyond_the_teachers_is_refused_before_any_work(teacher, corpus, tmp_path):
    with pytest.raises(TrainingError, match="max_length is 129"):
        compute(spec_of(teacher, corpus, max_length=129), tmp_path / "targets")
    assert not (tmp_path / "targets").exists()


@pytest.mark.usefixtures("fast_bf16")
@pytest.mark.parametrize("there", ["train", "validation"])
def test_a_corpus_without_one_of_the_splits_is_an_error_that_says_which(teacher, tmp_path, there):
    spec = spec_of(teacher, write_corpus(tmp_path / "corpus", **{there: HELD_OUT}), precision=TargetPrecision.AUTO)
    absent = Split.VALIDATION if there == "train" else Split.TRAIN
    with pytest.raises(TrainingError, match=f"the corpus has no {absent.value} sentences to learn from"):
        compute(spec, tmp_path / "targets", split=absent)


# --- batches of tokens --------------------------------------------------------------------------


@given(st.lists(st.integers(2, 40), min_size=1, max_size=60), st.integers(1, 64))
def test_batches_of_tokens_hold_every_row_once_in_order_and_not_too_many(lengths, tokens):
    cuts = [Cut([0] * length, 0) for length in lengths]
    order = np.argsort(lengths, kind="stable")
    batches = token_batches(order, cuts, tokens=tokens)
    assert np.concatenate(batches).tolist() == order.tolist()
    held = [sum(lengths[row] for row in batch) for batch in batches]
    assert all(0 < total < tokens + max(lengths) for total in held)
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) <= tokens
    assert len(batches) <= min(len(lengths), 1 + sum(lengths) // tokens)


def test_a_text_that_is_cut_is_the_target_of_its_first_tokens(teacher, corpus, tmp_path):
    found = compute(spec_of(teacher, corpus, max_length=10), tmp_path)
    np.testing.assert_allclose(found.gather(np.array([2]))[0], alone(teacher, LONG, max_length=10), atol=2e-3)
    assert 0 < found.ends(0)[2] < len(LONG)
    assert found.ends(0)[1] == len("Hello.")

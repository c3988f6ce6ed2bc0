"""Encoders on token ids: padding must not be seen, layers must be those of the model."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from babelpress.architectures.encoders import embed, embed_by_layer, load_encoder, pad_batch
from babelpress.errors import TeacherError
from tests.tiny import make_teacher


@pytest.fixture(scope="module")
def model(tiny_teacher):
    return load_encoder(tiny_teacher)


def test_a_batch_is_padded_with_the_given_id_to_its_longest():
    batch = pad_batch([[5, 6, 7], [8]], pad=1)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].dtype == torch.int64


def test_a_text_that_holds_the_pad_id_is_attended_to():
    assert pad_batch([[5, 1, 7]], pad=1)["attention_mask"].tolist() == [[1, 1, 1]]


def test_an_embedding_is_the_same_alone_and_beside_a_longer_text(model):
    with torch.inference_mode():
        alone = embed(model, pad_batch([[0, 10, 11, 2]], pad=1))
        beside = embed(model, pad_batch([[0, 10, 11, 2], [0, *range(20, 60), 2]], pad=1))
    assert torch.allclose(alone[0], beside[0], atol=1e-6)


def test_embedding_ids_is_encoding_their_text(model):
    text = "Hello, how are you?"
    ids = model.tokenizer(text)["input_ids"]
    with torch.inference_mode():
        found = embed(model, pad_batch([ids], pad=1))
    assert torch.allclose(found[0], torch.tensor(model.encode(text)), atol=1e-6)


def test_the_last_layers_embedding_is_the_models_own(model):
    batch = pad_batch([[0, 10, 11, 2], [0, 12, 2]], pad=1)
    with torch.inference_mode():
        layers, own = embed_by_layer(model, batch), embed(model, batch)
    assert layers.shape == (3 + 1, 2, 16)
    assert torch.allclose(layers[-1], own, atol=1e-6)
    assert not torch.allclose(layers[0], layers[1], atol=1e-3)


def test_an_encoder_is_loaded_in_fp32_and_without_dropout(model):
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert not any(module.training for module in model.modules())


def test_loading_says_nothing_of_a_missing_pooler(tmp_path, caplog, capfd):
    folder = make_teacher(tmp_path / "bare", layers=1, pooler=False)
    with caplog.at_level(logging.WARNING):
        load_encoder(folder)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_no_encoder_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeacherError, match="cannot be loaded as a SentenceTransformer") as caught:
        load_encoder(tmp_path / "empty")
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off_are_refused_in_one_line(tmp_path):
    folder = make_teacher(tmp_path / "cut", layers=1)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TeacherError, match="cut cannot be loaded as a SentenceTransformer") as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_loaded(tmp_path):
    folder = make_teacher(tmp_path / "pickled", layers=1)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(TeacherError):
        load_encoder(folder)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path):
    folder = make_teacher(tmp_path / "wrong", layers=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 7}))
    with pytest.raises(TeacherError):
        load_encoder(Path(folder))

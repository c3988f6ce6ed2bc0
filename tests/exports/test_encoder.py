"""OnnxEncoder gives the vectors that sentence-transformers gives, in the order of the texts, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from babelpress import OnnxEncoder, api
from babelpress.architectures.encoders import load_encoder
from babelpress.errors import BabelpressError, ExportError
from tests.tiny import make_teacher

PROMPTS = {"query": "query: ", "passage": "passage: "}
TEXTS = [
    "Hello, how are you?", "안녕하세요", "", "Где находится библиотека? " * 60, "  with room around  ", "หนังสือ", "x",
]  # fmt: skip


def make_student(folder: Path, **settings: object) -> Path:
    """A folder with prompts, and its fp32 and int8 exports."""
    make_teacher(folder, hidden=32, feed_forward=64)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": PROMPTS, **settings}))
    api.export(folder, to=["onnx", "onnx-int8"], floor=None)
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return make_student(tmp_path_factory.mktemp("encoder") / "student")


@pytest.mark.parametrize(("export", "tolerance"), [("onnx", 1e-5), ("onnx-int8", 3e-2)])
def test_vectors_are_those_of_sentence_transformers(student, export, tolerance):
    encoder = OnnxEncoder(student, export=export)
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimensions) == (len(TEXTS), 32)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - load_encoder(student).encode(TEXTS)).max() < tolerance


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_every_text_keeps_its_place_whatever_the_batch(student, batch_size, monkeypatch):
    monkeypatch.setattr("babelpress.exports.encoder._WINDOW", 3)
    encoder = OnnxEncoder(student, export="onnx")
    alone = np.stack([encoder.encode(text) for text in TEXTS])
    assert np.abs(encoder.encode(TEXTS, batch_size=batch_size) - alone).max() < 1e-6


def test_texts_of_a_batch_have_as_many_tokens(student):
    """Two long and two short texts, in turn: batches of two need no padding."""
    encoder = OnnxEncoder(student, export="onnx")
    session, shapes = encoder._session, []

    class Watched:
        def run(self, names, inputs):
            shapes.append((inputs["input_ids"].shape, int(inputs["attention_mask"].min())))
            return session.run(names, inputs)

    encoder._session = Watched()
    encoder.encode(["a b c d e f g", "x", "a b c d e f g", "x"], batch_size=2)
    assert [real for _, real in shapes] == [1, 1]
    assert shapes[0][0][1] > shapes[1][0][1]


def test_prompts_go_before_the_text(student):
    encoder, model = OnnxEncoder(student, export="onnx"), load_encoder(student)
    named = encoder.encode(["one", "two"], prompt_name="query")
    assert np.abs(named - model.encode(["one", "two"], prompt_name="query")).max() < 1e-5
    assert np.array_equal(named, encoder.encode(["one", "two"], prompt="query: "))
    assert np.abs(named - encoder.encode(["one", "two"])).max() > 1e-3


def test_the_models_default_prompt_is_used(tmp_path):
    folder = make_student(tmp_path / "student", default_prompt_name="passage")
    encoder = OnnxEncoder(folder, export="onnx")
    assert np.abs(encoder.encode(["one"]) - load_encoder(folder).encode(["one"])).max() < 1e-5
    assert np.array_equal(encoder.encode(["one"]), encoder.encode(["one"], prompt="passage: "))
    assert np.abs(encoder.encode(["one"]) - encoder.encode(["one"], prompt="")).max() > 1e-3


def test_no_texts_give_no_vectors(student):
    assert OnnxEncoder(student).encode([]).shape == (0, 32)


def test_an_unknown_prompt_is_named_with_those_there_are(student):
    with pytest.raises(ExportError, match=r"'question'.*query, .*passage"):
        OnnxEncoder(student).encode(["x"], prompt_name="question")


def test_an_export_that_is_not_there_says_how_to_write_it(student, tmp_path):
    with pytest.raises(ExportError, match=r"babelpress export .* --to onnx-q4"):
        OnnxEncoder(student, export="onnx-q4")
    with pytest.raises(ExportError, match="did you mean onnx-int8"):
        OnnxEncoder(student, export="onnx-int9")


def test_neither_torch_nor_transformers_are_imported(student):
    code = (
        "import sys; from babelpress import OnnxEncoder\n"
        "assert OnnxEncoder(sys.argv[1]).encode(['one', 'two']).shape == (2, 32)\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(student)], check=True, stdout=subprocess.PIPE, text=True, timeout=100
    )
    assert done.stdout.strip() == "[]"


def test_texts_are_lowered_where_the_model_lowers_them(tmp_path):
    make_teacher(tmp_path / "student", hidden=32, feed_forward=64)
    settings = tmp_path / "student" / "sentence_bert_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": True}))
    api.export(tmp_path / "student", to=["onnx"], floor=None)
    encoder, model = OnnxEncoder(tmp_path / "student", export="onnx"), load_encoder(tmp_path / "student")
    texts = ["Hello WORLD ÄÖ", "hello world"]
    assert np.abs(encoder.encode(texts) - model.encode(texts)).max() < 1e-5
    assert np.array_equal(encoder.encode(["HELLO"]), encoder.encode(["hello"]))


def test_a_transformer_in_a_folder_of_its_own_is_found(tmp_path):
    folder = make_teacher(tmp_path / "student", hidden=32, feed_forward=64)
    inner = folder / "0_Transformer"
    inner.mkdir()
    for name in (
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json",
    ):  # fmt: skip
        (folder / name).rename(inner / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    api.export(folder, to=["onnx"], floor=None)
    vectors = OnnxEncoder(folder, export="onnx").encode(["one", "two three"])
    assert np.abs(vectors - load_encoder(folder).encode(["one", "two three"])).max() < 1e-5


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(student, batch_size):
    with pytest.raises(ExportError, match=f"batch_size is {batch_size}; it must be 1 or more"):
        OnnxEncoder(student).encode(["one"], batch_size=batch_size)


def test_what_is_no_text_is_named_with_its_place(student):
    with pytest.raises(ExportError, match="text 1 is a NoneType, not a string"):
        OnnxEncoder(student).encode(["one", None])
    assert OnnxEncoder(student).encode(text for text in ("one", "two")).shape == (2, 32)


@pytest.mark.parametrize(("content", "said"), [(None, "is missing"), ("{", "is not a tokenizer")])
def test_a_folder_without_its_tokenizer_is_one_line(student, tmp_path, content, said):
    folder = tmp_path / "copy"
    shutil.copytree(student, folder)
    (folder / "tokenizer.json").unlink()
    if content is not None:
        (folder / "tokenizer.json").write_text(content)
    with pytest.raises(BabelpressError, match=rf"tokenizer\.json {said}") as caught:
        OnnxEncoder(folder)
    assert "\n" not in str(caught.value)


def test_a_graph_that_others_wrote_is_refused(student, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(student, folder)
    graph = onnx.load(folder / "onnx/model_quantized.onnx")
    del graph.metadata_props[:]
    onnx.save(graph, folder / "onnx/model_quantized.onnx")
    with pytest.raises(ExportError, match="was not exported by babelpress"):
        OnnxEncoder(folder)

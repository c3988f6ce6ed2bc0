"""The graph gives the student's vectors, whatever the family, the batch and the length."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from sentence_transformers import SentenceTransformer

from babelpress.architectures.encoders import load_encoder
from babelpress.exports.graph import INPUTS, OPSET, OUTPUTS, trace_graph
from babelpress.exports.runtime import graph_encoder
from tests.architectures import family_teacher
from tests.tiny import make_teacher

TEXTS = ["Hello, how are you?", "안녕하세요", "x", "Где находится библиотека? " * 40, "หนังสือ", ""]


def session_of(model: SentenceTransformer):
    import onnxruntime

    return onnxruntime.InferenceSession(trace_graph(model), providers=["CPUExecutionProvider"])


def reference(model: SentenceTransformer, ids: torch.Tensor, mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        features = model({"input_ids": ids, "attention_mask": mask})
    return features["token_embeddings"].numpy(), features["sentence_embedding"].numpy()


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def model(request, tmp_path_factory) -> SentenceTransformer:
    folder = tmp_path_factory.mktemp("graph") / request.param
    pad = {"bert": 0, "xlm-roberta": 1}[request.param]
    return load_encoder(make_teacher(folder, positions=514, model_type=request.param, pad_in_config=pad))


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 64), (17, 9), (2, 512)])
def test_batch_and_length_are_free_d7(model, batch, length):
    draw = torch.Generator().manual_seed(batch)
    ids = torch.randint(5, 500, (batch, length), generator=draw)
    mask = torch.ones_like(ids)
    for row in range(1, batch):
        mask[row, max(1, length - row) :] = 0
    ids = torch.where(mask.bool(), ids, torch.tensor(1))
    states, embeddings = reference(model, ids, mask)
    got = session_of(model).run(list(OUTPUTS), {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    assert np.abs(got[1] - embeddings).max() < 1e-5
    real = mask.bool().numpy()
    assert np.abs(got[0][real] - states[real]).max() < 1e-5


def test_the_graph_has_two_inputs_and_no_token_types_b5(model):
    graph = onnx.load_from_string(trace_graph(model))
    onnx.checker.check_model(graph, full_check=True)
    assert tuple(put.name for put in graph.graph.input) == INPUTS
    assert tuple(put.name for put in graph.graph.output) == OUTPUTS
    assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [OPSET]
    assert all(node.domain in ("", "ai.onnx") for node in graph.graph.node)


def test_padding_beside_a_longer_text_changes_nothing(model):
    session = session_of(model)
    alone = np.array([[0, 7, 8, 9, 2]])
    (short,) = session.run(["sentence_embedding"], {"input_ids": alone, "attention_mask": np.ones_like(alone)})
    ids = np.array([[0, 7, 8, 9, 2, 1, 1, 1], [0, 5, 5, 5, 5, 5, 5, 2]])
    (both,) = session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)})
    assert np.abs(both[0] - short[0]).max() < 1e-6


def test_padding_makes_no_numbers_that_are_slow_to_compute(model):
    """A share of attention below 1.2e-38 is denormal: processors compute such numbers several times slower."""
    import onnxruntime

    graph = onnx.load_from_string(trace_graph(model))
    shares = [node.output[0] for node in graph.graph.node if node.op_type == "Softmax"]
    assert len(shares) == model[0].auto_model.config.num_hidden_layers
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in shares)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.array([[0, 7, 8, 9, 2, *[1] * 59], [0, *range(5, 67), 2]])
    found = session.run(shares, {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)})
    least, hidden = min(one.min() for one in found), max(one[0, :, :, 5:].max() for one in found)
    assert least > np.finfo(np.float32).tiny
    assert hidden < 1e-16


def changed_by_padding(model: SentenceTransformer, *, before: int = 0, behind: int = 0) -> float:
    """How much of a text's vector changes with so many padded places beside it."""
    session, alone = session_of(model), np.array([[0, 7, 8, 9, 2]])
    padded = np.pad(alone, ((0, 0), (before, behind)), constant_values=1)
    (own,) = session.run(["sentence_embedding"], {"input_ids": alone, "attention_mask": np.ones_like(alone)})
    mask = (padded != 1).astype(np.int64)
    (found,) = session.run(["sentence_embedding"], {"input_ids": padded, "attention_mask": mask})
    return float(np.abs(found - own).max())


def test_scores_of_any_size_leave_padding_without_a_share(tmp_path):
    """Scores of hundreds, where lowering them by a little would not be enough."""
    wild = load_encoder(make_teacher(tmp_path / "wild", scale=6.0))
    assert changed_by_padding(wild, behind=40) < 1e-4


def test_padding_before_a_text_is_hidden_too(tmp_path):
    """XLM-RoBERTa counts positions from the first token that is no padding, so such a text is the same text."""
    model = load_encoder(make_teacher(tmp_path / "left", positions=130, model_type="xlm-roberta", pad_in_config=1))
    assert changed_by_padding(model, before=11) < 1e-6


def test_a_row_without_a_token_gives_what_the_model_gives(model):
    ids, mask = torch.tensor([[0, 7, 2], [1, 1, 1]]), torch.tensor([[1, 1, 1], [0, 0, 0]])
    _, embeddings = reference(model, ids, mask)
    (found,) = session_of(model).run(["sentence_embedding"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    assert np.isfinite(found).all()
    assert np.abs(found - embeddings).max() < 1e-6


def test_tracing_twice_gives_the_same_bytes(model):
    assert trace_graph(model) == trace_graph(model)


def test_the_model_is_as_before_after_a_trace(model):
    before = model.encode(TEXTS)
    trace_graph(model)
    assert np.array_equal(model.encode(TEXTS), before)
    assert not any(module.training for module in model.modules())


def test_other_pooling_and_a_dense_module_are_in_the_graph(tmp_path):
    folder = make_teacher(tmp_path / "cls")
    pooling = folder / "1_Pooling" / "config.json"
    settings = json.loads(pooling.read_text(encoding="utf-8"))
    pooling.write_text(json.dumps({**settings, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    from sentence_transformers.sentence_transformer.modules import Dense

    torch.manual_seed(3)
    plain = load_encoder(folder)
    model = SentenceTransformer(modules=[plain[0], plain[1], Dense(16, 5), plain[2]], device="cpu").eval()
    file = tmp_path / "model.onnx"
    file.write_bytes(trace_graph(model))
    vectors = graph_encoder(model, file).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 5)
    assert np.abs(vectors - model.encode(TEXTS)).max() < 1e-6


def test_an_encoder_without_a_packed_pass_is_exported_as_transformers_runs_it(tmp_path):
    model = load_encoder(family_teacher(tmp_path / "mpnet", "mpnet"))
    file = tmp_path / "model.onnx"
    file.write_bytes(trace_graph(model))
    assert np.abs(graph_encoder(model, file).encode(TEXTS) - model.encode(TEXTS)).max() < 1e-5


def test_such_an_encoder_in_fp16_too(tmp_path):
    model = load_encoder(family_teacher(tmp_path / "mpnet", "mpnet"))
    before = model.encode(TEXTS)
    file = tmp_path / "model.onnx"
    file.write_bytes(trace_graph(model, half=True))
    assert np.abs(graph_encoder(model, file).encode(TEXTS) - before).max() < 1e-2
    assert np.array_equal(model.encode(TEXTS), before)

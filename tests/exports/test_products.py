"""Products in 8 bits: near to those in fp32, and exact integers on every processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper, numpy_helper

from babelpress.architectures.encoders import load_encoder
from babelpress.exports.graph import trace_graph
from babelpress.exports.onnx import convert_graph
from babelpress.exports.products import compress_products, quantize_columns
from babelpress.schema.formats import FORMATS
from tests.tiny import make_teacher

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=9)
WEIGHTS = arrays(np.float32, SHAPES, elements=st.floats(-(2.0**100), 2.0**100, width=32))


def neighbours(integers: np.ndarray) -> int:
    """The largest sum of two neighbours of one sign."""
    even = np.pad(integers.astype(np.int32), ((0, len(integers) % 2), (0, 0))).reshape(-1, 2, integers.shape[1])
    return max(int(np.maximum(sign * even, 0).sum(axis=1).max()) for sign in (1, -1))


def product_graph(*nodes: onnx.NodeProto, **kept: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in kept.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@settings(deadline=None, max_examples=300)
@given(WEIGHTS)
def test_neighbours_never_add_up_to_more_than_16_bits_hold(weights):
    integers, scales = quantize_columns(weights, narrow=True)
    assert neighbours(integers) * 255 < 2**15
    used = scales > 0
    assert (np.abs(integers * scales.astype(np.float64) - weights)[:, used] <= 0.5001 * scales[used]).all()
    assert np.abs(weights[:, ~used]).max(initial=0) < 1e-35


@settings(deadline=None, max_examples=100)
@given(WEIGHTS)
def test_the_whole_range_is_used_where_it_may_be(weights):
    integers, scales = quantize_columns(weights, narrow=False)
    assert (np.abs(integers.astype(np.int32)).max(axis=0)[scales > 0] == 127).all()


def test_neighbours_of_opposite_signs_keep_the_whole_range():
    integers, _ = quantize_columns(np.array([[1.0, 1.0], [-1.0, 1.0]], dtype=np.float32), narrow=True)
    assert integers[:, 0].tolist() == [127, -127]
    assert integers[:, 1].tolist() == [64, 64]


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("shape", [(384, 40), (7, 3), (1536, 384)])
def test_the_largest_inputs_give_exact_sums_on_this_processor(rows, shape):
    """Without VNNI, weights of the whole range overflow here (onnxruntime issues 9599 and 14642)."""
    import onnxruntime

    weights = np.abs(np.random.default_rng(3).normal(size=shape)).astype(np.float32)  # all of one sign: the worst
    integers, _ = quantize_columns(weights, narrow=True)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", shape[1]])],
        [numpy_helper.from_array(integers, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.full((rows, shape[0]), 255, dtype=np.uint8)
    (found,) = session.run(None, {"x": x})
    assert np.array_equal(found, x.astype(np.int64) @ integers.astype(np.int64))


def test_products_with_and_without_bias_turned_or_not_are_near_those_in_fp32():
    draw = np.random.default_rng(5)
    model = product_graph(
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Gemm", ["x", "turned", "bias"], ["b"], transB=1),
        helper.make_node("Gemm", ["x", "w"], ["c"]),
        helper.make_node("Sum", ["a", "b", "c"], ["y"]),
        w=draw.normal(size=(6, 4)) / 9, turned=draw.normal(size=(4, 6)) / 9, bias=draw.normal(size=4),
    )  # fmt: skip
    x = draw.uniform(0, 0.5, size=(50, 6))
    (before,) = run(model, x)
    assert sorted(compress_products(model, narrow=True)) == ["turned", "w"]
    (after,) = run(model, x)
    assert 0 < np.abs(after - before).max() < 0.01
    assert kinds(model).count("MatMulInteger") == 3
    assert kinds(model).count("DynamicQuantizeLinear") == 1  # one input, whoever reads it
    assert {tensor.name for tensor in model.graph.initializer} == {
        "w.columns", "w.scales", "turned.turned.columns", "turned.turned.scales", "bias",
    }  # fmt: skip


def test_what_is_no_plain_product_with_weights_of_the_graphs_own_is_left():
    square = np.eye(6)
    model = product_graph(
        helper.make_node("Gemm", ["x", "w"], ["a"], alpha=2.0),
        helper.make_node("MatMul", ["a", "kept"], ["b"]),
        helper.make_node("Transpose", ["b"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["b", "t"], ["y"]),
        w=square, kept=square,
    )  # fmt: skip
    before = kinds(model)
    assert compress_products(model, narrow=True, spared=lambda name: name == "kept") == []
    assert kinds(model) == before


def test_weights_that_something_else_reads_as_well_are_kept_for_it():
    model = product_graph(
        helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "w"], ["y"]), w=np.eye(6)
    )
    assert compress_products(model, narrow=True) == []
    assert kinds(model) == ["DynamicQuantizeLinear", "Mul", "MatMulInteger", "Cast", "Mul", "Add"]
    run(model, np.ones((6, 6)))


def test_onnx_runtime_makes_one_kernel_of_every_product(tmp_path):
    """With nodes in another order or with other inputs it would not, and be much slower."""
    import onnxruntime

    model = load_encoder(make_teacher(tmp_path / "student", hidden=32, feed_forward=64))
    graph = convert_graph(onnx.load_from_string(trace_graph(model)), FORMATS["onnx-int8"])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fused = kinds(onnx.load(Path(options.optimized_model_filepath)))
    layers = model[0].auto_model.config.num_hidden_layers
    assert fused.count("DynamicQuantizeMatMul") == 4 * layers
    assert "MatMulInteger" not in fused

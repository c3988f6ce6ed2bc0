"""The embedding table in 8 or 4 bits: every row by its own scale, unpacked by standard operators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper, numpy_helper

from babelpress.exports.rows import compress_tables, pack_nibbles, quantize_rows

TABLES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).map(lambda shape: (shape[0], 2 * shape[1])),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


def gather_graph(table: np.ndarray, other: np.ndarray | None = None) -> onnx.ModelProto:
    """Rows of a table, and of another one, by ids."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0)]
    kept = [numpy_helper.from_array(table, "table")]
    results = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", table.shape[1]])]
    if other is not None:
        nodes.append(helper.make_node("Gather", ["other", "ids"], ["others"], axis=0))
        kept.append(numpy_helper.from_array(other, "other"))
        results.append(helper.make_tensor_value_info("others", TensorProto.FLOAT, ["n", other.shape[1]]))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])
    graph = helper.make_graph(nodes, "g", [ids], results, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, ids: list[int]) -> list[np.ndarray]:
    import onnxruntime

    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.array(ids, dtype=np.int64)})


@pytest.mark.parametrize("bits", [8, 4])
@settings(max_examples=60, deadline=None)
@given(table=TABLES)
def test_no_number_is_off_by_more_than_half_a_step(bits, table):
    integers, scales = quantize_rows(table, bits=bits)
    assert np.abs(integers.astype(np.int32)).max(initial=0) <= 2 ** (bits - 1) - 1
    off = np.abs(integers * scales.astype(np.float64) - table)
    assert (off <= 0.5 * scales * (1 + 1e-5) + 1e-30).all()


def test_one_outlier_row_ruins_no_other_d3():
    table = np.random.default_rng(0).normal(0, 0.05, (40, 16)).astype(np.float32)
    calm = quantize_rows(table, bits=8)
    table[7] *= 10_000
    integers, scales = quantize_rows(table, bits=8)
    others = np.arange(40) != 7
    assert np.array_equal(integers[others], calm[0][others])
    assert np.array_equal(scales[others], calm[1][others])


def test_a_row_of_zeros_stays_one():
    integers, scales = quantize_rows(np.zeros((2, 4), dtype=np.float32), bits=8)
    assert not integers.any()
    assert not scales.any()


def test_two_integers_make_a_byte():
    packed = pack_nibbles(np.array([[-8, 7, 0, -1], [1, 2, 3, 4]], dtype=np.int8))
    assert packed.tolist() == [[0 | 8 << 4, 15 | 7 << 4], [9 | 11 << 4, 10 | 12 << 4]]


def test_rows_of_odd_width_are_refused():
    with pytest.raises(ValueError, match="odd width 3"):
        pack_nibbles(np.zeros((1, 3), dtype=np.int8))


@pytest.mark.parametrize("bits", [8, 4])
def test_the_graph_gives_what_the_integers_and_scales_stand_for(bits):
    table = np.random.default_rng(1).normal(size=(30, 10)).astype(np.float32)
    model = gather_graph(table)
    assert compress_tables(model, bits=bits) == ["table"]
    integers, scales = quantize_rows(table, bits=bits)
    ids = [3, 0, 29, 3]
    (rows,) = run(model, ids)
    assert np.array_equal(rows, (integers * scales)[ids])


def test_four_bits_are_for_the_largest_table_alone():
    draw = np.random.default_rng(2)
    words, places = draw.normal(size=(50, 8)).astype(np.float32), draw.normal(size=(9, 8)).astype(np.float32)
    model = gather_graph(places, words)
    assert compress_tables(model, bits=4) == ["other", "table"]
    few, many = run(model, [1, 8])
    integers, scales = quantize_rows(places, bits=8)
    assert np.array_equal(few, (integers * scales)[[1, 8]])
    integers, scales = quantize_rows(words, bits=4)
    assert np.array_equal(many, (integers * scales)[[1, 8]])


def test_a_table_that_something_else_reads_as_well_is_left():
    table = np.ones((4, 2), dtype=np.float32)
    model = gather_graph(table)
    model.graph.node.append(helper.make_node("MatMul", ["rows", "table"], ["never"]))
    assert compress_tables(model, bits=8) == []
    assert [tensor.name for tensor in model.graph.initializer] == ["table"]

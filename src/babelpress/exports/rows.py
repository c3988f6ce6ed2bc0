"""The embedding table in 8 or 4 bits: every row has its own scale, so that one outlier row ruins no other.

A row r of width w becomes integers q and one scale s with r = s q, where s is the row's largest magnitude over 127 (or
7). The graph gathers a sentence's rows and scales, and multiplies: what is not used is never unpacked. Only standard
operators are used (4 bits: opset 18's bitwise ones), so every runtime can run it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantize_rows(table: NDArray[np.float32], *, bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers and scales, shapes (rows, width) and (rows, 1); a row of zeros has the scale 0."""
    most = 2 ** (bits - 1) - 1
    scales = np.abs(table).max(axis=1, keepdims=True) / most
    integers = np.rint(np.divide(table, scales, out=np.zeros_like(table), where=scales > 0))
    return integers.astype(np.int8), scales.astype(np.float32)


def pack_nibbles(integers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return two integers a byte, shape (rows, width / 2): the first half of a row in the low four bits.

    Raises ValueError for an odd width.
    """
    if integers.shape[1] % 2:
        raise ValueError(f"rows of odd width {integers.shape[1]} cannot be packed in pairs")
    half = integers.shape[1] // 2
    shifted = (integers + 8).astype(np.uint8)
    return np.bitwise_or(shifted[:, :half], np.left_shift(shifted[:, half:], 4), dtype=np.uint8)


def compress_tables(model: Any, *, bits: int) -> list[str]:
    """Replace every fp32 table that a graph only gathers rows from; return their names.

    `model` is an onnx.ModelProto and is changed. The largest table, that of the words, gets `bits` bits a number, the
    others, and one of odd width, 8.
    """
    from onnx import TensorProto

    graph = model.graph
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def is_table(tensor: Any) -> bool:
        uses = readers.get(tensor.name, [])
        whole = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        return whole and bool(uses) and all(use.op_type == "Gather" and use.input[0] == tensor.name for use in uses)

    tables = sorted(filter(is_table, graph.initializer), key=lambda tensor: -tensor.dims[0] * tensor.dims[1])
    for number, table in enumerate(tables):
        even = table.dims[1] % 2 == 0  # two 4-bit numbers make a byte
        _compress(graph, table, readers[table.name], bits=bits if number == 0 and even else 8)
    return [table.name for table in tables]


def _compress(graph: Any, table: Any, uses: list[Any], *, bits: int) -> None:
    from onnx import numpy_helper

    integers, scales = quantize_rows(numpy_helper.to_array(table), bits=bits)
    stored = integers if bits == 8 else pack_nibbles(integers)
    graph.initializer.extend([
        numpy_helper.from_array(stored, f"{table.name}.rows"), numpy_helper.from_array(scales, f"{table.name}.scales"),
    ])  # fmt: skip
    for node in uses:
        at = list(graph.node).index(node)
        graph.node.remove(node)
        for place, step in enumerate(_unpacking(graph, node, table.name, bits=bits)):
            graph.node.insert(at + place, step)
    graph.initializer.remove(table)


def _unpacking(graph: Any, gather: Any, table: str, *, bits: int) -> list[Any]:
    """Return the nodes that stand in for a Gather of a table's rows."""
    from onnx import TensorProto, helper, numpy_helper

    ids, output = gather.input[1], gather.output[0]
    steps: list[Any] = []

    def step(kind: str, inputs: list[str], result: str, **attributes: Any) -> str:
        steps.append(helper.make_node(kind, inputs, [result], name=f"{result}/{kind}", **attributes))
        return result

    def constant(value: int, dtype: Any, name: str) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=dtype), f"{output}.{name}"))
        return f"{output}.{name}"

    scales = step("Gather", [f"{table}.scales", ids], f"{output}.scale", axis=0)
    rows = step("Gather", [f"{table}.rows", ids], f"{output}.row", axis=0)
    if bits == 4:
        low = step("BitwiseAnd", [rows, constant(15, np.uint8, "fifteen")], f"{output}.low")
        high = step("BitShift", [rows, constant(4, np.uint8, "four")], f"{output}.high", direction="RIGHT")
        both = step("Concat", [low, high], f"{output}.both", axis=-1)
        wide = step("Cast", [both], f"{output}.wide", to=TensorProto.FLOAT)
        numbers = step("Sub", [wide, constant(8, np.float32, "eight")], f"{output}.number")
    else:
        numbers = step("Cast", [rows], f"{output}.number", to=TensorProto.FLOAT)
    step("Mul", [numbers, scales], output)
    return steps

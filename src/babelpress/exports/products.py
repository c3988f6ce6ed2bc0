"""Products in 8 bits: every output channel of the weights has its own scale, inputs are quantised as they come.

x W becomes s t (q R): R are integers, t is a scale for each of W's columns, and q = x / s is quantised to unsigned 8
bits when the graph runs, with one scale for the whole batch (dynamic quantisation). These are standard operators, in
the order in which ONNX Runtime fuses them into one kernel.

Processors without VNNI multiply bytes and add neighbouring products in 16 bits, for which 2 * 255 * 127 is too large
(onnxruntime issues 9599 and 14642). Weights whose neighbours add up to 128 at most stay exact there: 255 * 128 is less
than 2 ** 15. That costs most columns a fraction of a bit; weights of 7 bits, the usual remedy, cost a whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 127


def quantize_columns(weights: NDArray[np.float32], *, narrow: bool) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers, shape (inputs, outputs), and scales, shape (outputs,); a column of zeros has the scale 0.

    With `narrow`, no sum of the products of two neighbours (rows 0 and 1, 2 and 3, ...) and any two unsigned bytes
    leaves 16 bits.
    """
    most = np.abs(weights).max(axis=0)
    if narrow:
        pairs = np.pad(weights, ((0, len(weights) % 2), (0, 0))).reshape(-1, 2, weights.shape[1])
        for sign in (1, -1):  # neighbours of opposite signs add up to no more than one of them alone
            most = np.maximum(most, np.maximum(sign * pairs, 0).sum(axis=1).max(axis=0))
    scales = (most / _MOST).astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 0
    # Neighbours that add up to 127 add up to 128 at most when both are rounded up.
    integers = np.rint(np.divide(weights, scales, out=np.zeros_like(weights), where=scales > 0))
    return integers.astype(np.int8), scales


def compress_products(model: Any, *, narrow: bool, spared: Callable[[str], bool] = lambda name: False) -> list[str]:
    """Replace every product with fp32 weights of the graph's own; return the names of these weights.

    `model` is an onnx.ModelProto and is changed. Weights whose name is `spared` stay as they are.
    """
    from onnx import TensorProto, numpy_helper

    graph = model.graph
    weights = {
        tensor.name: tensor
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2 and not spared(tensor.name)
    }
    nodes: list[Any] = []
    replaced: set[str] = set()
    quantized: set[str] = set()  # inputs: once each, whoever reads them
    for node in graph.node:
        name = node.input[1] if _is_product(node) else ""
        if name not in weights:
            nodes.append(node)
            continue
        turned = _settings(node).get("transB", 0) == 1
        stored = f"{name}.turned" if turned else name
        if stored not in replaced:
            table = numpy_helper.to_array(weights[name])
            integers, scales = quantize_columns(table.T if turned else table, narrow=narrow)
            graph.initializer.extend([
                numpy_helper.from_array(np.ascontiguousarray(integers), f"{stored}.columns"),
                numpy_helper.from_array(scales, f"{stored}.scales"),
            ])  # fmt: skip
            replaced.add(stored)
        if node.input[0] not in quantized:
            nodes.append(_quantize(node.input[0]))
            quantized.add(node.input[0])
        nodes += _product(node, stored)
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    unread = [name for name in weights if name not in read and {name, f"{name}.turned"} & replaced]
    for name in unread:
        graph.initializer.remove(weights[name])
    return unread


def _is_product(node: Any) -> bool:
    """Tell whether a node is x W or x W + b, W turned or not."""
    settings = _settings(node)
    plain = all(settings.get(name, 1.0) == 1.0 for name in ("alpha", "beta")) and not settings.get("transA", 0)
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and plain)


def _settings(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _quantize(name: str) -> Any:
    from onnx import helper

    results = [f"{name}.{part}" for part in ("bytes", "scale", "zero")]
    return helper.make_node("DynamicQuantizeLinear", [name], results, name=f"{name}/DynamicQuantizeLinear")


def _product(node: Any, stored: str) -> list[Any]:
    """Return the nodes that stand in for a product, once its input is quantised."""
    from onnx import TensorProto, helper

    given, result = node.input[0], node.output[0]
    bias = node.input[2] if len(node.input) > 2 else ""
    scaled = f"{result}.scaled" if bias else result

    def step(kind: str, inputs: list[str], output: str, **settings: Any) -> Any:
        return helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **settings)

    return [
        step("Mul", [f"{given}.scale", f"{stored}.scales"], f"{result}.scale"),
        step("MatMulInteger", [f"{given}.bytes", f"{stored}.columns", f"{given}.zero"], f"{result}.sum"),
        step("Cast", [f"{result}.sum"], f"{result}.wide", to=TensorProto.FLOAT),
        step("Mul", [f"{result}.wide", f"{result}.scale"], scaled),
        *([step("Add", [scaled, bias], result)] if bias else []),
    ]

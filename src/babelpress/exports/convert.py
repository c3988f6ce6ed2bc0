"""A format's graph made of the fp32 one."""

from __future__ import annotations

from typing import Any

from babelpress.exports.graph import is_apart
from babelpress.exports.products import compress_products
from babelpress.exports.rows import compress_tables
from babelpress.schema.formats import Format


def convert_graph(traced: Any, chosen: Format) -> Any:
    """Return a graph in a format; `traced`, an onnx.ModelProto, stays as it is.

    It is of fp16 for 16 bits, and calibrated for 8.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(traced)
    if chosen.bits == 8:
        compress_products(model, narrow=chosen.narrow, spared=is_apart)
    if chosen.rows < 16:
        compress_tables(model, bits=chosen.rows)
    model.producer_name, model.producer_version = traced.producer_name, traced.producer_version
    return model

"""What a student can be exported to: names, files, and how each is made of the fp32 graph."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from babelpress.errors import ExportError
from babelpress.evaluation.suites import did_you_mean

EXTRA = "pip install 'babelpress[onnx]'"


@dataclass(frozen=True)
class Format:
    """One export. `file` is where transformers.js looks for its `dtype`, below the student's folder.

    `bits` is the width of the weights of products, `rows` that of the embedding table; `reduce_range` keeps products
    within 7 bits, which processors without VNNI need to stay exact (onnxruntime issue 14642).
    """

    name: str
    file: str
    bits: int = 32
    rows: int = 32
    reduce_range: bool = False

    @property
    def half(self) -> bool:
        """Tell whether the encoder is traced in fp16."""
        return self.bits == 16


FORMATS = {
    one.name: one
    for one in (
        Format("onnx", "onnx/model.onnx"),
        Format("onnx-fp16", "onnx/model_fp16.onnx", bits=16, rows=16),
        Format("onnx-int8", "onnx/model_quantized.onnx", bits=8, rows=8, reduce_range=True),
        Format("onnx-int8-vnni", "onnx/model_int8.onnx", bits=8, rows=8),
        Format("onnx-q4", "onnx/model_q4.onnx", bits=8, rows=4, reduce_range=True),
    )
}


def choose_formats(names: Iterable[str]) -> list[Format]:
    """Return formats by name, each once. Raises ExportError for an unknown one."""
    chosen = []
    for name in dict.fromkeys(names):
        if name not in FORMATS:
            near = did_you_mean(name, FORMATS)
            raise ExportError(f"no export is called {name!r}{near}; there are: {', '.join(FORMATS)}")
        chosen.append(FORMATS[name])
    if not chosen:
        raise ExportError(f"nothing to export to; name one of: {', '.join(FORMATS)}")
    return chosen


def need_packages(*packages: str) -> None:
    """Raise ExportError, with what to install, where a package is missing."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise ExportError(f"exports need {package}, which is not installed: {EXTRA}")


def convert_graph(traced: Any, chosen: Format) -> Any:
    """Return a graph in a format. `traced` is an onnx.ModelProto, of fp16 for a `half` format; it stays as it is."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(traced)
    if chosen.bits == 8:
        model = _to_int8(model, reduce_range=chosen.reduce_range)
    if chosen.rows < 16:
        from babelpress.export.rows import compress_tables

        compress_tables(model, bits=chosen.rows)
    model.producer_name, model.producer_version = traced.producer_name, traced.producer_version
    return model


def _to_int8(model: Any, *, reduce_range: bool) -> Any:
    import tempfile
    from pathlib import Path

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises a step that changes nothing here
        try:
            quantize_dynamic(
                model, str(file), op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=reduce_range,
                weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
            )  # fmt: skip
        finally:
            root.setLevel(level)
        return onnx.load(str(file))

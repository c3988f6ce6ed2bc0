"""What a student can be exported to: names, files, and how each is made of the fp32 graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babelpress.errors import ExportError
from babelpress.schema.suites import did_you_mean

EXTRA = "pip install 'babelpress[onnx]'"


@dataclass(frozen=True)
class Format:
    """One export. `file` is where transformers.js looks for its `dtype`, below the student's folder.

    `bits` is the width of the weights of products, `rows` that of the embedding table; `narrow` keeps sums of products
    within what processors without VNNI can hold (`products.py`).
    """

    name: str
    file: str
    bits: int = 32
    rows: int = 32
    narrow: bool = False


FORMATS = {
    one.name: one
    for one in (
        Format("onnx", "onnx/model.onnx"),
        Format("onnx-fp16", "onnx/model_fp16.onnx", bits=16, rows=16),
        Format("onnx-int8", "onnx/model_quantized.onnx", bits=8, rows=8, narrow=True),
        Format("onnx-int8-vnni", "onnx/model_int8.onnx", bits=8, rows=8),
        Format("onnx-q4", "onnx/model_q4.onnx", bits=8, rows=4, narrow=True),
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

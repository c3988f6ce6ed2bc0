"""Write a student as ONNX: one trace for each number format, and every format made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from babelpress.errors import ExportError
from babelpress.exports.calibration import calibrate
from babelpress.exports.graph import is_apart, trace_graph
from babelpress.exports.products import compress_products
from babelpress.exports.rows import compress_tables
from babelpress.exports.runtime import graph_encoder
from babelpress.schema.formats import Format
from babelpress.utils.model_folder import transformer_folder
from babelpress.utils.tensors import open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MOST_BYTES = 2**31  # protobuf's limit


class OnnxWriter:
    """The ONNX files of one student's folder. Raises ExportError for one that is too large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._student: SentenceTransformer | None = None
        self._traces: dict[int, Any] = {}
        weights = open_checkpoint(transformer_folder(folder))
        size = 4 * sum(map(weights.size, weights.names()))
        if size >= _MOST_BYTES:
            limit = f"{_MOST_BYTES / 2**30:g}"
            raise ExportError(f"{folder} takes {size / 2**30:.1f} GiB in fp32; an ONNX file holds {limit}")

    def prepare(self, student: SentenceTransformer, formats: Sequence[Format]) -> None:
        """Trace the loaded student for these formats. Raises ExportError where torch's exporter cannot."""
        self._student = student
        for bits in {chosen.options["bits"] for chosen in formats}:
            self._traces[bits] = self._trace(student, bits)

    def write(self, chosen: Format, file: Path) -> None:
        """Write a format that was prepared."""
        graph = convert_graph(self._traces[chosen.options["bits"]], chosen)
        file.write_bytes(graph.SerializeToString())

    def open(self, file: Path) -> SentenceTransformer:
        """Return a written file in the place of the student."""
        return graph_encoder(cast("SentenceTransformer", self._student), file)

    def _trace(self, student: SentenceTransformer, bits: int) -> Any:
        """Return a graph, an onnx.ModelProto, calibrated for 8 bits."""
        calibration = calibrate(student) if bits == 8 else ()
        try:
            return _with_facts(trace_graph(student, half=bits == 16, calibration=calibration), student)
        except ExportError as error:
            raise ExportError(f"{self._folder} cannot be exported: {error}") from None
        except Exception as error:  # the exporter's own and the model's code raise anything
            reason = " ".join(str(error).split())[:200]
            raise ExportError(f"{self._folder} cannot be traced: {reason}") from error


def convert_graph(traced: Any, chosen: Format) -> Any:
    """Return a graph in a format; `traced`, an onnx.ModelProto, stays as it is.

    It is of fp16 for 16 bits, and calibrated for 8.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(traced)
    if chosen.options["bits"] == 8:
        compress_products(model, narrow=chosen.options.get("narrow", False), spared=is_apart)
    if chosen.options["rows"] < 16:
        compress_tables(model, bits=chosen.options["rows"])
    model.producer_name, model.producer_version = traced.producer_name, traced.producer_version
    return model


def _with_facts(graph: bytes, student: SentenceTransformer) -> Any:
    """Return a graph with what a reader has to know inside the file."""
    import onnx

    model = onnx.load_from_string(graph)
    model.producer_name, model.producer_version = "babelpress", version("babelpress")
    width = student.get_embedding_dimension()
    if width is not None:  # which torch's exporter does not find for all poolings
        model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = width
    first: Any = student[0]
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = first.get_embedding_dimension()
    kinds = [type(module).__name__ for module in student]
    pooling = next((str(module.pooling_mode) for module in student if hasattr(module, "pooling_mode")), "none")
    onnx.helper.set_model_props(model, {
        "pooling": pooling,
        "normalized": "true" if "Normalize" in kinds else "false",
        "max_length": str(student.max_seq_length),
        "prompts": json.dumps(dict(student.prompts or {}), ensure_ascii=False),
        "default_prompt_name": student.default_prompt_name or "",
        "lowercase": "true" if getattr(student[0], "do_lower_case", False) else "false",
        "babelpress": version("babelpress"),
    })  # fmt: skip
    return model

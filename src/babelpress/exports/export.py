"""Write exports of a student folder, each with its parity; one that does not reach the floor is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babelpress.architectures.encoders import load_encoder
from babelpress.errors import ExportError
from babelpress.exports.calibration import LayerCalibration, calibrate
from babelpress.exports.convert import convert_graph
from babelpress.exports.graph import trace_graph
from babelpress.exports.index import INDEX, drop_exports_of_others, keep_exports, read_exports
from babelpress.exports.parity import encode_all, measure_parity
from babelpress.exports.runtime import graph_encoder
from babelpress.schema.exports import Export, Floor, FloorError, Missed, Parity
from babelpress.schema.formats import Format, need_packages
from babelpress.utils.files import hash_model, remove_leftovers, replace_file
from babelpress.utils.model_folder import transformer_folder
from babelpress.utils.tensors import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MOST_BYTES = 2**31  # protobuf's limit
Scorer = Callable[["SentenceTransformer", "Path | None"], Mapping[str, float]]


@dataclass(frozen=True)
class Exported:
    """What became of the formats that were asked for."""

    written: tuple[Export, ...]
    missed: tuple[Missed, ...]


def export_student(
    folder: Path, formats: Sequence[Format], *, texts: Mapping[str, list[str]], scorer: Scorer,
    scores: Mapping[str, float] | None = None, floor: Floor | None = None, into: Path | None = None,
) -> Exported:  # fmt: skip
    """Export a student folder, format by format, into `into` (the folder itself unless given).

    `texts` by language are what embeddings are compared on; `scorer` returns the scores in percent of the student
    (None) or of an export's file, `scores` are the student's where they are known. An export below the `floor` is not
    written, and the others are; without one, whatever comes out is written. Exports of what the folder held before are
    removed. Raises ExportError for a student that cannot be exported at all.
    """
    need_packages("onnx", "onnxruntime")
    target = into or folder
    _refuse_giants(folder, open_checkpoint(transformer_folder(folder)))
    identity = hash_model(folder)
    read_exports(target)  # a damaged index is refused before any work
    student = load_encoder(folder, device="cpu")
    traced = {
        bits: _trace(folder, student, half=bits == 16, calibration=calibrate(student) if bits == 8 else ())
        for bits in {one.bits for one in formats}
    }
    vectors = encode_all(student, texts, label="export: the student")
    if not all(np.isfinite(some).all() for some in vectors.values()):
        raise ExportError(f"{folder} gives vectors that are not numbers (NaN); the student itself is broken")
    scores = scorer(student, None) if scores is None else scores
    if (target / INDEX).parent.is_dir():
        remove_leftovers((target / INDEX).parent, busy=True)
    drop_exports_of_others(target, identity)
    written: list[Export] = []
    missed: list[Missed] = []
    for chosen in formats:
        found: list[Parity] = []

        def make(file: Path, one: Format = chosen, found: list[Parity] = found) -> None:
            file.write_bytes(convert_graph(traced[one.bits], one).SerializeToString())
            exported = graph_encoder(student, file)
            near = measure_parity(vectors, encode_all(exported, texts, label=f"export: {one.name}"))
            _refuse(one, file, near, floor)  # before the tasks, which may take hours
            own = scorer(exported, file)
            found.append(replace(near, lost={name: score - own[name] for name, score in scores.items()}))
            _refuse(one, file, found[0], floor)

        try:
            replace_file(target / chosen.file, make)
        except FloorError as error:
            missed += error.missed
            continue
        size = (target / chosen.file).stat().st_size
        written.append(Export(chosen.name, chosen.file, size, found[0], identity))
        keep_exports(target, written)
    return Exported(tuple(written), tuple(missed))


def _refuse_giants(folder: Path, weights: Checkpoint) -> None:
    size = 4 * sum(weights.size(name) for name in weights.names())
    if size >= _MOST_BYTES:
        raise ExportError(f"{folder} takes {size / 2**30:.1f} GiB in fp32; an ONNX file holds {_MOST_BYTES / 2**30:g}")


def _refuse(chosen: Format, file: Path, found: Parity, floor: Floor | None) -> None:
    if floor and (faults := floor.faults(found)):
        raise FloorError([Missed(chosen.name, chosen.file, file.stat().st_size, found, tuple(faults))])


def _trace(folder: Path, student: SentenceTransformer, *, half: bool, calibration: Sequence[LayerCalibration]) -> Any:
    """Return a graph, an onnx.ModelProto. Raises ExportError for a model that torch's exporter cannot trace."""
    try:
        return _with_facts(trace_graph(student, half=half, calibration=calibration), student)
    except ExportError as error:
        raise ExportError(f"{folder} cannot be exported: {error}") from None
    except Exception as error:  # the exporter's own and the model's code raise anything
        raise ExportError(f"{folder} cannot be traced: {' '.join(str(error).split())[:200]}") from error


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

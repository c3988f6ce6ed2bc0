"""Write exports of a student folder, each with its parity; one that does not reach the floor is not written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.encoders import load_encoder
from babelpress.errors import ExportError
from babelpress.export.formats import Format, convert_graph, need_onnx
from babelpress.export.graph import trace_graph
from babelpress.export.parity import encode_all, measure_parity
from babelpress.export.result import INDEX, Export, Floor, Parity, read_exports
from babelpress.export.runtime import graph_encoder
from babelpress.files import replace_file, write_json
from babelpress.tensors import open_checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MOST_BYTES = 2**31  # protobuf's limit
_NEXT = {
    "onnx-int8-vnni": "onnx-int8, which stays exact on this processor",
    "onnx-q4": "onnx-int8, whose rows have 8 bits",
    "onnx-int8": "onnx-fp16",
    "onnx-fp16": "onnx",
}


Scorer = Callable[["SentenceTransformer", "Path | None"], Mapping[str, float]]


def export_student(
    folder: Path, formats: Sequence[Format], *, texts: Mapping[str, list[str]], scorer: Scorer,
    scores: Mapping[str, float] | None = None, floor: Floor | None = None, into: Path | None = None,
) -> list[Export]:  # fmt: skip
    """Export a student folder, format by format, into `into` (the folder itself unless given).

    `texts` by language are what embeddings are compared on; `scorer` returns the scores in percent of the student
    (None) or of an export's file, `scores` are the student's where they are known. Without a `floor`, whatever comes
    out is written. Raises ExportError for an export below it, which is not written.
    """
    need_onnx()
    target = into or folder
    student = load_encoder(folder, device="cpu")
    _refuse_giants(folder)
    traced = {half: _with_facts(trace_graph(student, half=half), student) for half in {one.half for one in formats}}
    vectors = encode_all(student, texts, label="export: the student")
    scores = scorer(student, None) if scores is None else scores
    done = []
    for chosen in formats:
        found: list[Parity] = []

        def make(file: Path, one: Format = chosen, found: list[Parity] = found) -> None:
            file.write_bytes(convert_graph(traced[one.half], one).SerializeToString())
            exported = graph_encoder(student, file)
            near = encode_all(exported, texts, label=f"export: {one.name}")
            found.append(measure_parity(vectors, near, scores=scores, exported_scores=scorer(exported, file)))
            _refuse(one, found[0], floor)

        replace_file(target / chosen.file, make)
        done.append(Export(chosen.name, chosen.file, (target / chosen.file).stat().st_size, found[0]))
    write_json(target / INDEX, [one.facts() for one in _with_earlier(target, done)])
    return done


def _refuse_giants(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    size = 4 * sum(checkpoint.size(name) for name in checkpoint.names())
    if size >= _MOST_BYTES:
        raise ExportError(f"{folder} takes {size / 2**30:.1f} GiB in fp32; an ONNX file holds {_MOST_BYTES / 2**30:g}")


def _refuse(chosen: Format, found: Parity, floor: Floor | None) -> None:
    faults = floor.faults(found) if floor else []
    if faults:
        remedy = f"try {_NEXT[chosen.name]}" if chosen.name in _NEXT else "the graph is not the student's; report it"
        raise ExportError(f"{chosen.name} is not near enough to the student: {'; '.join(faults)}; {remedy}")


def _with_facts(graph: bytes, student: SentenceTransformer) -> Any:
    """Return the fp32 graph with what a reader has to know inside the file."""
    import onnx

    model = onnx.load_from_string(graph)
    model.producer_name, model.producer_version = "babelpress", version("babelpress")
    kinds = [type(module).__name__ for module in student]
    pooling = next((str(module.pooling_mode) for module in student if hasattr(module, "pooling_mode")), "none")
    onnx.helper.set_model_props(model, {
        "pooling": pooling,
        "normalized": "true" if "Normalize" in kinds else "false",
        "max_length": str(student.max_seq_length),
        "prompts": json.dumps(dict(student.prompts or {}), ensure_ascii=False),
        "babelpress": version("babelpress"),
    })  # fmt: skip
    return model


def _with_earlier(target: Path, done: list[Export]) -> list[Export]:
    names = {one.name for one in done}
    return [*(one for one in read_exports(target) if one.name not in names), *done]

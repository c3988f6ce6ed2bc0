"""Measure what int8 costs a student, term by term, and what its files weigh and take.

    python benchmarks/int8.py STUDENT TEXT [--sentences 20] [--rounds 5]

STUDENT is a SentenceTransformer folder of a BERT-type encoder, TEXT a file with one text a line or a parquet file with
columns text and language (`runs/<recipe>/corpus/validation-00000.parquet`), of which the first sentences of every
language are taken, a batch each. Cosines are to the fp32 graph, in ONNX Runtime on this processor, one thread. The
first table quantises one thing alone and leaves all else in fp32; the second has whole files, 8-bit rows included, with
their CPU time in batches beside that of the first of them (the best round of each batch; files take turns).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
from babelpress.export import products
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from babelpress.architectures.encoders import load_encoder, width_of
from babelpress.exports.calibration import calibrate
from babelpress.exports.graph import is_apart, trace_graph
from babelpress.exports.onnx import convert_graph
from babelpress.exports.products import quantize_columns
from babelpress.exports.session import open_session
from babelpress.schema.formats import FORMATS, Format
from babelpress.utils.machine import describe_machine
from babelpress.utils.tokenizer import open_tokenizer

Batch = dict[str, NDArray[np.int64]]
Columns = tuple[NDArray[np.int8], NDArray[np.float32]]
KINDS = {
    "mixed": "queries, keys and values",
    "attended": "attention's output",
    "inner": "feed-forward, first",
    "outer": "feed-forward, second",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("student", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--sentences", type=int, default=20, help="of each language")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(describe_machine()), file=sys.stderr)
    bench = Bench(given.student, read_text(given.text, given.sentences))
    bench.show_terms()
    bench.show_files(given.rounds)


def read_text(path: Path, sentences: int) -> list[list[str]]:
    """Return the first sentences of every language, of a file of lines as one language."""
    if path.suffix != ".parquet":
        return [path.read_text(encoding="utf-8").splitlines()[:sentences]]
    import pyarrow.parquet as pq

    found: dict[str, list[str]] = {}
    rows = pq.read_table(path, columns=["text", "language"]).to_pydict()
    for text, language in zip(rows["text"], rows["language"], strict=True):
        found.setdefault(language, []).append(text)
    return [texts[:sentences] for texts in found.values()]


class Bench:
    """A student's graphs: as it is, with outlier units apart, balanced as well; and batches of text."""

    def __init__(self, folder: Path, texts: list[list[str]]) -> None:
        model = load_encoder(folder, device="cpu")
        found = calibrate(model)
        even = np.ones(width_of(model), dtype=np.float32)
        apart = [replace(layer, attention=even, feed_forward=even) for layer in found]
        self.plain = onnx.load_from_string(trace_graph(model))
        self.apart = onnx.load_from_string(trace_graph(model, calibration=apart))
        self.balanced = onnx.load_from_string(trace_graph(model, calibration=found))
        self.batches = list(make_batches(folder, texts, int(model.max_seq_length or 512)))
        self.target = self.embed(self.plain)
        units = "; ".join(f"layer {number}: {layer.outliers}" for number, layer in enumerate(found) if layer.outliers)
        print(f"{len(self.target)} sentences; outlier units: {units or 'none'}")

    def embed(self, graph: Any) -> NDArray[np.float32]:
        """Return the embeddings that a graph gives."""
        return self.run(open_graph(graph))

    def run(self, session: Any) -> NDArray[np.float32]:
        """Return the embeddings of all sentences."""
        return np.concatenate([session.run(["sentence_embedding"], batch)[0] for batch in self.batches])

    def cosines(self, vectors: NDArray[np.float32]) -> str:
        """Return cells: mean and 5th percentile of the cosines to the fp32 graph."""
        found = (vectors * self.target).sum(axis=1)  # both are of length 1
        return f"{found.mean():.4f} | {np.percentile(found, 5):.4f}"

    def show_terms(self) -> None:
        """Print what each part of int8 costs alone."""
        print("\n| quantised, all else in fp32 | cosine, mean | 5th percentile |\n| --- | ---: | ---: |")
        for name, columns in (("7 bits", seven_bits), ("8 bits, neighbours within 16", narrow), ("8 bits", whole)):
            self.show_term(f"weights, {name}", quantize_weights(self.plain, columns))
        for kind, said in KINDS.items():
            self.show_term(f"inputs of {said}", quantize_inputs(self.plain, kind))
        self.show_term(f"inputs of {KINDS['outer']}, outlier units apart", quantize_inputs(self.apart, "outer"))
        for kind in ("mixed", "inner"):
            self.show_term(f"inputs of {KINDS[kind]}, balanced", quantize_inputs(self.balanced, kind))
        self.show_term("all inputs, outlier units apart, balanced", quantize_inputs(self.balanced, ""))

    def show_term(self, name: str, graph: Any) -> None:
        print(f"| {name} | {self.cosines(self.embed(graph))} |", flush=True)

    def show_files(self, rounds: int) -> None:
        """Print what whole files give, weigh and take."""
        files = {}
        for name, graph, chosen, columns in (
            ("weights of 7 bits", self.plain, FORMATS["onnx-int8"], seven_bits),
            ("outlier units apart", self.apart, FORMATS["onnx-int8"], seven_bits),
            ("… and balanced", self.balanced, FORMATS["onnx-int8"], seven_bits),
            ("… and 8 bits, neighbours within 16: onnx-int8", self.balanced, FORMATS["onnx-int8"], narrow),
            ("onnx-int8-vnni", self.balanced, FORMATS["onnx-int8-vnni"], whole),
            ("onnx-q4", self.balanced, FORMATS["onnx-q4"], narrow),
        ):
            files[name] = write(graph, chosen, columns)
        sessions = {name: open_graph(file) for name, file in files.items()}
        found = {name: self.run(session) for name, session in sessions.items()}
        best = {name: np.full(len(self.batches), np.inf) for name in files}
        for _ in range(rounds):
            for number, batch in enumerate(self.batches):
                for name, session in sessions.items():
                    started = time.process_time()
                    session.run(["sentence_embedding"], batch)
                    best[name][number] = min(best[name][number], time.process_time() - started)
        print("\n| file | cosine, mean | 5th percentile | MiB | CPU time |\n| --- | ---: | ---: | ---: | ---: |")
        for name, file in files.items():
            ratio = best[name].sum() / best["weights of 7 bits"].sum()
            print(f"| {name} | {self.cosines(found[name])} | {len(file) / 2**20:.2f} | {ratio:.3f} |")


def make_batches(folder: Path, texts: list[list[str]], length: int) -> Iterator[Batch]:
    tokenizer = open_tokenizer(folder / "tokenizer.json")
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding()
    for own in texts:
        found = tokenizer.encode_batch(own)
        ids, mask = ([getattr(one, name) for one in found] for name in ("ids", "attention_mask"))
        yield {"input_ids": np.array(ids, dtype=np.int64), "attention_mask": np.array(mask, dtype=np.int64)}


def open_graph(graph: Any) -> Any:
    """Return a session of a graph or of a file's bytes, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(graph if isinstance(graph, bytes) else graph.SerializeToString())
        return open_session(file, threads=1)


def seven_bits(weights: NDArray[np.float32], **_: object) -> Columns:
    """Quantise as ONNX Runtime's `reduce_range` does."""
    scales = np.abs(weights).max(axis=0) / 63
    integers = np.rint(np.divide(weights, scales, out=np.zeros_like(weights), where=scales > 0))
    return integers.astype(np.int8), scales.astype(np.float32)


def narrow(weights: NDArray[np.float32], **_: object) -> Columns:
    return quantize_columns(weights, narrow=True)


def whole(weights: NDArray[np.float32], **_: object) -> Columns:
    return quantize_columns(weights, narrow=False)


def write(graph: Any, chosen: Format, columns: Callable[..., Columns]) -> bytes:
    """Return a file whose weights are quantised by this function."""
    kept, products.quantize_columns = products.quantize_columns, columns
    try:
        file: bytes = convert_graph(graph, chosen).SerializeToString()
    finally:
        products.quantize_columns = kept
    return file


def copied(graph: Any) -> tuple[Any, dict[str, Any]]:
    """Return a copy of a graph and its products in fp32 by the names of their weights, but for those set apart."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    found = {node.input[1]: node for node in model.graph.node if node.op_type == "Gemm"}
    return model, {name: node for name, node in found.items() if not is_apart(name)}


def quantize_weights(graph: Any, columns: Callable[..., Columns]) -> Any:
    """Return a graph in fp32 whose weights are what their integers stand for."""
    model, found = copied(graph)
    for tensor in model.graph.initializer:
        if tensor.name in found:
            integers, scales = columns(numpy_helper.to_array(tensor).T)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray((integers * scales).T), tensor.name))
    return model


def quantize_inputs(graph: Any, kind: str) -> Any:
    """Return a graph in fp32 where the inputs of products of a kind go through 8 bits."""
    model, found = copied(graph)
    nodes = []
    for node in list(model.graph.node):
        if any(node.input[1] == name and kind in name for name in found if len(node.input) > 1):
            given, parts = node.input[0], [f"{node.name}.{part}" for part in ("bytes", "scale", "zero")]
            nodes.append(helper.make_node("DynamicQuantizeLinear", [given], parts))
            nodes.append(helper.make_node("DequantizeLinear", parts, [f"{node.name}.given"]))
            node.input[0] = f"{node.name}.given"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


if __name__ == "__main__":
    main()

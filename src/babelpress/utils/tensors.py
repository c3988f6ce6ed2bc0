"""Read single tensors and rows of safetensors checkpoints without loading the rest.

Tensors come as numpy views of the file, so that gathering 15,424 of 250,037 rows touches the pages
of those rows alone. bf16, which numpy lacks, comes as its bits and is widened on request.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import TeacherError
from babelpress.utils.files import hash_file, hash_json, read_json, replace_file

_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64}


@dataclass(frozen=True)
class _Tensor:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int


class Checkpoint:
    """The tensors of one or several safetensors files, opened lazily."""

    def __init__(self, tensors: dict[str, _Tensor], files: tuple[Path, ...]) -> None:
        self._tensors = tensors
        self._files = files

    def names(self) -> list[str]:
        """Return the tensors' names, sorted."""
        return sorted(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape. Raises TeacherError when it is not there."""
        return self._get(name).shape

    def size(self, name: str) -> int:
        """Return a tensor's number of values."""
        return math.prod(self.shape(name))

    def stored_as(self) -> str:
        """Return the number format that most values are stored in, as users say it (fp32, fp16, bf16)."""
        values: dict[str, int] = {}
        for name, tensor in self._tensors.items():
            values[tensor.dtype] = values.get(tensor.dtype, 0) + self.size(name)
        most = max(values, key=lambda dtype: values[dtype], default="F32")
        return most.lower().replace("f", "fp") if most.startswith("F") else most.lower()

    def bytes_on_disk(self) -> int:
        """Return the size of all files."""
        return sum(file.stat().st_size for file in self._files)

    def content_hash(self) -> str:
        """Hash the content of all files."""
        return hash_json([hash_file(file) for file in self._files])

    def read(self, name: str, *, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return a tensor, or some of its rows, as a new fp32 array that shares nothing with the file."""
        tensor = self._get(name)
        if tensor.dtype not in _DTYPES:
            raise TeacherError(f"{name} is stored as {tensor.dtype}; supported: {', '.join(_DTYPES)}")
        view = np.memmap(
            tensor.file,
            dtype=_DTYPES[tensor.dtype],
            mode="r",
            offset=tensor.start,
            shape=tensor.shape or (1,),
        )
        picked = np.array(view if rows is None else view[rows])
        if tensor.dtype == "BF16":
            return (picked.astype(np.uint32) << 16).view(np.float32)
        return picked.astype(np.float32, copy=False)

    def _get(self, name: str) -> _Tensor:
        if name not in self._tensors:
            raise TeacherError(f"the weights have no tensor {name}")
        return self._tensors[name]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open model.safetensors, or the shards that model.safetensors.index.json lists, in a folder.

    Raises TeacherError when there are none, or when one is damaged.
    """
    files = _weight_files(folder)
    tensors: dict[str, _Tensor] = {}
    for file in files:
        tensors.update(_read_header(file))
    return Checkpoint(tensors, tuple(files))


def save_tensors(path: Path, tensors: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    """Write tensors as safetensors, atomically, with the metadata that transformers asks for."""
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())}
    replace_file(path, lambda temporary: save_file(whole, str(temporary), metadata={"format": "pt"}))


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        files = [folder / name for name in _shard_names(index)]
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
            raise TeacherError(f"{index} names {', '.join(missing) or 'no files'}, missing in {folder}")
        return files
    pickles = [path.name for path in sorted([*folder.glob("*.bin"), *folder.glob("*.pt")])]
    hint = f" ({pickles[0]} is a pickle and is never read; convert it to safetensors first)" if pickles else ""
    raise TeacherError(f"{folder} has no model.safetensors{hint}")


def _shard_names(index: Path) -> list[str]:
    """Return the files of an index: bare names, so that none leads out of the folder.

    The files themselves may be links that do: those of a hub snapshot point to its blobs.
    """
    value = read_json(index)
    shards = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(shards, dict):
        raise TeacherError(f"{index} has no weight_map")
    for name in shards.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise TeacherError(f"{index} names {name!r}, which points outside of its folder; refused")
    return sorted(set(shards.values()))


def _read_header(file: Path) -> dict[str, _Tensor]:
    """Return the tensors of one file; safetensors' own reader validates it first."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="numpy"):
            pass
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise TeacherError(f"{file} is not a whole safetensors file: {error}") from None
    start = 8 + length
    tensors: dict[str, _Tensor] = {}
    for stored, entry in header.items():
        if stored == "__metadata__":
            continue
        name = _current_name(stored)
        if name in tensors:
            raise TeacherError(f"{file}: {name} occurs twice, once as {stored}; remove one of them")
        tensors[name] = _Tensor(file, entry["dtype"], tuple(entry["shape"]), start + entry["data_offsets"][0])
    return tensors


def _current_name(stored: str) -> str:
    """Return the name of today for a norm's parameter: checkpoints converted from TensorFlow say gamma and beta."""
    return re.sub(r"\.beta$", ".bias", re.sub(r"\.gamma$", ".weight", stored))

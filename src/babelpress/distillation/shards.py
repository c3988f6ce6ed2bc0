"""Shards: safetensors files of some ten thousand rows that say what they belong to and prove that they are whole.

A shard is read through the page cache, memory-mapped and without an open file, so that thousands of them
and more than fits into memory are nothing special.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from babelpress.utils.files import canonical_json, replace_file

Tensors = dict[str, torch.Tensor]


def write_shard(path: Path, tensors: Tensors, *, key: str, rows: int, more: Mapping[str, str] | None = None) -> None:
    """Write a shard, whole or not at all. `key` is what it belongs to, `more` what else it is to say of itself."""
    facts = {"key": key, "rows": str(rows), "xxh3": checksum(tensors), **(more or {})}
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda temporary: save_file(whole, str(temporary), metadata=facts))


def open_shard(path: Path) -> Tensors:
    """Open a shard's tensors, memory-mapped. Raises OSError or SafetensorError when it is not one."""
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def facts_of(path: Path) -> dict[str, str]:
    """Return what a shard says of itself: `key`, `rows`, `xxh3`, and what else it was given."""
    with safe_open(str(path), framework="pt") as file:
        return dict(sorted((file.metadata() or {}).items()))


def fault_of(path: Path, *, key: str, rows: int | None, whole: bool = True) -> str | None:
    """Say what is wrong with a shard, None when nothing is; `whole` reads all of it to compare checksums.

    Where `rows` is None, it may have any number of them.
    """
    if not path.is_file():
        return "missing"
    try:
        facts = facts_of(path)
        if facts.get("key") != key:
            return "of other data"
        if rows is not None and facts.get("rows") != str(rows):
            return f"of {facts.get('rows')} rows, not {rows}"
        if whole and checksum(open_shard(path)) != facts.get("xxh3"):
            return "damaged (its checksum differs)"
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        return f"damaged ({' '.join(str(error).split())})"
    return None


def checksum(tensors: Tensors) -> str:
    """Hash names, shapes, types and bytes of tensors (XXH3, 128 bits: finds changes, no defence against forgery)."""
    digest = xxhash.xxh3_128()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(canonical_json([name, list(tensor.shape), str(tensor.dtype)]).encode())
        if tensor.numel():
            bytes_of: Any = tensor.view(torch.uint8).numpy()
            digest.update(bytes_of)
    return digest.hexdigest()

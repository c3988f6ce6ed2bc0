"""Parts of shards: what the teacher has done of a shard, kept beside it, so that a kill costs minutes of its work.

A part is a safetensors file as a shard is, but its rows are in the order in which the texts are encoded: by length.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.distillation.shards import Tensors, facts_of, fault_of, open_shard, write_shard

logger = logging.getLogger(__name__)

SAVE_EVERY = 120.0  # seconds

Values = dict[str, NDArray[np.float16]]


@dataclass
class Part:
    """The part of a shard: where it lies, what it belongs to, and what an earlier run left of it, mapped."""

    path: Path
    key: str
    precision: str
    left: Tensors = field(default_factory=dict)
    _saved: float = 0.0

    @property
    def done(self) -> int:
        """Return of how many texts an earlier run left the values."""
        return len(next(iter(self.left.values()))) if self.left else 0

    def begin(self, order: NDArray[np.int64]) -> Values:
        """Start the clock; return arrays for all texts of the shard, filled for those that are done.

        These are the first ones of `order`.
        """
        self._saved = time.monotonic()
        values: Values = {}
        for name, tensor in self.left.items():
            values[name] = np.empty((len(order), *tensor.shape[1:]), dtype=np.float16)
            values[name][order[: self.done]] = tensor.numpy()
        return values

    def save(self, values: Values, rows: NDArray[np.int64]) -> None:
        """Write the values of the first rows in order, unless that was done less than two minutes ago."""
        if time.monotonic() - self._saved < SAVE_EVERY:
            return
        tensors = {name: torch.from_numpy(array[rows]) for name, array in values.items()}
        write_shard(self.path, tensors, key=self.key, rows=len(rows), more={"precision": self.precision})
        self._saved = time.monotonic()


def part_path(shard: Path) -> Path:
    """Return where the part of a shard lies; by its name it is no shard."""
    return shard.with_suffix(".part")


def find_part(shard: Path, *, key: str, precision: str) -> Part:
    """Return the part of a shard that is to be made; what is damaged or of something else counts as nothing."""
    part = Part(part_path(shard), f"{key}/part", precision)
    fault = fault_of(part.path, key=part.key, rows=None)
    if fault is None and (found := facts_of(part.path).get("precision")) != precision:
        fault = f"of {found} values, not {precision}"
    if fault is None:
        part.left = open_shard(part.path)
    elif fault != "missing":
        logger.warning("%s is %s; its shard is begun anew", part.path, fault)
    return part

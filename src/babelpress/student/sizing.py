"""Count a student's parameters and bytes before it exists; the tests hold this against real files."""

from __future__ import annotations

from dataclasses import dataclass

from babelpress.errors import PlanError
from babelpress.teacher import Teacher


@dataclass(frozen=True)
class Size:
    """Parameters of the encoder and the bytes that their fp32 weights take."""

    parameters: int
    parameters_without_pooler: int

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of the fp32 tensors (a safetensors header comes to it, some KiB)."""
        return 4 * self.parameters

    @property
    def mib(self) -> float:
        """Return the fp32 tensors in MiB."""
        return self.weight_bytes / 2**20


def estimate_size(teacher: Teacher, *, layers: int, rows: int, pooler: bool) -> Size:
    """Count a student of this teacher with so many layers and embedding rows."""
    per_layer = teacher.family.layer_parameters(teacher)
    others = teacher.parameters_without_pooler - teacher.rows * teacher.hidden - teacher.layers * per_layer
    bare = others + rows * teacher.hidden + layers * per_layer
    own_pooler = teacher.parameters - teacher.parameters_without_pooler
    return Size(bare + (own_pooler if pooler else 0), bare)


def rows_within(teacher: Teacher, *, mib: float, layers: int, pooler: bool) -> int:
    """Return the most embedding rows with which the student's fp32 weights stay within `mib`.

    Raises PlanError when the layers alone take more.
    """
    without = estimate_size(teacher, layers=layers, rows=0, pooler=pooler)
    rows = int((mib * 2**20 - without.weight_bytes) // (4 * teacher.hidden))
    if rows < 1:
        raise PlanError(
            f"vocabulary.mib is {mib:g}, but {layers} layers without any vocabulary take {without.mib:.1f} MiB; "
            "give more, or keep fewer layers"
        )
    return rows

"""Decide which of the teacher's layers stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import PlanError
from babelpress.recipe import LayerMethod, LayersSection
from babelpress.utils.files import read_json, write_json


@dataclass(frozen=True)
class LayerPlan:
    """The kept layers in their order, why, and (for `importance`) what each layer was found to do."""

    kept: tuple[int, ...]
    of: int
    reason: str
    influence: tuple[float, ...] = ()

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> LayerPlan:
        """Read what `save` wrote."""
        values: dict[str, Any] = read_json(path)
        return cls(tuple(values["kept"]), values["of"], values["reason"], tuple(values["influence"]))


def plan_layers(
    request: LayersSection, *, layers: int, embeddings_by_layer: NDArray[np.float32] | None = None
) -> LayerPlan:
    """Choose layers of a teacher that has `layers`.

    `embeddings_by_layer`, shape (layers + 1, sentences, dimensions), is needed for `importance`
    alone: the sentence embeddings before the first layer and after each. Raises PlanError.
    """
    if request.method is LayerMethod.EXPLICIT:
        return LayerPlan(_checked(request.keep or (), layers), layers, "given in the recipe")
    count = request.count or 0
    if not 1 <= count <= layers:
        raise PlanError(f"layers.count is {request.count}; this teacher has {layers} layers, so give 1 to {layers}")
    if request.method is LayerMethod.FIRST:
        return LayerPlan(tuple(range(count)), layers, f"the first {count}")
    if request.method is LayerMethod.LAST:
        return LayerPlan(tuple(range(layers - count, layers)), layers, f"the last {count}")
    if request.method is LayerMethod.ENDS:
        low = (count + 1) // 2
        kept = (*range(low), *range(layers - (count - low), layers))
        return LayerPlan(kept, layers, f"the first {low} and the last {count - low}")
    if request.method is LayerMethod.UNIFORM:
        return LayerPlan(uniform(count, layers), layers, f"{count} at equal distances, first and last included")
    if embeddings_by_layer is None:
        raise PlanError("layers.method 'importance' needs the teacher's embeddings after each layer")
    influence = block_influence(embeddings_by_layer)
    best = sorted(np.argsort(-influence, kind="stable")[:count].tolist())
    return LayerPlan(tuple(best), layers, "those that change the sentence embeddings most", tuple(influence.tolist()))


def uniform(count: int, layers: int) -> tuple[int, ...]:
    """Return `count` layers at equal distances; the first and the last are among them (one: the first)."""
    if count == 1:
        return (0,)
    return tuple(int(position * (layers - 1) / (count - 1) + 0.5) for position in range(count))


def block_influence(embeddings_by_layer: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much each layer turns the sentence embeddings: 1 - mean cosine of input and output.

    Input shape (layers + 1, sentences, dimensions), output (layers,). This is the Block Influence of
    Men et al. 2024 (ShortGPT, arXiv 2403.03853, equation 1), on pooled sentences instead of tokens.
    """
    values = embeddings_by_layer.astype(np.float64)
    values /= np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    return 1.0 - np.einsum("lsd,lsd->ls", values[:-1], values[1:]).mean(axis=1)


def _checked(keep: tuple[int, ...], layers: int) -> tuple[int, ...]:
    if not keep:
        raise PlanError("layers.keep is empty; keep at least one layer")
    outside = [number for number in keep if not 0 <= number < layers]
    if outside:
        raise PlanError(f"layers.keep names layer {outside[0]}; this teacher has {layers}, numbered 0 to {layers - 1}")
    doubled = sorted({number for number in keep if keep.count(number) > 1})
    if doubled:
        raise PlanError(f"layers.keep names layer {doubled[0]} twice; a layer can be kept once")
    return keep

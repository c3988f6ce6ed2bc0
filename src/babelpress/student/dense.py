"""Fold a learned projection into a student folder, so that its embeddings have the teacher's dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from babelpress.errors import TeacherError
from babelpress.utils.files import read_json, write_json
from babelpress.utils.tensors import save_tensors

_MODULES = "sentence_transformers.models"


def fold_projection(folder: Path, projection: Path) -> None:
    """Add a projection as Dense, with Normalize before and behind it, as it was trained.

    `projection` is the safetensors file that training wrote: `projection.weight`, shape (teacher's dimensions,
    student's). Raises TeacherError when the folder's embeddings have other dimensions.
    """
    weight: NDArray[np.float32] = load_file(projection)["projection.weight"]
    modules: list[dict[str, Any]] = read_json(folder / "modules.json")
    pooling = next(module for module in modules if module["type"].endswith("Pooling"))
    config = read_json(folder / pooling["path"] / "config.json")
    dimensions = config.get("word_embedding_dimension", config.get("embedding_dimension"))
    if not any(module["type"].endswith("Dense") for module in modules) and dimensions != weight.shape[1]:
        raise TeacherError(
            f"{projection} is for embeddings of {weight.shape[1]} dimensions, those of {folder} have {dimensions}"
        )
    kinds = ["Dense", "Normalize"] if modules[-1]["type"].endswith("Normalize") else ["Normalize", "Dense", "Normalize"]
    for kind in kinds:
        number = len(modules)
        place = f"{number}_{kind}"
        modules.append({"idx": number, "name": str(number), "path": place, "type": f"{_MODULES}.{kind}"})
        if kind == "Dense":
            _write_dense(folder / place, weight)
    write_json(folder / "modules.json", modules)


def _write_dense(folder: Path, weight: NDArray[np.float32]) -> None:
    folder.mkdir()
    write_json(folder / "config.json", {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    })  # fmt: skip
    save_tensors(folder / "model.safetensors", {"linear.weight": weight})

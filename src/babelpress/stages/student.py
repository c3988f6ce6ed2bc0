"""The stage `student`: the pruned folder with the trained weights, which is what users load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from babelpress.recipe import StoredAs
from babelpress.stages import distillation, pruned
from babelpress.stages.distillation import dump_training
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, read_plans


def settings(run: Run) -> Any:
    """Return where the student comes from; its manifest travels with it."""
    recipe = run.recipe
    return {
        "recipe": recipe.name,
        "languages": recipe.languages,
        "teacher": {
            "name": run.teacher.name,
            "revision": run.teacher.revision,
            "fingerprint": run.teacher.fingerprint,
        },
        "distillation": dump_training(run),
        "fold_projection": recipe.student.fold_projection,
        "seed": recipe.seed,
        **({} if recipe.student.stored_as is StoredAs.FP32 else {"stored_as": str(recipe.student.stored_as)}),
    }


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the final student: the pruned folder with the trained weights, and its tokenizer's golden file."""
    from babelpress.checks.golden import write_golden
    from babelpress.evaluation.model_folders import model_facts
    from babelpress.student.build import replace_weights
    from babelpress.student.dense import fold_projection

    shutil.copytree(
        run.path("pruned"),
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("manifest.json", "model.safetensors"),
    )
    replace_weights(
        run.path("pruned"), run.path("distillation") / "best.safetensors", folder / "model.safetensors",
        stored_as=run.recipe.student.stored_as,
    )  # fmt: skip
    projection = run.path("distillation") / "projection.safetensors"
    if projection.is_file() and run.recipe.student.fold_projection:
        fold_projection(folder, projection)
    write_golden(folder)
    layers, vocabulary = read_plans(run)
    return {**model_facts(folder), "layers_kept": list(layers.kept), "vocabulary": vocabulary.digest()}


STAGE = Stage("student", (pruned.STAGE, distillation.STAGE), settings, make, version=2)

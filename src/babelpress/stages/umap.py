"""The stage `umap`: parallel sentences as every model sees them, drawn in two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.stages import pruned, student
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, copies, dump, teacher_key


def settings(run: Run) -> Any:
    """Return what the picture depends on besides the models."""
    return {
        "visualization": dump(run.recipe.visualization),
        "copies": copies(run, [run.recipe.visualization.source]),
        "seed": run.recipe.seed,
        "languages": run.recipe.languages,
        "teacher": teacher_key(run),
    }


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Draw the picture."""
    from babelpress.reports.picture import draw_run

    trust = run.teacher.trust_remote_code
    return draw_run(run.recipe, run.models(), folder, data_dir=run.data_dir, trust_remote_code=trust)


STAGE = Stage("umap", (pruned.STAGE, student.STAGE), settings, make, version=2, formerly="report")

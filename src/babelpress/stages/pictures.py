"""The stage `pictures`: what is drawn from the figures of finished stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.stages import distillation, evaluation
from babelpress.stages.engine import Stage
from babelpress.stages.evaluation import model_results
from babelpress.stages.run import Run


def settings(run: Run) -> Any:
    """Return what the pictures depend on besides figures: names, and the published scores that stand beside them."""
    from babelpress.evaluation.compare.published import published_hash

    return {"recipe": run.recipe.name, "teacher": run.teacher.name, "published": published_hash()}


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Draw what the training and the evaluation gave."""
    from babelpress.reports.pictures import draw_pictures

    drawn = draw_pictures(
        folder,
        recipe=run.recipe.name,
        teacher_id=run.teacher.name,
        models=model_results(run),
        log=run.path("distillation") / "log.jsonl",
    )
    return {"drawn": list(drawn)}


STAGE = Stage("pictures", (distillation.STAGE, evaluation.STAGE), settings, make)

"""The stage `pictures`: what is drawn from the figures of finished stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.files import read_json
from babelpress.steps import Run


def pictures_settings(run: Run) -> Any:
    """Return what the pictures depend on besides figures: names, and the published scores that stand beside them."""
    from babelpress.evaluation.published import published_hash

    return {"recipe": run.recipe.name, "teacher": run.teacher.name, "published": published_hash()}


def make_pictures(run: Run, folder: Path) -> dict[str, Any]:
    """Draw what the training and the evaluation gave."""
    from babelpress.evaluation.results import ModelResult
    from babelpress.report.pictures import draw_pictures

    figures = read_json(run.path("evaluation") / "models.json")
    drawn = draw_pictures(
        folder,
        recipe=run.recipe.name,
        teacher_id=run.teacher.name,
        models={name: ModelResult.model_validate(found) for name, found in figures.items()},
        log=run.path("distillation") / "log.jsonl",
    )
    return {"drawn": list(drawn)}

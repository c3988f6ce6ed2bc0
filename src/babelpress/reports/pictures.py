"""The pictures that are drawn from a run's figures; that of its embeddings is in picture.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from babelpress.evaluation.compare.published import published_models
from babelpress.reports.language_plot import draw_languages, language_figures
from babelpress.reports.lengths_plot import draw_lengths, lengths_of
from babelpress.reports.loss_plot import draw_loss, read_training
from babelpress.reports.size_plot import draw_sizes, sizes_of_run
from babelpress.schema.results import ModelResult


def draw_pictures(
    out: Path, *, recipe: str, teacher_id: str, models: Mapping[str, ModelResult], log: Path
) -> tuple[str, ...]:
    """Write PNG and SVG of loss, languages, lengths and pareto into a folder; return those that there were figures for.

    `log` is that of the training, `models` are those of a run's results, the teacher and the student's last.
    """
    drawn = []
    if draw_loss(read_training(log), out / "loss", title=f"{recipe}: training"):
        drawn.append("loss")
    languages = language_figures(models)
    if languages is not None:
        draw_languages(languages, out / "languages", title=f"{recipe}: languages")
        drawn.append("languages")
    measures = {name: model.measures for name, model in models.items()}
    if lengths_of(measures):
        draw_lengths(measures, out / "lengths")
        drawn.append("lengths")
    sizes = sizes_of_run(models, recipe=recipe, teacher_id=teacher_id, published=published_models().values())
    if sizes is not None:
        draw_sizes(sizes, out / "pareto", title=f"{recipe}: score and size")
        drawn.append("pareto")
    return tuple(drawn)

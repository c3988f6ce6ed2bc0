"""The stages of a run, in order; the only place that knows the order.

corpus → vocabulary → layers → pruned → targets → distillation → student → evaluation → export → umap → pictures

Each stage has a file of its own: what its result depends on (`settings`), how it is made (`make`), and `STAGE`.
"""

from __future__ import annotations

from babelpress.stages import (
    corpus,
    distillation,
    evaluation,
    export,
    layers,
    pictures,
    pruned,
    student,
    targets,
    umap,
    vocabulary,
)
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run

STAGES: dict[str, Stage[Run]] = {
    module.STAGE.name: module.STAGE
    for module in (
        corpus, vocabulary, layers, pruned, targets, distillation, student, evaluation, export, umap, pictures,
    )
}  # fmt: skip


def stages_of(run: Run) -> list[str]:
    """Return the names of the stages that a whole run of this recipe has."""
    return [name for name, stage in STAGES.items() if stage.wanted(run)]

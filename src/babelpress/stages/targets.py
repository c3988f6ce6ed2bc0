"""The stage `targets`: the teacher's embeddings of the corpus; all processes work on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.stages import corpus, layers
from babelpress.stages.engine import Stage, output_hash
from babelpress.stages.run import Run
from babelpress.student.layers import LayerPlan
from babelpress.utils import processes
from babelpress.utils.files import write_json

if TYPE_CHECKING:
    from babelpress.distillation.targets import TargetsSpec

_INDEX = "index.json"


def targets_spec(run: Run) -> TargetsSpec:
    """Return what the run's targets are of."""
    from babelpress.distillation.targets import TargetsSpec
    from babelpress.distillation.texts import TextRules

    settings = run.recipe.distillation
    layers = LayerPlan.load(run.path("layers") / "plan.json").kept if settings.loss.compares_hidden_states() else ()
    corpus = run.path("corpus")
    return TargetsSpec(
        run.teacher, corpus, output_hash(corpus), TextRules.of(settings), layers, settings.target_precision,
        sentences=settings.sentences,
    )  # fmt: skip


def targets_folder(run: Run, spec: TargetsSpec) -> Path:
    """Return where the targets lie, which all runs that want the same share."""
    return run.cache / "targets" / spec.key


def settings(run: Run) -> Any:
    """Return what the targets depend on."""
    spec = targets_spec(run)
    return {"key": spec.key} | ({} if spec.sentences is None else {"sentences": spec.sentences})


def targets_are_there(run: Run, folder: Path) -> bool:
    """Tell whether the shards that a finished stage speaks of are still in the cache."""
    from babelpress.distillation.targets import all_there

    spec = targets_spec(run)
    return all_there(spec, targets_folder(run, spec))


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the teacher's embeddings of the corpus into the cache, and an index of them into the stage's folder."""
    from babelpress.distillation.targets import SPLITS, compute_targets, describe_shards

    spec = targets_spec(run)
    place = targets_folder(run, spec)
    summary = compute_targets(spec, place)
    if not processes.is_main():
        return {}
    rows = {split.value: spec.rows(split) for split in SPLITS}
    write_json(folder / _INDEX, {"key": spec.key, "rows": rows, "shards": describe_shards(spec, place)})
    return {"rows": sum(rows.values()), **summary}


def check(run: Run) -> None:
    """Refuse lengths that the teacher does not read. Raises PlanError or TeacherError."""
    from babelpress.distillation.targets import check_length
    from babelpress.distillation.texts import TextRules

    check_length(run.teacher, TextRules.of(run.recipe.distillation))


STAGE = Stage(
    "targets",
    (corpus.STAGE, layers.STAGE),
    settings,
    make,
    present=targets_are_there,
    check=check,
    shared=True,
    version=2,
)

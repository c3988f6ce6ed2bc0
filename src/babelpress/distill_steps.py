"""The stages `targets` and `distillation`; all processes work on both."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress import processes
from babelpress.corpus.sentence import Split
from babelpress.files import hash_file, hash_json, read_json, remove_leftovers, remove_tree, write_json
from babelpress.stages import output_hash
from babelpress.steps import Run, dump_training
from babelpress.student.layers import LayerPlan

if TYPE_CHECKING:
    from babelpress.distillation.targets import TargetsSpec
    from babelpress.distillation.train import TrainingReport

_INDEX = "index.json"


def targets_spec(run: Run) -> TargetsSpec:
    """Return what the run's targets are of."""
    from babelpress.distillation.targets import TargetsSpec
    from babelpress.distillation.texts import TextRules

    settings = run.recipe.distillation
    layers = LayerPlan.load(run.path("layers") / "plan.json").kept if settings.loss.hidden > 0 else ()
    corpus = run.path("corpus")
    return TargetsSpec(
        run.teacher, corpus, output_hash(corpus), TextRules.of(settings), layers, settings.target_precision,
        sentences=settings.sentences,
    )  # fmt: skip


def targets_folder(run: Run, spec: TargetsSpec) -> Path:
    """Return where the targets lie, which all runs that want the same share."""
    return run.cache / "targets" / spec.key


def targets_settings(run: Run) -> Any:
    """Return what the targets depend on."""
    spec = targets_spec(run)
    return {"key": spec.key} | ({} if spec.sentences is None else {"sentences": spec.sentences})


def targets_are_there(run: Run, folder: Path) -> bool:
    """Tell whether the shards that a finished stage speaks of are still in the cache."""
    from babelpress.distillation.targets import all_there

    spec = targets_spec(run)
    return all_there(spec, targets_folder(run, spec))


def make_targets(run: Run, folder: Path) -> dict[str, Any]:
    """Write the teacher's embeddings of the corpus into the cache, and an index of them into the stage's folder."""
    from babelpress.distillation.targets import SPLITS, compute_targets, describe_shards

    spec = targets_spec(run)
    place = targets_folder(run, spec)
    told = compute_targets(spec, place)
    if not processes.is_main():
        return {}
    rows = {split.value: spec.rows(split) for split in SPLITS}
    write_json(folder / _INDEX, {"key": spec.key, "rows": rows, "shards": describe_shards(spec, place)})
    return {"rows": sum(rows.values()), **told}


def distillation_settings(run: Run) -> Any:
    """Return what the training depends on besides its inputs."""
    return {"distillation": dump_training(run), "seed": training_seed(run)}


def training_seed(run: Run) -> int:
    """Return what decides the order of the batches."""
    own = run.recipe.distillation.seed
    return run.recipe.seed if own is None else own


def make_distillation(run: Run, folder: Path) -> dict[str, Any]:
    """Train the pressed student."""
    path = folder / "report.json"
    if processes.is_main():
        remove_leftovers(folder)
    if not path.is_file():  # else a run was killed behind the training, its checkpoints perhaps gone already
        report = _train(run, folder)
        if processes.is_main():
            write_json(path, asdict(report))
    if not processes.is_main():
        return {}
    for rest in (folder / "tokens", *folder.glob("checkpoint*")):
        remove_tree(rest)
    report = read_json(path)
    return {key: report[key] for key in ("epochs", "steps", "best_epoch", "best_loss")}


def _train(run: Run, folder: Path) -> TrainingReport:
    from babelpress.distillation.feed import TrainingText
    from babelpress.distillation.targets import open_targets
    from babelpress.distillation.tokens import build_token_store
    from babelpress.distillation.train import train_student

    spec = targets_spec(run)
    student, longest = run.path("pressed"), run.teacher.max_length
    key = hash_json([spec.key, hash_file(student / "tokenizer.json"), longest])
    texts = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        targets = open_targets(spec, targets_folder(run, spec), split)
        tokens = build_token_store(
            student, run.path("corpus"), folder / "tokens", split=split, targets=targets, rules=spec.rules, key=key,
            max_length=longest,
        )  # fmt: skip
        limit = run.recipe.distillation.sentences if split is Split.TRAIN else None
        texts[split] = TrainingText(replace(tokens, limit=limit), targets)
    return train_student(
        student, folder, train=texts[Split.TRAIN], validation=texts[Split.VALIDATION],
        settings=run.recipe.distillation, seed=training_seed(run),
    )  # fmt: skip

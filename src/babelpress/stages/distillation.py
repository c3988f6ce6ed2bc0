"""The stage `distillation`: the pruned student learns the targets; all processes work on it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.corpus.sentence import Split
from babelpress.recipe import DistillationSection
from babelpress.schema.losses import LOSSES
from babelpress.stages import corpus, pruned, targets
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, dump
from babelpress.stages.targets import targets_folder, targets_spec
from babelpress.utils import processes
from babelpress.utils.files import hash_file, hash_json, read_json, remove_leftovers, remove_tree, write_json

if TYPE_CHECKING:
    from babelpress.distillation.train import TrainingReport

# Settings that came after 0.1. At their defaults they are left out of the key, so that older results stay valid.
_ADDED = ("seed", "sentences", "embedding_rate", "cycles", "final_learning_rate", "average")


def settings(run: Run) -> Any:
    """Return what the training depends on besides its inputs."""
    return {"distillation": dump_training(run), "seed": training_seed(run)}


def dump_training(run: Run) -> Any:
    """Return how a student is trained; who watches changes nothing.

    Settings that came later are left out where they are not used, so that older results stay valid.
    """
    settings = dump(run.recipe.distillation)
    del settings["trackers"]
    for name in _ADDED:
        if settings[name] == DistillationSection.model_fields[name].default:
            del settings[name]
    for name, term in LOSSES.items():
        if term.late and settings["loss"].get(name) == term.default:
            del settings["loss"][name]
    return settings


def training_seed(run: Run) -> int:
    """Return what decides the order of the batches."""
    own = run.recipe.distillation.seed
    return run.recipe.seed if own is None else own


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Train the pruned student."""
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
    student, longest = run.path("pruned"), run.teacher.max_length
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


STAGE = Stage(
    "distillation", (pruned.STAGE, targets.STAGE, corpus.STAGE), settings, make, resumable=True, shared=True, version=2
)

"""The card's metadata: what the hub filters by and shows, and every mteb figure as mteb's own cards hold it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from babelpress.evaluation.tasks.entries import Entry
from babelpress.recipe import Recipe
from babelpress.reports.licences import hub_datasets, hub_id, student_licence
from babelpress.teacher import Teacher

_TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction")


def model_id(recipe: Recipe) -> str:
    """Return the student's name on the hub: the recipe's, or one made of it."""
    return recipe.card.model_id or f"babelpress/{recipe.name}"


def build_metadata(*, recipe: Recipe, teacher: Teacher, entries: Sequence[Entry]) -> ModelCardData:
    """Return the card's metadata.

    `base_model` is there only where the hub has the teacher; the relation `finetune` is the one of the hub's four
    (adapter, finetune, merge, quantized) that covers weights taken from a model and trained on, and said plainly it
    keeps the hub from guessing `quantized` when int8 files lie beside them.
    """
    licence, base = student_licence(recipe, teacher), hub_id(teacher)
    codes = list(dict.fromkeys(code.partition("-")[0] for code in recipe.languages))
    several = ["multilingual"] if len(codes) > 1 else []
    return ModelCardData(
        language=codes,
        language_bcp47=list(recipe.languages) if any("-" in code for code in recipe.languages) else None,
        license=licence.id,
        license_name=licence.name,
        license_link=licence.link,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        base_model=base,
        base_model_relation="finetune" if base else None,
        datasets=hub_datasets(recipe) or None,
        metrics=list(dict.fromkeys(entry.metric for entry in entries)) or None,
        tags=[*_TAGS, *several, "distillation", "babelpress", *(["mteb"] if entries else [])],
        model_name=model_id(recipe) if entries else None,
        eval_results=_eval_results(entries) or None,
    )


def _eval_results(entries: Sequence[Entry]) -> list[EvalResult]:
    """Return the figures as the hub's model index holds them, in percent, as mteb's leaderboard takes them.

    The index tells results apart by data set, config, split and revision; where two tasks share all of these, each
    figure's metric is named after its task.
    """
    shared = Counter((entry.kind, entry.dataset, entry.subset, entry.split, entry.revision) for entry in entries)
    return [
        EvalResult(
            task_type=entry.kind,
            dataset_type=entry.dataset,
            dataset_name=f"MTEB {entry.task} ({entry.subset})",
            dataset_config=entry.subset,
            dataset_split=entry.split,
            dataset_revision=entry.revision,
            metric_type=entry.metric,
            metric_name=entry.task
            if shared[entry.kind, entry.dataset, entry.subset, entry.split, entry.revision] > 1
            else None,
            metric_value=round(entry.score, 4),
        )
        for entry in entries
    ]

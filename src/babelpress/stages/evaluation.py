"""The stage `evaluation`: teacher, pruned and distilled student, scored on the same texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.corpus.sentence import Split
from babelpress.evaluation.tasks.missing import read_missing
from babelpress.schema.results import ModelResult, Score, read_models
from babelpress.stages import corpus, pruned, student
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, dump, task_data, teacher_key, texts_by_language
from babelpress.utils.files import write_json
from babelpress.utils.machine import describe_machine


def settings(run: Run) -> Any:
    """Return what the scores depend on besides the models."""
    return {
        "evaluation": _dump_evaluation(run),
        "languages": run.recipe.languages,
        "teacher": teacher_key(run),
        "data": task_data(run),
    }


def model_results(run: Run) -> dict[str, ModelResult]:
    """Return the figures of the finished evaluation by model, without timings."""
    return read_models(run.path("evaluation") / "models.json")


def read_scores(run: Run, model: str) -> dict[str, Score]:
    """Return a model's scores from the finished evaluation."""
    return model_results(run)[model].scores


def _dump_evaluation(run: Run) -> Any:
    """Return how models are scored; a suite is the tasks that it holds.

    What may fail changes no score, and the size of batches no more than rounding: whoever lowers it after running out
    of memory keeps the finished tasks.
    """
    section = run.recipe.evaluation
    settings = dump(section) | {"tasks": section.chosen_tasks(), "languages": section.chosen_languages()}
    del settings["suite"], settings["allow_missing"], settings["batch_size"]
    return settings


def nothing_is_missing(run: Run, folder: Path) -> bool:
    """Tell whether a finished evaluation has all its tasks; missing ones are tried again."""
    return not read_missing(folder / "mteb")


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Score the three models.

    Timings go into the manifest's counts: they differ every time, and stages that depend on the scores must not be
    made again for that.
    """
    from babelpress.evaluation.evaluate import RunModel, evaluate_models
    from babelpress.evaluation.model_folders import run_model_id

    recipe = run.recipe
    held_out = texts_by_language(run.path("corpus"), Split.TEST)
    results = evaluate_models(
        {name: RunModel(model, run_model_id(recipe.name, name)) for name, model in run.models().items()},
        settings=recipe.evaluation,
        held_out=held_out,
        languages=recipe.languages,
        data_dir=run.data_dir,
        cache=folder / "mteb",
        trust_remote_code=run.teacher.trust_remote_code,
    )
    figures = {name: result.model_dump(mode="json") for name, result in results.items()}
    speed = {name: values.pop("speed") for name, values in figures.items()}
    write_json(folder / "models.json", figures)
    return {
        "held_out_sentences": sum(map(len, held_out.values())),
        "machine": describe_machine(),
        "speed": {name: values for name, values in speed.items() if values is not None},
    }


def check(run: Run) -> None:
    """Refuse unknown tasks and prompts that no task uses. Raises EvaluationError."""
    from babelpress.evaluation.tasks.mteb_tasks import check_tasks
    from babelpress.evaluation.tasks.scoring import check_prompts, check_prompts_used

    section = run.recipe.evaluation
    check_tasks(section.chosen_tasks())
    if section.prompts:
        check_prompts(section.prompts, setting="evaluation.prompts")
        check_prompts_used(section.prompts, section.chosen_tasks(), setting="evaluation.prompts")


STAGE = Stage(
    "evaluation",
    (pruned.STAGE, student.STAGE, corpus.STAGE),
    settings,
    make,
    present=nothing_is_missing,
    resumable=True,
    version=4,
    check=check,
)

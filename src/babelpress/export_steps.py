"""The stage that writes the student for other runtimes: what it depends on and what it does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.corpus.build import read_texts
from babelpress.corpus.sentence import Split
from babelpress.files import hash_file, replace_file
from babelpress.recipe import ExportSection
from babelpress.steps import Run, dump, read_scores, task_data

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_EACH = 64  # held-out texts of a language


def export_settings(run: Run) -> Any:
    """Return what exports depend on besides the student and its scores."""
    return {"export": dump(run.recipe.export), "languages": run.recipe.languages, "data": task_data(run)}


def exported_tasks(run: Run) -> tuple[str, ...]:
    """Return the tasks that exports are scored on."""
    tasks = run.recipe.export.tasks
    return run.recipe.evaluation.chosen_tasks() if tasks is None else tasks


def make_exports(run: Run, folder: Path) -> dict[str, Any]:
    """Write the exports, each scored as the student was."""
    from babelpress.evaluation.evaluate import BITEXT
    from babelpress.export.export import export_student
    from babelpress.export.formats import choose_formats

    section = run.recipe.export
    names = {*exported_tasks(run), BITEXT}
    scores = {name: score.score for name, score in read_scores(run, "distilled").items() if name in names}
    done = export_student(
        run.path("student"), choose_formats(section.formats), texts=_texts(run), scores=scores,
        scorer=partial(_scores, run, folder), floor=floor_of(section), into=folder,
    )  # fmt: skip
    return {one.name: one.facts() for one in done}


def floor_of(section: ExportSection) -> Any:
    """Return what the recipe's exports must reach."""
    from babelpress.export.result import Floor

    return Floor(mean=section.mean, p5=section.p5, points=section.points)


def _texts(run: Run) -> dict[str, list[str]]:
    """Return the first held-out texts of every language (their order is that of hashes, so they are a fair sample)."""
    found: dict[str, list[str]] = {code: [] for code in run.recipe.languages}
    for texts, languages in read_texts(run.path("corpus"), Split.TEST):
        for text, language in zip(texts, languages, strict=True):
            if len(found.get(language, "x" * _EACH)) < _EACH:
                found[language].append(text)
    return {code: texts for code, texts in found.items() if texts}


def _scores(run: Run, cache: Path, model: SentenceTransformer, file: Path | None) -> Mapping[str, float]:
    """Return an export's scores by name; finished tasks of a killed run are found in the cache."""
    from babelpress.evaluation.evaluate import BITEXT
    from babelpress.evaluation.tasks import run_tasks
    from babelpress.export.scoring import embedded_scores

    recipe = run.recipe
    scores = embedded_scores(model, recipe.languages) if BITEXT in read_scores(run, "distilled") else {}
    tasks = exported_tasks(run)
    if not tasks:
        return scores
    found = run_tasks(
        model, tasks, model_id=f"babelpress/{recipe.name}-export", weights_hash=hash_file(file) if file else "student",
        cache=cache / "mteb", languages=recipe.evaluation.chosen_languages(), data_dir=run.data_dir,
        prompts=recipe.evaluation.prompts, batch_size=recipe.evaluation.batch_size,
    )  # fmt: skip
    return {**scores, **{task.task: task.score for task in found}}


def place_exports(run: Run) -> None:
    """Put the exports into the student's folder, where every reader looks for them."""
    source, target = run.path("export") / "onnx", run.path("student") / "onnx"
    if not source.is_dir():
        return
    for file in sorted(source.iterdir()):
        replace_file(target / file.name, partial(shutil.copyfile, file))

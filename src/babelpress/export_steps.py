"""The stage that writes the student for other runtimes: what it depends on and what it does."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.corpus.sentence import Split
from babelpress.evaluation.results import STUDENT
from babelpress.export.result import keep_exports, read_exports
from babelpress.files import hash_file, remove_leftovers, replace_file
from babelpress.recipe import ExportSection
from babelpress.steps import Run, dump, read_scores, task_data, texts_by_language

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
    from babelpress.evaluation.embedded import BITEXT
    from babelpress.export.export import export_student
    from babelpress.export.formats import choose_formats

    remove_leftovers(folder)  # what a killed run was writing
    section = run.recipe.export
    wanted = (BITEXT, *exported_tasks(run))
    scores = {name: score.score for name, score in read_scores(run, STUDENT).items() if name in wanted}
    done = export_student(
        run.path("student"), choose_formats(section.formats), texts=_texts(run), scores=scores,
        scorer=partial(_scores, run, folder / "mteb", tuple(scores)), floor=floor_of(section), into=folder,
    )  # fmt: skip
    return {one.name: one.facts() for one in done}


def floor_of(section: ExportSection) -> Any:
    """Return what the recipe's exports must reach."""
    from babelpress.export.result import Floor

    return Floor(mean=section.mean, p5=section.p5, points=section.points)


def _texts(run: Run) -> dict[str, list[str]]:
    """Return the first held-out texts of every language (their order is that of hashes, so they are a fair sample)."""
    return {code: texts[:_EACH] for code, texts in texts_by_language(run.path("corpus"), Split.TEST).items()}


def _scores(
    run: Run, cache: Path, wanted: tuple[str, ...], model: SentenceTransformer, file: Path | None
) -> dict[str, float]:
    """Return an export's scores of these names; finished tasks of a killed run are found in the cache."""
    from babelpress.evaluation.embedded import BITEXT
    from babelpress.evaluation.scoring import ScoringSettings, Subject, score_models
    from babelpress.export.scoring import translation_score

    recipe, section = run.recipe, run.recipe.evaluation
    own = translation_score(model, recipe.languages) if BITEXT in wanted else {}
    subject = Subject(model, f"babelpress/{recipe.name}-export", hash_file(file) if file else "student")
    tasks = tuple(name for name in wanted if name != BITEXT)
    settings = ScoringSettings(cache, section.chosen_languages(), run.data_dir, section.prompts, section.batch_size)
    found, _ = score_models({STUDENT: subject}, tasks, settings)
    return {**own, **{name: task.score for name, task in found[STUDENT].items()}}


def place_exports(run: Run) -> None:
    """Put the exports into the student's folder, where every reader looks for them, beside those made by hand."""
    student = run.path("student")
    exports = read_exports(run.path("export"))
    for one in exports:
        file, copy = run.path("export") / one.file, student / one.file
        if not copy.is_file() or hash_file(copy) != hash_file(file):
            replace_file(copy, partial(shutil.copyfile, file))
    keep_exports(student, exports)

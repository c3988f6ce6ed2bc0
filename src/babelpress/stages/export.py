"""The stage that writes the student for other runtimes: what it depends on and what it does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.corpus.sentence import Split
from babelpress.exports.index import keep_exports, read_exports, remove_exports
from babelpress.recipe import ExportSection
from babelpress.schema.exports import Missed, Parity
from babelpress.schema.formats import Format, choose_formats
from babelpress.schema.results import STUDENT
from babelpress.stages import corpus, evaluation, student
from babelpress.stages.engine import Stage
from babelpress.stages.evaluation import read_scores
from babelpress.stages.run import Run, dump, task_data, texts_by_language
from babelpress.utils.files import hash_file, read_json, remove_leftovers, replace_file, write_json
from babelpress.utils.machine import describe_machine

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_EACH = 64  # held-out texts of a language
_MISSED = "missed.json"


def settings(run: Run) -> Any:
    """Return what exports depend on besides the student and its scores."""
    return {"export": dump(run.recipe.export), "languages": run.recipe.languages, "data": task_data(run)}


def exported_tasks(run: Run) -> tuple[str, ...]:
    """Return the tasks that exports are scored on."""
    tasks = run.recipe.export.tasks
    return run.recipe.evaluation.chosen_tasks() if tasks is None else tasks


def check(run: Run) -> None:
    """Refuse a format whose packages are missing. Raises ExportError."""
    for chosen in choose_formats(run.recipe.export.formats):
        chosen.check_packages()


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the exports, each scored as the student was; what misses the floor is left out and told of."""
    from babelpress.evaluation.fidelity.bundled import BITEXT
    from babelpress.exports.export import export_student

    remove_leftovers(folder)  # what a killed run was writing
    section, formats = run.recipe.export, choose_formats(run.recipe.export.formats)
    wanted = (BITEXT, *exported_tasks(run))
    scores = {name: score.score for name, score in read_scores(run, STUDENT).items() if name in wanted}
    made = export_student(
        run.path("student"), formats, texts=_texts(run), scores=scores,
        scorer=partial(_scores, run, folder / "mteb", tuple(scores)), floor=floor_of(section), into=folder,
    )  # fmt: skip
    remove_exports(folder, [one.name for one in made.missed])  # which it may have reached on another machine
    if made.missed:
        write_json(folder / _MISSED, {**_measured_on(formats), "exports": [one.facts() for one in made.missed]})
    else:
        (folder / _MISSED).unlink(missing_ok=True)
    return {one.name: one.facts() for one in made.written} | {one.name: one.facts() for one in made.missed}


def read_missed(folder: Path) -> list[Missed]:
    """Return the exports of a finished stage that missed the floor."""
    file = folder / _MISSED
    return [
        Missed(one["name"], one["file"], one["bytes"], Parity(**one["parity"]), tuple(one["faults"]))
        for one in (read_json(file)["exports"] if file.is_file() else ())
    ]


def nothing_was_missed(run: Run, folder: Path) -> bool:
    """Tell whether a finished stage has all exports that it can have here.

    The same files give the same vectors again; only another processor or another ONNX Runtime may give others.
    """
    file, formats = folder / _MISSED, choose_formats(run.recipe.export.formats)
    return not file.is_file() or read_json(file).items() >= _measured_on(formats).items()


def _measured_on(formats: Sequence[Format]) -> dict[str, str]:
    runtimes = sorted({chosen.runtime for chosen in formats})
    return {"processor": describe_machine()["processor"], **{package: version(package) for package in runtimes}}


def floor_of(section: ExportSection) -> Any:
    """Return what the recipe's exports must reach."""
    from babelpress.schema.exports import Floor

    return Floor(mean=section.mean, p5=section.p5, points=section.points)


def _texts(run: Run) -> dict[str, list[str]]:
    """Return the first held-out texts of every language (their order is that of hashes, so they are a fair sample)."""
    return {code: texts[:_EACH] for code, texts in texts_by_language(run.path("corpus"), Split.TEST).items()}


def _scores(
    run: Run, cache: Path, wanted: tuple[str, ...], model: SentenceTransformer, file: Path | None
) -> dict[str, float]:
    """Return an export's scores of these names; finished tasks of a killed run are found in the cache."""
    from babelpress.evaluation.fidelity.bundled import BITEXT
    from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, score_models
    from babelpress.exports.scoring import translation_score

    recipe, section = run.recipe, run.recipe.evaluation
    own = translation_score(model, recipe.languages) if BITEXT in wanted else {}
    subject = Subject(model, f"babelpress/{recipe.name}-export", hash_file(file) if file else "student")
    tasks = tuple(name for name in wanted if name != BITEXT)
    settings = ScoringSettings(cache, section.chosen_languages(), run.data_dir, section.prompts, section.batch_size)
    found, _ = score_models({STUDENT: subject}, tasks, settings)
    return {**own, **{name: task.score for name, task in found[STUDENT].items()}}


def place_exports(run: Run) -> None:
    """Put the exports into the student's folder, where every reader looks for them, beside those made by hand.

    One that missed the floor is not left there from an earlier run either.
    """
    student = run.path("student")
    exports = read_exports(run.path("export"))
    remove_exports(student, [one.name for one in read_missed(run.path("export"))])
    for one in exports:
        file, copy = run.path("export") / one.file, student / one.file
        if not copy.is_file() or hash_file(copy) != hash_file(file):
            replace_file(copy, partial(shutil.copyfile, file))
    if exports:
        keep_exports(student, exports)


STAGE = Stage(
    "export",
    (student.STAGE, evaluation.STAGE, corpus.STAGE),
    settings,
    make,
    present=nothing_was_missed,
    resumable=True,
    version=2,
    wanted=lambda run: bool(run.recipe.export.formats),
    check=check,
)

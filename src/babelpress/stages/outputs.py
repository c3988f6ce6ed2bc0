"""What is written from finished stages, every time: results.json, the card, the page of the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from babelpress.evaluation.tasks.entries import Entry, read_entries
from babelpress.evaluation.tasks.missing import read_missing
from babelpress.exports.index import read_exports
from babelpress.schema.results import STUDENT, ModelResult, Results, by_model
from babelpress.stages import STAGES, stages_of
from babelpress.stages.engine import is_current, read_manifest
from babelpress.stages.evaluation import model_results
from babelpress.stages.export import place_exports, read_missed
from babelpress.stages.run import Run, read_plans
from babelpress.utils import processes
from babelpress.utils.files import read_json, replace_file, write_json, write_text
from babelpress.vocabulary.fertility import load_fertility


def write_results(run: Run) -> Results:
    """Gather the figures of finished stages into results.json; of report and exports, where they are this student's."""
    models = model_results(run)
    drawn = is_current(STAGES["umap"], run, run.folder)
    parallel = by_model(read_json(run.path("umap") / "parallel.json")) if drawn else {}
    exported = is_current(STAGES["export"], run, run.folder)
    manifest = read_manifest(run.path("evaluation")) or {}
    speed = by_model(manifest["counts"]["speed"])
    results = Results(
        recipe=run.recipe.name,
        teacher_id=run.teacher.name,
        languages=run.recipe.languages,
        models={
            name: ModelResult.model_validate({**dict(model), "speed": speed.get(name), "parallel": parallel.get(name)})
            for name, model in models.items()
        },
        missing=read_missing(run.path("evaluation") / "mteb"),
        corpus=read_json(run.path("corpus") / "report.json"),
        distillation=read_json(run.path("distillation") / "report.json"),
        held_out_sentences=manifest["counts"]["held_out_sentences"],
        machine=manifest["counts"]["machine"],
        versions=manifest["versions"],
        exports=tuple(read_exports(run.path("export"))) if exported else (),
        missed_exports=tuple(read_missed(run.path("export"))) if exported else (),
        paths={
            "student": "student",
            "pruned": "pruned",
            "picture": "umap/umap.png",
            "card": "student/README.md",
            "page": "report.html",
        },
    )
    if processes.is_main():
        if exported:
            place_exports(run)
        write_json(run.folder / "results.json", results.model_dump(mode="json"))
    processes.wait()
    return results


def write_card(run: Run, results: Results) -> Path:
    """Write the model card, and the picture beside it."""
    from babelpress.reports.card import PICTURE, render_card

    target = run.path("student") / "README.md"
    if not processes.is_main():
        return target
    layers, vocabulary = read_plans(run)
    shown = (read_manifest(run.path("umap")) or {})["counts"]
    text = render_card(
        results, recipe=run.recipe, teacher=run.teacher, layers=layers, vocabulary=vocabulary,
        fertility=load_fertility(run.path("vocabulary") / "fertility.json"), picture=shown,
        entries=_student_entries(run, results.models[STUDENT]),
    )  # fmt: skip
    replace_file(run.path("student") / PICTURE, lambda path: shutil.copyfile(run.path("umap") / PICTURE, path))
    write_text(target, text)
    return target


def write_report(run: Run, results: Results) -> Path:
    """Write the page of the whole run."""
    from babelpress.reports.licences import list_credits
    from babelpress.reports.page.facts import PageFacts, target_bytes
    from babelpress.reports.page.page import PAGE, render_page
    from babelpress.reports.page.pictures import find_interactive, find_pictures

    target = run.folder / PAGE
    if not processes.is_main():
        return target
    layers, vocabulary = read_plans(run)
    facts = PageFacts(
        results, recipe=run.recipe, teacher=run.teacher, layers=layers, vocabulary=vocabulary,
        fertility=load_fertility(run.path("vocabulary") / "fertility.json"), manifests=finished_stages(run),
        pictures=find_pictures(run.folder), interactive=find_interactive(run.folder),
        target_bytes=target_bytes(run.path("targets") / "index.json", run.cache), local_data=run.data_dir is not None,
        credits=tuple(credit.plain for credit in list_credits(run.recipe, run.teacher)),
    )  # fmt: skip
    write_text(target, render_page(facts))
    return target


def finished_stages(run: Run) -> dict[str, dict[str, Any]]:
    """Return the manifests of finished stages, in order; none of a stage that an earlier recipe left in the folder."""
    return {name: manifest for name in stages_of(run) if (manifest := read_manifest(run.path(name)))}


def _student_entries(run: Run, student: ModelResult) -> tuple[Entry, ...]:
    """Return the student's mteb figures as mteb wrote them."""
    from babelpress.evaluation.intervals.means import BUNDLED_KINDS
    from babelpress.evaluation.model_folders import run_model_id
    from babelpress.utils.tensors import open_checkpoint

    return read_entries(
        run.path("evaluation") / "mteb",
        [name for name, score in student.scores.items() if score.kind not in BUNDLED_KINDS],
        model_id=run_model_id(run.recipe.name, STUDENT),
        weights_hash=open_checkpoint(run.path("student")).content_hash(),
    )

"""The student's model card: every section of the reference card, from measured values alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from babelpress.evaluation.intervals.means import BUNDLED_KINDS, Groups, TaskMean, count_means, group_by_kind, kept
from babelpress.evaluation.tasks.entries import Entry
from babelpress.recipe import DistillationSection, Recipe
from babelpress.reports.card_measures import (
    closeness_rows,
    disturbed_rows,
    export_rows,
    language_rows,
    length_rows,
    measured_beyond,
)
from babelpress.reports.card_tables import parallel_table, speed_table
from babelpress.reports.export_words import missed_words, points_words
from babelpress.reports.licences import UNKNOWN, list_credits, student_licence, teacher_link
from babelpress.reports.metadata import build_metadata, model_id
from babelpress.reports.speed_table import how_timed
from babelpress.reports.style import language_name
from babelpress.reports.training import trained_sentences
from babelpress.schema.losses import loss_words
from babelpress.schema.results import ModelResult, Results
from babelpress.schema.suites import find_suite
from babelpress.student.layers import LayerPlan
from babelpress.teacher import Teacher
from babelpress.utils.machine import where
from babelpress.vocabulary.fertility import LanguageFertility
from babelpress.vocabulary.plan import VocabularyPlan

PICTURE = "umap.png"


def render_card(
    results: Results,
    *,
    recipe: Recipe,
    teacher: Teacher,
    layers: LayerPlan,
    vocabulary: VocabularyPlan,
    fertility: dict[str, LanguageFertility],
    picture: dict[str, Any],
    entries: Sequence[Entry] = (),
) -> str:
    """Return README.md: the hub's metadata and the text.

    `picture` says what umap.png shows, `entries` are the student's mteb figures, for the metadata.
    """
    environment = Environment(
        loader=PackageLoader("babelpress.reports"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.globals["mib"] = lambda size: f"{size / 2**20:.1f}"
    environment.filters["cell"] = _cell
    student, original = results.models["distilled"], results.models["teacher"]
    longest = recipe.distillation.long_length or recipe.distillation.max_length
    names = {code: language_name(code) for code in recipe.languages}
    text = environment.get_template("card.md.jinja").render(
        title=recipe.card.title or model_id(recipe),
        model_id=model_id(recipe),
        notes=recipe.card.notes,
        recipe=recipe,
        teacher=teacher,
        teacher_link=teacher_link(teacher),
        teacher_result=original,
        teacher_fp32_bytes=4 * original.parameters,
        student_fp32_bytes=4 * student.parameters,
        trained_on=trained_sentences(recipe, results),
        pruned=results.models["pruned"],
        student=student,
        closeness=closeness_rows(results.models["pruned"], student),
        by_language=language_rows(student),
        by_length=length_rows(student),
        disturbed=disturbed_rows(original, student),
        exports=export_rows((*results.exports, *results.missed_exports)),
        points_words=points_words((*results.exports, *results.missed_exports)),
        missed_words=missed_words(results.missed_exports),
        interval_words=_interval_words(student),
        speed=speed_table(original, student),
        how_timed=how_timed(recipe, results),
        parallel=parallel_table(original, results.models["pruned"], student),
        corpus=results.corpus,
        distillation=results.distillation,
        held_out=results.held_out_sentences,
        where=where(results.machine),
        layers=layers,
        vocabulary=vocabulary,
        fertility=fertility,
        missing=results.missing,
        tables=_tables(student, original, _suite_groups(recipe) or group_by_kind(student.scores)),
        embedded=[name for name, score in student.scores.items() if score.kind in BUNDLED_KINDS],
        uncommitted=list(dict.fromkeys(entry.task for entry in entries if entry.revision is None)),
        module_words=_module_words(teacher),
        licence_text=_licence_text(recipe, teacher),
        credits=list_credits(recipe, teacher),
        loss_words=loss_words(recipe.distillation.loss),
        schedule_words=_schedule_words(recipe.distillation),
        trained_length=longest,
        beyond=measured_beyond(student, longest),
        long_words=_long_words(recipe.distillation),
        prompt_words=_prompt_words(recipe.distillation.prompts),
        eval_prompts=f"with the prompts {recipe.evaluation.prompts}"
        if recipe.evaluation.prompts
        else "without prompts",
        picture=PICTURE,
        picture_words=f"UMAP of {picture['sentences']} parallel sentences in {len(picture['languages'])} languages.",
        language_words=", ".join(f"{name} ({code})" for code, name in names.items()),
        versions=results.versions,
    )
    metadata = build_metadata(recipe=recipe, teacher=teacher, entries=entries)
    return f"---\n{metadata.to_yaml()}\n---\n\n{text}"


def _cell(text: str) -> str:
    """Return a text of others as a cell of a Markdown table: one line, no column and no HTML begins in it."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _interval_words(student: ModelResult) -> str:
    """Return the average's and the retention's 95 % intervals in words, nothing where there are none."""
    if student.average_interval is None or student.retention_interval is None:
        return ""
    low, high = student.average_interval
    least, most = (100 * bound for bound in student.retention_interval)
    return (
        f" By bootstrap over sentences (95 %), this model's average lies between {low:.2f} and {high:.2f}, what it "
        f"keeps of the teacher's between {least:.1f} % and {most:.1f} % (both scored on the same resamples)."
    )


def _suite_groups(recipe: Recipe) -> Groups:
    """Return the groups of the recipe's suite; none where it names tasks of its own."""
    section = recipe.evaluation
    return find_suite(section.suite).groups if section.suite and section.tasks is None else {}


def _tables(student: ModelResult, teacher: ModelResult, groups: Groups) -> dict[str, Any]:
    """Return the mteb tables: means of groups and of all tasks, and every task beside the teacher's."""
    own, theirs = count_means(student.scores, groups), count_means(teacher.scores, groups)
    return {
        "means": [
            {"name": mine.name, "tasks": len(mine.tasks), **_beside(mine.score, original.score)}
            for mine, original in zip(own.groups, theirs.groups, strict=True)
        ],
        "all": {
            "tasks": sum(len(group.tasks) for group in own.groups),
            **_beside(own.score or 0.0, theirs.score or 0.0),
        },
        "groups": [
            {
                "name": mine.name,
                "rows": [
                    {"task": row.task, "best": _best(row), **_beside(row.score, original.score)}
                    for row, original in zip(mine.tasks, teachers.tasks, strict=True)
                ],
                **_beside(mine.score, teachers.score),
            }
            for mine, teachers in zip(own.groups, theirs.groups, strict=True)
        ],
    }


def _beside(own: float, theirs: float) -> dict[str, Any]:
    share = kept(own, theirs)
    return {"score": own, "teacher": theirs, "kept": "" if share is None else f"{100 * share:.1f} %"}


def _best(row: TaskMean) -> str:
    return ", ".join(f"{subset} {value:.2f}" for subset, value in row.best)


def _module_words(teacher: Teacher) -> str:
    """Return the student's modules, which are the teacher's, in the order in which a text goes through them."""
    kinds = {"Transformer": f"Transformer ({teacher.architecture})", "Pooling": f"Pooling ({teacher.pooling})"}
    return " → ".join(kinds.get(module.kind, module.kind) for module in teacher.modules)


def _licence_text(recipe: Recipe, teacher: Teacher) -> str:
    licence = student_licence(recipe, teacher)
    if licence.id == UNKNOWN:
        return "the teacher's folder names none; ask its authors before you publish."
    return f"{licence.words}, {'as the recipe says' if recipe.card.licence else 'that of the teacher'}."


def _schedule_words(settings: DistillationSection) -> str:
    """Return what a recipe adds to a plain half of a cosine over all sentences."""
    parts = [
        f"in {settings.cycles} cycles" if settings.cycles > 1 else "",
        f"to {100 * settings.final_learning_rate:g} % of it" if settings.final_learning_rate else "",
        f"{settings.embedding_rate:g} times it for the embeddings" if settings.embedding_rate != 1.0 else "",
        f"running mean of the weights {settings.average:g}" if settings.average else "",
        f"the first {settings.sentences:,} sentences" if settings.sentences else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _long_words(settings: DistillationSection) -> str:
    if settings.long_length is None:
        return ""
    return f" ({100 * settings.long_share:g} % of the texts; the others up to {settings.max_length})"


def _prompt_words(prompts: tuple[str, ...]) -> str:
    times = Counter(f"`{prompt}`" if prompt else "no prompt" for prompt in prompts)
    named = [f"{name} ({count} of {len(prompts)})" if count > 1 else name for name, count in times.items()]
    return " and ".join(named) + (" in turn" if len(named) > 1 else "")

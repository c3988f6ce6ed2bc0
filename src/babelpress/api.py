"""The verbs. Each takes a recipe (or its name or path) and brings the run up to that point."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

from babelpress import processes
from babelpress.checks.result import CheckReport
from babelpress.errors import BabelpressError, ExportError
from babelpress.evaluation.compare import Comparison, SubsetRule
from babelpress.evaluation.results import ModelResult, Results
from babelpress.export.result import FLOOR, Export, Floor
from babelpress.files import read_json, replace_file, write_json, write_text
from babelpress.pipeline import bring_up, open_run
from babelpress.recipe import Pooler, Recipe
from babelpress.stages import read_manifest
from babelpress.steps import Run, read_plans
from babelpress.student.sizing import Size, estimate_size
from babelpress.teacher import Teacher, locate_teacher
from babelpress.vocabulary.fertility import LanguageFertility, load_fertility
from babelpress.vocabulary.plan import LanguageCoverage

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Plan:
    """What a recipe would give and cost; nothing is trained for it.

    `flops` are floating-point operations of the two long stages, 2 per multiply-add; `target_bytes`
    is the disk that the teacher's embeddings take.
    """

    teacher: Teacher
    layers: tuple[int, ...]
    layers_reason: str
    rows: int
    size: Size
    languages: dict[str, LanguageCoverage]
    fertility: dict[str, LanguageFertility]
    alphabet_missing: tuple[str, ...]
    corpus: dict[str, Any]
    flops: dict[str, float]
    target_bytes: int

    def facts(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return {
            "teacher": self.teacher.facts(),
            "layers": list(self.layers),
            "layers_reason": self.layers_reason,
            "rows": self.rows,
            "parameters": self.size.parameters,
            "parameters_without_pooler": self.size.parameters_without_pooler,
            "weight_bytes": self.size.weight_bytes,
            "languages": {code: vars(cover) for code, cover in self.languages.items()},
            "fertility": {code: vars(figures) for code, figures in self.fertility.items()},
            "alphabet_missing": list(self.alphabet_missing),
            "corpus": self.corpus,
            "flops": self.flops,
            "target_bytes": self.target_bytes,
        }


class Verb(Protocol[T_co]):
    """The call that all verbs share."""

    def __call__(
        self,
        recipe: Recipe | str | Path | Run,
        *,
        output: Path | str | None = None,
        overrides: Iterable[str] = (),
        data_dir: Path | str | None = None,
        teacher: str | None = None,
    ) -> T_co:
        """Bring the recipe (a name, a path, a Recipe or an opened Run) up to this verb.

        `output` is the run's folder (default runs/<recipe>), `overrides` are `section.key=value`
        strings, `data_dir` holds local copies of hub data, `teacher` is a local copy of the teacher.
        Raises BabelpressError, before any work where that is possible.
        """


def load_run(
    recipe: Recipe | str | Path,
    *,
    output: Path | str | None = None,
    overrides: Iterable[str] = (),
    data_dir: Path | str | None = None,
    teacher: str | None = None,
) -> Run:
    """Open a recipe at work; the arguments are those of every verb."""
    loaded = recipe.override(overrides) if isinstance(recipe, Recipe) else Recipe.load(recipe, overrides=overrides)
    return open_run(
        loaded,
        output=Path(output) if output else None,
        data_dir=Path(data_dir) if data_dir else None,
        teacher=teacher,
    )


def _verb(inner: Callable[[Run], T_co]) -> Verb[T_co]:
    @wraps(inner)
    def call(
        recipe: Recipe | str | Path | Run,
        *,
        output: Path | str | None = None,
        overrides: Iterable[str] = (),
        data_dir: Path | str | None = None,
        teacher: str | None = None,
    ) -> T_co:
        if isinstance(recipe, Run):
            if output or data_dir or teacher or tuple(overrides):
                raise BabelpressError("an opened run has its output, data and teacher already; give them to load_run")
            return inner(recipe)
        return inner(load_run(recipe, output=output, overrides=overrides, data_dir=data_dir, teacher=teacher))

    return call


@_verb
def plan(run: Run) -> Plan:
    """Count the corpus and decide layers and vocabulary; train nothing."""
    bring_up(run, ["layers", "vocabulary"])
    layers, vocabulary = read_plans(run)
    pooler = run.recipe.student.pooler is Pooler.KEEP
    corpus = read_json(run.path("corpus") / "report.json")
    tokens = sum(cover.sentences * cover.tokens_per_sentence for cover in vocabulary.languages.values())
    settings = run.recipe.distillation
    sentences = corpus["splits"]["train"]
    mean = min(tokens / max(1, sentences) + 2, settings.max_length)
    return Plan(
        teacher=run.teacher,
        layers=layers.kept,
        layers_reason=layers.reason,
        rows=vocabulary.rows,
        size=estimate_size(run.teacher, layers=len(layers.kept), rows=vocabulary.rows, pooler=pooler),
        languages=vocabulary.languages,
        fertility=load_fertility(run.path("vocabulary") / "fertility.json"),
        alphabet_missing=vocabulary.alphabet_missing,
        corpus=corpus,
        flops={
            "targets": sentences * mean * 2 * _matrix_parameters(run.teacher, run.teacher.layers),
            # forward, and twice as much backward
            "distillation": settings.epochs * sentences * mean * 6 * _matrix_parameters(run.teacher, len(layers.kept)),
        },
        target_bytes=sentences * run.teacher.hidden * 2,
    )


@_verb
def press(run: Run) -> Path:
    """Press without training; return the student folder (runs/<recipe>/pressed)."""
    bring_up(run, ["pressed"])
    return run.path("pressed")


@_verb
def distill(run: Run) -> Path:
    """Press and distil; return the student folder (runs/<recipe>/student)."""
    bring_up(run, ["student"])
    return run.path("student")


@_verb
def evaluate(run: Run) -> Results:
    """Press, distil and score; write and return results.json."""
    bring_up(run, ["evaluation"])
    return write_results(run)


@_verb
def visualize(run: Run) -> Path:
    """Press, distil and draw; return the picture (runs/<recipe>/report/umap.png)."""
    bring_up(run, ["report"])
    return run.path("report") / "umap.png"


@_verb
def card(run: Run) -> Path:
    """Do all that the card tells of and write it; return the student's README.md."""
    bring_up(run, ["evaluation", "report"])
    results = write_results(run)
    return write_card(run, results)


@_verb
def run(opened: Run) -> Results:
    """Do the whole job: student, scores, picture, card."""
    card(opened)
    return Results.model_validate(read_json(opened.folder / "results.json"))


def check(
    folder: Path | str, *, teacher: str | None = None, texts: Iterable[Path | str] = (), full: bool = False,
    golden: bool = False,
) -> CheckReport:  # fmt: skip
    """Prove that a student folder's tokenizer is its teacher's, only smaller; the folder may be anyone's.

    `teacher` is a folder or a hub id, `texts` are files with one text a line (plain or .gz), `full`
    tries every Unicode scalar value, `golden` holds the folder against its tokenizer-golden.json, too.
    Raises BabelpressError when the folder cannot be checked at all.
    """
    from babelpress.checks.run import run_checks

    origin = locate_teacher(teacher) if teacher else None
    return run_checks(Path(folder), teacher=origin, texts=[Path(text) for text in texts], full=full, golden=golden)


def export(
    folder: Path | str,
    *,
    to: Sequence[str],
    texts: Iterable[Path | str] = (),
    floor: Floor | None = FLOOR,
    output: Path | str | None = None,
) -> list[Export]:
    """Export a student folder to formats (`babelpress.export.formats.FORMATS`), each with its parity.

    They go into the folder itself, or into `output`. Parity is measured on the embedded sentences, the retrieval of
    translations among them, and on `texts`, files with one text a line (plain or .gz). `floor` is what an export
    must reach; None writes whatever comes out. Raises ExportError, and writes nothing of that format, for one below.
    """
    from babelpress.export.export import export_student
    from babelpress.export.formats import choose_formats
    from babelpress.export.scoring import embedded_scores, parity_texts

    source = Path(folder)
    formats = choose_formats(to)
    if not (source / "modules.json").is_file():
        raise ExportError(f"{folder} is no model folder: it has no modules.json")
    return export_student(
        source, formats, texts=parity_texts([Path(text) for text in texts]), scorer=embedded_scores, floor=floor,
        into=Path(output) if output else None,
    )  # fmt: skip


def compare(
    models: Sequence[str],
    *,
    suite: str | None = None,
    tasks: Sequence[str] = (),
    languages: Sequence[str] | None = None,
    data_dir: Path | str | None = None,
    cache: Path | str = "cache/mteb",
    against: str | None = None,
    subsets: SubsetRule | str = SubsetRule.COMMON,
) -> Comparison:
    """Compare models: folders (scored now, on a suite or tasks), runs (RUN or RUN:teacher) and published:NAME.

    `against` is one of them, the first unless given. Without suite and tasks, all tasks that models have scores of
    are compared. Raises BabelpressError before any model is run, where that is possible.
    """
    from babelpress.evaluation.candidates import plan_scores, score_candidate
    from babelpress.evaluation.compare import compare_scores, distinct_names

    rules = [str(rule) for rule in SubsetRule]
    if subsets not in rules:
        raise BabelpressError(f"--subsets {str(subsets)!r} is not known; there are: {', '.join(rules)}")
    wanted, groups = plan_scores(
        models, suite=suite, tasks=tuple(tasks), languages=tuple(languages) if languages else None,
        data_dir=Path(data_dir) if data_dir else None, cache=Path(cache),
    )  # fmt: skip
    scored = [score_candidate(model, wanted) for model in models]
    if against is not None and against in models:  # as it was given, instead of as it is shown
        against = distinct_names(one.name for one in scored)[list(models).index(against)]
    return compare_scores(scored, against=against, groups=groups, rule=SubsetRule(subsets))


def write_results(run: Run) -> Results:
    """Gather the figures of finished stages into results.json."""
    models = read_json(run.path("evaluation") / "models.json")
    manifest = read_manifest(run.path("evaluation")) or {}
    results = Results(
        recipe=run.recipe.name,
        teacher_id=run.teacher.name,
        languages=run.recipe.languages,
        models={name: ModelResult.model_validate(figures) for name, figures in models.items()},
        corpus=read_json(run.path("corpus") / "report.json"),
        distillation=read_json(run.path("distillation") / "report.json"),
        held_out_sentences=manifest["counts"]["held_out_sentences"],
        machine=manifest["counts"]["machine"],
        versions=manifest["versions"],
        paths={
            "student": "student",
            "pressed": "pressed",
            "picture": "report/umap.png",
            "card": "student/README.md",
        },
    )
    if processes.is_main():
        write_json(run.folder / "results.json", results.model_dump(mode="json"))
    processes.wait()
    return results


def write_card(run: Run, results: Results) -> Path:
    """Write the model card, and the picture beside it."""
    from babelpress.report.card import PICTURE, render_card

    target = run.path("student") / "README.md"
    if not processes.is_main():
        return target
    layers, vocabulary = read_plans(run)
    shown = (read_manifest(run.path("report")) or {})["counts"]
    text = render_card(
        results, recipe=run.recipe, teacher=run.teacher, layers=layers, vocabulary=vocabulary,
        fertility=load_fertility(run.path("vocabulary") / "fertility.json"), picture=shown,
    )  # fmt: skip
    replace_file(run.path("student") / PICTURE, lambda path: shutil.copyfile(run.path("report") / PICTURE, path))
    write_text(target, text)
    return target


def _matrix_parameters(teacher: Teacher, layers: int) -> int:
    return layers * (4 * teacher.hidden**2 + 2 * teacher.hidden * teacher.feed_forward)


__all__ = [
    "Plan",
    "Verb",
    "card",
    "check",
    "compare",
    "distill",
    "evaluate",
    "export",
    "load_run",
    "plan",
    "press",
    "run",
    "visualize",
]

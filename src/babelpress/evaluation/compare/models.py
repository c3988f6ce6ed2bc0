"""The models that a comparison is given by name: model folders, runs, published scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from babelpress.architectures.encoders import encode_texts, load_encoder
from babelpress.errors import BabelpressError, EvaluationError
from babelpress.evaluation.compare.compare import check_names
from babelpress.evaluation.compare.comparison import Scored
from babelpress.evaluation.compare.published import find_published
from babelpress.evaluation.fidelity.bundled import BITEXT, all_languages, find_translations
from babelpress.evaluation.intervals.means import Groups
from babelpress.evaluation.intervals.replicates import Replicates, find_replicates
from babelpress.evaluation.model_folders import (
    ModelFolder,
    distinct_names,
    find_model,
    model_facts,
    need_model,
    run_model_id,
)
from babelpress.evaluation.tasks.mteb_tasks import check_tasks
from babelpress.evaluation.tasks.progress import TaskClock, track_tasks
from babelpress.evaluation.tasks.run import TaskScore
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, check_prompts, check_prompts_used, run_tasks
from babelpress.schema.model_files import hash_model
from babelpress.schema.results import STUDENT, TEACHER, ModelResult, Results, Score, current_model
from babelpress.schema.suites import did_you_mean, find_suite
from babelpress.utils.files import hash_folder, hash_json, read_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

PUBLISHED = "published:"


@dataclass(frozen=True)
class Wanted:
    """What model folders are scored on. Runs and published models come with their scores.

    `cache` keeps finished tasks. A result is reused for the same content of the model folder, of local data and of
    these settings (without the batch size, which changes no more than rounding). `prompts` go by mteb's names.
    """

    tasks: tuple[str, ...]
    cache: Path
    bundled: bool = False
    languages: tuple[str, ...] | None = None
    data_dir: Path | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 64


def plan_scores(
    models: Sequence[str],
    *,
    suite: str | None,
    tasks: tuple[str, ...],
    languages: tuple[str, ...] | None,
    data_dir: Path | None,
    cache: Path,
    prompts: Mapping[str, str],
    batch_size: int,
    against: str | None = None,
) -> tuple[Wanted, Groups | None]:
    """Decide what is scored, and the groups that are shown (None: all scores). Raises EvaluationError.

    `against` is one of the models, as given or as shown.
    """
    if suite and tasks:
        raise EvaluationError("--suite and --tasks exclude each other; give one")
    if data_dir is not None and not data_dir.is_dir():
        raise EvaluationError(f"--data-dir {data_dir} is not a folder")
    if batch_size < 1:
        raise EvaluationError(f"--batch-size is {batch_size}; it must be 1 or more")
    tasks = tuple(dict.fromkeys(tasks))
    chosen = find_suite(suite) if suite else None
    wanted = Wanted(
        chosen.tasks if chosen else tasks, cache=cache, bundled=chosen.bundled if chosen else False,
        languages=languages or (chosen.languages if chosen else None), data_dir=data_dir,
        prompts=dict(prompts), batch_size=batch_size,
    )  # fmt: skip
    names = [check_model(model, wanted) for model in models]
    check_names(distinct_names(names), against=None if against in models else against)
    if any(find_model(model) for model in models):
        check_tasks(wanted.tasks)
        if prompts:
            check_prompts(prompts, setting="--prompt")
            check_prompts_used(prompts, wanted.tasks, setting="--prompt")
    for known in filter(None, map(_read_known, models)):
        _need_common(known, wanted)
    if chosen is None:
        return wanted, {"tasks": tasks} if tasks else None
    return wanted, {**chosen.groups, **({"Bitext": (BITEXT,)} if chosen.bundled else {})}


def check_model(text: str, wanted: Wanted) -> str:
    """Return a model's name. Raises EvaluationError for no model, and for a folder without tasks to score it on."""
    if text.startswith(PUBLISHED):
        return find_published(text.removeprefix(PUBLISHED)).name
    folder = find_model(text)
    if folder is None:
        return _read_run(text).name
    if not wanted.tasks and not wanted.bundled:
        raise EvaluationError(
            f"{text} is a model folder without scores; name the tasks to score it on: --suite quick or --tasks A,B"
        )
    return folder.name


def _need_common(known: Scored, wanted: Wanted) -> None:
    """Raise EvaluationError for known scores that cover none of the wanted tasks."""
    tasks = (*wanted.tasks, *((BITEXT,) if wanted.bundled else ()))
    if tasks and not any(task in known.scores for task in tasks):
        raise EvaluationError(f"{known.name} has none of {', '.join(tasks[:5])}{' …' if len(tasks) > 5 else ''}")


def score_named(texts: Sequence[str], wanted: Wanted) -> list[Scored]:
    """Return the scores of models (scored now), of runs (RUN or RUN:teacher) and of published:NAME."""
    folders = [text for text in dict.fromkeys(texts) if _is_scored(text)]
    with track_tasks([(text, task) for text in folders for task in wanted.tasks]) as clock:
        scored = {text: _scores_of(text, wanted, clock) for text in dict.fromkeys(texts)}
    return [scored[text] for text in texts]


def _is_scored(text: str) -> bool:
    return not text.startswith(PUBLISHED) and find_model(text) is not None


def _scores_of(text: str, wanted: Wanted, clock: TaskClock) -> Scored:
    known = _read_known(text)
    return _score_folder(text, need_model(text), wanted, clock) if known is None else known


def _read_known(text: str) -> Scored | None:
    """Return published scores or those of a run; None for a model folder, which is scored now."""
    if text.startswith(PUBLISHED):
        known = find_published(text.removeprefix(PUBLISHED))
        return Scored(known.name, known.scores, "published", parameters=known.parameters)
    return None if find_model(text) else _read_run(text)


def _score_folder(text: str, named: ModelFolder, wanted: Wanted, clock: TaskClock) -> Scored:
    """Score a model folder on mteb tasks; finished tasks come from the cache.

    The cache identifies it by the content of its `model_files`: two students may share weights and differ in the
    tokenizer.
    """
    model = load_encoder(named.folder)
    scores: dict[str, Score] = {}
    replicates: dict[str, Replicates] = {}
    if wanted.bundled:
        scores, replicates = _bundled(model, wanted)
    subject = Subject(model, named.model_id, hash_model(named.folder))
    by_slot: dict[str, list[str]] = {}
    for task in wanted.tasks:
        by_slot.setdefault(_slot(task, wanted), []).append(task)
    task_scores: list[TaskScore] = []
    for slot, tasks in by_slot.items():
        settings = ScoringSettings(
            wanted.cache / slot, wanted.languages, wanted.data_dir, wanted.prompts, wanted.batch_size
        )
        task_scores += run_tasks(subject, tuple(tasks), settings, clock=clock, model=text)
    scores |= {result.task: result.as_score() for result in task_scores}
    replicates |= {result.task: result.replicates for result in task_scores}
    return Scored(named.name, scores, "measured", replicates, model_facts(named.folder)["parameters"])


def _slot(task: str, wanted: Wanted) -> str:
    """Return the cache folder of a task's results: a hash of all that they depend on besides the model."""
    import mteb

    local = wanted.data_dir / task if wanted.data_dir else None
    data = hash_folder(local) if local is not None and local.is_dir() else None
    prompts = [wanted.prompts] if wanted.prompts else []
    return hash_json([mteb.__version__, wanted.languages, data, *prompts])[:12]


def _bundled(model: SentenceTransformer, wanted: Wanted) -> tuple[dict[str, Score], dict[str, Replicates]]:
    encode = partial(encode_texts, model, batch_size=wanted.batch_size)
    retrieval = find_translations(encode, wanted.languages or all_languages())
    if retrieval is None:
        return {}, {}
    score, rows = retrieval
    return {BITEXT: score}, {BITEXT: Replicates.of(rows)}


def locate_models(students: Sequence[str], teacher: str) -> dict[str, Path]:
    """Return the folders of a teacher and of students (folders, hub ids, "bundled") under distinct names.

    The first is "teacher". Raises EvaluationError for a name that is no model, HubError.
    """
    located = [need_model(named) for named in (teacher, *students)]
    names = distinct_names([TEACHER, *(model.name for model in located[1:])])
    return dict(zip(names, (model.folder for model in located), strict=True))


def _read_run(text: str) -> Scored:
    path, _, model = text.rpartition(":") if not Path(text).exists() and ":" in text else (text, "", "")
    folder = Path(path)
    file = folder if folder.is_file() else folder / "results.json"
    if not file.is_file():
        near = "; published scores are written published:NAME" if not folder.exists() else ""
        raise EvaluationError(f"{text} is neither a model folder (modules.json) nor a run (results.json){near}")
    try:
        results = Results.model_validate(read_json(file))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise EvaluationError(f"{file} is not a run's results: {where}: {fault['msg']}") from None
    except BabelpressError as error:
        raise EvaluationError(str(error)) from None
    name = current_model(model or STUDENT)
    if name != (model or STUDENT):
        logger.warning("%s: this model of a run is called %s now; the name %s will go", text, name, model)
    if name not in results.models:
        known = ", ".join(results.models)
        raise EvaluationError(f"{file} has no model {name!r}{did_you_mean(name, results.models)}; it has: {known}")
    scored = run_scored(results.models[name], name, recipe=results.recipe, teacher_id=results.teacher_id)
    kept = find_replicates(file.parent / "evaluation" / "mteb", run_model_id(results.recipe, name), scored.scores)
    return replace(scored, replicates=kept)


def run_scored(result: ModelResult, name: str, *, recipe: str, teacher_id: str) -> Scored:
    """Return the scores of a run's model: the student under the recipe's name, the teacher under its own."""
    shown = recipe if name == STUDENT else f"{recipe}:{name}"
    known_as = teacher_id.rpartition("/")[2] if name == TEACHER else shown
    return Scored(known_as, result.scores, "run", parameters=result.parameters)

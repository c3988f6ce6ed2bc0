"""Score models on mteb's tasks. Finished tasks are kept; a failed one ends the run or is left out for all models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from babelpress.errors import BabelpressError, EvaluationError
from babelpress.evaluation.intervals.replicates import rows_path
from babelpress.evaluation.tasks.missing import without_places
from babelpress.evaluation.tasks.mteb_tasks import open_task, quiet, reason
from babelpress.evaluation.tasks.progress import TaskClock, track_tasks
from babelpress.evaluation.tasks.run import TaskScore, score_task
from babelpress.utils.files import is_disk_full

if TYPE_CHECKING:
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A model and its identity in mteb's cache.

    Without one, mteb keeps the results of all local models in one place (docs/pitfalls.md, E1).
    """

    model: SentenceTransformer
    model_id: str
    weights_hash: str

    def rows_path(self, cache: Path, task: str) -> Path:
        """Return where the replicates of a task are kept."""
        return rows_path(cache, model_id=self.model_id, weights_hash=self.weights_hash, task=task)


@dataclass(frozen=True)
class ScoringSettings:
    """How models are scored; `cache` keeps mteb's results, and `prompts` are by mteb's names for them."""

    cache: Path
    languages: tuple[str, ...] | None = None
    data_dir: Path | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 64


_SIDES = ("query", "document")
_ASKING = {"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"}  # kinds with queries, documents


class TaskError(EvaluationError):
    """A task that a model could not be scored on; `why` is the reason without local paths."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


def score_models(
    subjects: Mapping[str, Subject],
    names: tuple[str, ...],
    settings: ScoringSettings,
    *,
    allow_missing: bool = False,
) -> tuple[dict[str, dict[str, TaskScore]], dict[str, str]]:
    """Return every model's score of every task, and the tasks that failed, with the reason.

    A task that fails for one model is left out for all, so that means stay comparable; unless `allow_missing`, it
    raises TaskError. Finished tasks are kept in either case.
    """
    scores: dict[str, dict[str, TaskScore]] = {model: {} for model in subjects}
    missing: dict[str, str] = {}
    with track_tasks([(model, name) for model in subjects for name in names]) as clock:
        for model, subject in subjects.items():
            encoder = _wrap(subject, settings)
            for name in names:
                if name in missing:
                    clock.skip(model, name)
                    continue
                try:
                    scores[model][name] = run_task(encoder, subject, name, settings, clock=clock, model=model)
                except TaskError as failed:
                    if not allow_missing:
                        raise
                    missing[name] = failed.why
                    logger.warning("%s; it is left out for all models and retried by the next run", failed)
    kept = {model: {name: by_task[name] for name in names if name not in missing} for model, by_task in scores.items()}
    return kept, missing


def run_tasks(
    subject: Subject, names: tuple[str, ...], settings: ScoringSettings, *, clock: TaskClock, model: str
) -> list[TaskScore]:
    """Score one model; finished tasks are taken from the cache. Raises TaskError."""
    encoder = _wrap(subject, settings)
    return [run_task(encoder, subject, name, settings, clock=clock, model=model) for name in names]


def run_task(
    encoder: SentenceTransformerEncoderWrapper,
    subject: Subject,
    name: str,
    settings: ScoringSettings,
    *,
    clock: TaskClock,
    model: str,
) -> TaskScore:
    """Score a model on a task, or take what is kept. Raises TaskError, EvaluationError for a task without subsets."""
    task = open_task(name, languages=settings.languages, data_dir=settings.data_dir)
    with clock.task(model, name) as finished:
        try:
            with quiet():
                score = score_task(
                    encoder, task, cache=settings.cache, replicates=subject.rows_path(settings.cache, name),
                    batch_size=settings.batch_size,
                )  # fmt: skip
        except Exception as error:
            if isinstance(error, BabelpressError) or is_disk_full(error):
                raise
            why = reason(error, task)
            raise TaskError(
                f"task {name} failed for {subject.model_id}: {why}; local data: --data-dir DIR (DIR/{name})",
                without_places(why),
            ) from error
        finished(score.ran)
    return score


def check_prompts(prompts: Mapping[str, str], *, setting: str) -> None:
    """Raise EvaluationError for a prompt whose name mteb does not know, and would ignore."""
    from mteb.models.abs_encoder import AbsEncoder

    for name, text in prompts.items():
        try:
            with quiet():
                AbsEncoder.validate_task_to_prompt_name({name: text})
        except KeyError:
            raise EvaluationError(
                f"{setting} {name!r} is not a name that mteb knows; it must be query, document, a kind of task (STS), "
                "a task (STS12), or both (STS12-query)"
            ) from None


def check_prompts_used(prompts: Mapping[str, str], tasks: Sequence[str], *, setting: str) -> None:
    """Raise EvaluationError for a prompt that none of the tasks uses, so that no score claims it."""
    import mteb

    kinds = {task: str(mteb.get_task(task).metadata.type) for task in tasks}
    for name in prompts:
        base, _, side = name.rpartition("-") if name.endswith(("-query", "-document")) else (name, "", "")
        asked = side or name in _SIDES
        takers = [task for task, kind in kinds.items() if name in _SIDES or base in (task, kind)]
        if not [task for task in takers if not asked or kinds[task] in _ASKING]:
            raise EvaluationError(
                f"{setting} {name!r} is used by none of the tasks (query and document: only by retrieval and "
                "reranking); name a kind of task or a task, like 'STS=query: '"
            )


def _wrap(subject: Subject, settings: ScoringSettings) -> SentenceTransformerEncoderWrapper:
    """Make a model mteb's, with the given prompts in place of its folder's (docs/pitfalls.md, E3).

    A student carries the prompts of the recipe's teacher section, the hub's e5 carries none; scores with different
    prompts would not be comparable.
    """
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    check_prompts(settings.prompts, setting="evaluation.prompts")
    model = subject.model
    default = model.default_prompt_name
    model.prompts = {**({default: model.prompts[default]} if default else {}), **settings.prompts}
    model.model_card_data.model_name = subject.model_id
    model.model_card_data.base_model_revision = subject.weights_hash
    with quiet():
        return SentenceTransformerEncoderWrapper(model)

"""Run mteb's own tasks, on the hub's data or on local copies of it."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langcodes import standardize_tag

from babelpress.errors import EvaluationError
from babelpress.files import hash_folder
from babelpress.hub import explain
from babelpress.progress import track

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask
    from sentence_transformers import SentenceTransformer

# Languages that mteb tags otherwise than the standard says: its MASSIVE tasks call Chinese cmo.
_TAGS = {"cmo": "zh"}


@dataclass(frozen=True)
class TaskScore:
    """A task's main score in percent: the mean over its subsets, and each of them."""

    task: str
    kind: str
    score: float
    subsets: dict[str, float]


def check_tasks(names: tuple[str, ...]) -> None:
    """Raise EvaluationError, with the nearest names, for a task that mteb does not have."""
    if not names:
        return
    import difflib

    import mteb

    with quiet():
        known = {task.metadata.name for task in mteb.get_tasks(exclude_superseded=False, exclude_beta=False)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise EvaluationError(f"mteb {mteb.__version__} has no task {name!r}{hint}")


def open_task(name: str, *, languages: tuple[str, ...] | None, data_dir: Path | None) -> AbsTask:
    """Return an mteb task, its subsets restricted to the languages, its data local where a copy is.

    A local copy is `data_dir`/name/[subset/]split.jsonl.gz with the README.md that names its configs.
    Raises EvaluationError when no subset is left.
    """
    import mteb

    task = mteb.get_task(name)
    folder = data_dir / name if data_dir else None
    chosen = list(task.hf_subsets)
    if languages is not None and task.metadata.is_multilingual:
        chosen = [subset for subset in chosen if set(_subset_languages(task, subset)) <= set(languages)]
        if not chosen:
            raise EvaluationError(
                f"task {name} has no subset in {', '.join(languages)} alone; leave it out of evaluation.tasks"
            )
    if folder is not None and folder.is_dir():
        # The dictionary in the metadata is shared by all tasks of the class (FIELD_NOTES E2).
        task.metadata = task.metadata.model_copy(update={"dataset": _local_dataset(folder)}, deep=True)
        here = _local_subsets(folder)
        if task.metadata.is_multilingual and here - {"default"}:
            chosen = [subset for subset in chosen if subset in here]
            task.fast_loading = False  # it reads all subsets at once from "default", which a copy need not have
        if not chosen:
            raise EvaluationError(
                f"{folder} holds none of the wanted subsets of {name}; it has: {', '.join(sorted(here))}"
            )
    task.hf_subsets = chosen
    return task


def run_tasks(
    model: SentenceTransformer,
    names: tuple[str, ...],
    *,
    model_id: str,
    weights_hash: str,
    cache: Path,
    languages: tuple[str, ...] | None,
    data_dir: Path | None,
    prompts: dict[str, str],
    batch_size: int,
) -> list[TaskScore]:
    """Score a model on mteb tasks; finished ones are taken from `cache`.

    `model_id` and `weights_hash` are the model's identity: without them mteb keeps the results of all
    local models in one place (FIELD_NOTES E1). Raises EvaluationError for a task that fails.
    """
    import mteb
    from mteb.cache import ResultCache
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    _set_prompts(model, prompts)
    model.model_card_data.model_name = model_id
    model.model_card_data.base_model_revision = weights_hash
    with quiet():
        encoder = SentenceTransformerEncoderWrapper(model)
    scores = []
    for name in track(names, f"evaluation: {model_id.rpartition('/')[2]}", total=len(names), unit="tasks"):
        task = open_task(name, languages=languages, data_dir=data_dir)
        try:
            with quiet():
                result = mteb.evaluate(
                    encoder,
                    [task],
                    cache=ResultCache(cache),
                    encode_kwargs={"batch_size": batch_size},
                    show_progress_bar=False,
                )
        except Exception as error:
            raise EvaluationError(
                f"task {name} failed for {model_id}: {reason(error, task)}; local data: --data-dir DIR (DIR/{name})"
            ) from error
        scores.append(_score(name, task, result.task_results[0]))
    return scores


def _set_prompts(model: SentenceTransformer, prompts: dict[str, str]) -> None:
    """Give a model the recipe's prompts in place of its folder's (FIELD_NOTES E3).

    A student carries those of the recipe's teacher section, the hub's e5 carries none: each with its own,
    their scores would not compare. Raises EvaluationError for a name that mteb would ignore.
    """
    from mteb.models.abs_encoder import AbsEncoder

    try:
        with quiet():
            AbsEncoder.validate_task_to_prompt_name(prompts)
    except KeyError as error:
        raise EvaluationError(f"evaluation.prompts: {' '.join(str(error.args[0]).split())[:200]}") from None
    default = model.default_prompt_name
    model.prompts = {**({default: model.prompts[default]} if default else {}), **prompts}


def _score(name: str, task: AbsTask, result: Any) -> TaskScore:
    subsets: dict[str, list[float]] = {}
    for rows in result.scores.values():
        for row in rows:
            subsets.setdefault(row["hf_subset"], []).append(100 * row["main_score"])
    means = {subset: round(sum(values) / len(values), 4) for subset, values in sorted(subsets.items())}
    return TaskScore(name, task.metadata.type, round(100 * result.get_score(), 4), means)


def _subset_languages(task: AbsTask, subset: str) -> list[str]:
    codes = [code.partition("-")[0] for code in task.metadata.eval_langs[subset]]  # type: ignore[call-overload]
    return [_TAGS.get(code) or standardize_tag(code, macro=True) for code in codes]


def _local_dataset(folder: Path) -> dict[str, Any]:
    """Return load_dataset arguments, with a cache per content: `datasets` does not watch that of local files."""
    import datasets

    content = hash_folder(folder)
    revision = f"local-{content[:12]}"
    cache = Path(datasets.config.HF_DATASETS_CACHE) / revision
    return {"path": str(folder.resolve()), "revision": revision, "cache_dir": str(cache)}


def _local_subsets(folder: Path) -> set[str]:
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    return set(re.findall(r"^\s*-\s*config_name:\s*['\"]?([\w.-]+)", text, flags=re.MULTILINE))


def reason(error: Exception, task: AbsTask) -> str:
    if isinstance(error, OSError | ConnectionError) or "Connection" in type(error).__name__:
        return f"its data {task.metadata.dataset['path']} are not on this machine and {explain(error)}"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' warnings from the user, who chose the task: newer versions of it, deprecated calls."""
    for name in ("mteb", "datasets", "huggingface_hub", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

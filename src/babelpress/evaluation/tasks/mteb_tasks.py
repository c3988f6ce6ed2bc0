"""mteb's own tasks, on the hub's data or on local copies of it."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langcodes import standardize_tag

from babelpress.errors import EvaluationError
from babelpress.utils.files import hash_folder
from babelpress.utils.hub import explain

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask

# Where mteb's language tags differ from the standard: its MASSIVE tasks call Chinese cmo.
_TAGS = {"cmo": "zh"}


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
        # The dictionary in the metadata is shared by all tasks of the class (docs/pitfalls.md, E2).
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

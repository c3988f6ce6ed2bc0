"""The texts that mteb tasks are scored on, so that nothing is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.errors import EvaluationError
from babelpress.evaluation.tasks.mteb_tasks import open_task, quiet, reason
from babelpress.utils.progress import track

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask

# Columns with texts besides those that mteb's task classes declare as their content.
_MORE_COLUMNS = ("human_summaries_column_name", "machine_summaries_column_name")


def identify_test_data(
    names: tuple[str, ...], *, languages: tuple[str, ...] | None, data_dir: Path | None
) -> dict[str, Any]:
    """Return, for each task, the revision of its data (for a local copy the hash of its content), subsets and splits.

    Fetches nothing. Raises EvaluationError for a task without a wanted subset.
    """
    identities = {}
    for name in names:
        task = open_task(name, languages=languages, data_dir=data_dir)
        identities[name] = {
            "revision": task.metadata.dataset.get("revision"),
            "subsets": list(task.hf_subsets),
            "splits": list(task.eval_splits),
        }
    return identities


def read_test_data(
    names: tuple[str, ...], *, languages: tuple[str, ...] | None, data_dir: Path | None
) -> Iterator[tuple[str, list[str]]]:
    """Yield (task, texts): what the task encodes of the splits and subsets it is scored on, one task at a time.

    Raises EvaluationError, with the remedies, for data that cannot be read.
    """
    for name in track(names, "corpus: reading test data", total=len(names), unit="tasks"):
        task = open_task(name, languages=languages, data_dir=data_dir)
        try:
            with quiet():
                task.load_data()
                texts = list(_texts(task))
        except Exception as error:
            raise EvaluationError(
                f"the test data of task {name} must be kept out of the corpus, and cannot be read: "
                f"{reason(error, task)}; {_remedies(name)}"
            ) from error
        if not texts:
            raise EvaluationError(
                f"the test data of task {name} must be kept out of the corpus, and contain no text to "
                f"look for; {_remedies(name)}"
            )
        yield name, texts


def _remedies(name: str) -> str:
    return f"give a local copy with --data-dir DIR (DIR/{name}) or set corpus.decontaminate=false"


def _texts(task: AbsTask) -> Iterator[str]:
    columns = [*task._get_content_columns(), *(getattr(task, name) for name in _MORE_COLUMNS if hasattr(task, name))]
    for table in _tables(task):
        here = [column for column in columns if column in table.column_names]
        for column in here or table.column_names:  # of a table that mteb does not describe, all
            for value in table[column]:
                yield from _strings(value)


def _tables(task: AbsTask) -> Iterator[Any]:
    """Yield the tables that a task is scored on, whatever the shape in which its kind keeps them."""
    data: Mapping[str, Any] = task.dataset or {}
    subsets = [data[subset] for subset in task.hf_subsets if subset in data]
    for splits in subsets or [data]:  # a task of one subset, or one whose subsets are columns, has splits alone
        for split in task.eval_splits:
            table = splits[split]
            if hasattr(table, "column_names"):
                yield table
            else:  # retrieval
                yield table["queries"]
                yield table["corpus"]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)

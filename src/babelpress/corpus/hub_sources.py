"""Hub data sets, streamed, or their local copies below `--data-dir`.

A local copy is the repository's own folder: DATA/org/name, or DATA/name for mteb tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babelpress.corpus.clean import Rejected, clean
from babelpress.corpus.sentence import BadLine, Sentence
from babelpress.errors import SourceError
from babelpress.recipe import HubSource, MtebTrainSource
from babelpress.schema.languages import UNKNOWN
from babelpress.utils.hub import explain


def read_hub(source: HubSource, *, data_dir: Path | None) -> Iterator[Sentence | BadLine]:
    """Yield the texts of a hub data set, subset by subset, at most `limit` usable ones of each."""
    whole: list[tuple[str | None, str]] = [(None, source.language or UNKNOWN)]
    for subset, language in list(source.subsets.items()) or whole:
        name = f"{source.dataset}/{subset}" if subset else source.dataset
        given = 0
        for number, row in enumerate(stream_rows(source, subset, data_dir=data_dir)):
            missing = [column for column in source.columns if column not in row]
            if missing:
                raise SourceError(f"{name} has no column {missing[0]!r}; it has: {', '.join(row)}")
            texts = [row[column] for column in source.columns if isinstance(row[column], str)]
            group = f"{name}:{number}" if len(texts) > 1 else None
            for text in texts:
                item = _long_enough(Sentence(text, language, name, group=group), source.min_chars)
                if isinstance(item, Sentence):
                    if source.limit is not None and given >= source.limit:
                        break
                    given += 1
                yield item
            if source.limit is not None and given >= source.limit:
                break


def _long_enough(sentence: Sentence, min_chars: int) -> Sentence | BadLine:
    try:
        clean(sentence.text, min_chars=min_chars, max_chars=10**6)
    except Rejected as reason:
        return BadLine(sentence.source, str(reason))
    return sentence


def stream_rows(source: HubSource, subset: str | None, *, data_dir: Path | None) -> Iterator[dict[str, Any]]:
    """Stream the rows of one subset. Raises SourceError that names the data set and the remedy."""
    from datasets import load_dataset

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # ten lines of retries before our one
    local = local_copy(source.dataset, data_dir)
    try:
        rows = load_dataset(**_place(source, subset, local), split=source.split, streaming=True)
        yield from rows
    except SourceError:
        raise
    except Exception as error:
        part = f", subset {subset}" if subset else ""
        raise SourceError(_complaint(source.dataset, part, local, error)) from error


def _place(source: HubSource, subset: str | None, local: Path | None) -> dict[str, Any]:
    """Return the load_dataset arguments that name a subset.

    Repositories with a loading script (miracl, mtop) are refused by `datasets` 4 and later whatever is
    asked of them, so `data_files` are read with the plain reader of their format.
    """
    if source.data_files is None:
        return {
            "path": str(local or source.dataset),
            "name": subset,
            "revision": None if local else source.revision,
        }
    names = source.data_files.replace("{subset}", subset or "")
    at = f"@{source.revision}" if source.revision else ""
    root = str(local) if local else f"hf://datasets/{source.dataset}{at}"
    kinds = {".parquet": "parquet", ".csv": "csv"}
    kind = next((kind for ending, kind in kinds.items() if ending in names), "json")
    return {"path": kind, "data_files": {source.split: f"{root}/{names}"}}


def local_copy(dataset: str, data_dir: Path | None) -> Path | None:
    """Return the local copy of a data set, if there is one."""
    if data_dir is None:
        return None
    places = [data_dir / dataset, data_dir / dataset.rpartition("/")[2]]
    return next((place for place in places if place.is_dir()), None)


def _complaint(dataset: str, part: str, local: Path | None, error: Exception) -> str:
    if local:
        return f"data set {dataset}{part}: the local copy {local} cannot be read: {_one_line(error)}"
    reason = explain(error)
    if "cannot be reached" in reason and isinstance(error, ValueError):
        reason = _one_line(error)
    return (
        f"data set {dataset}{part} is not on this machine and {reason}; "
        "give a local copy with --data-dir PATH (its folder: PATH/" + dataset + ")"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def read_mteb_train(
    source: MtebTrainSource, *, languages: tuple[str, ...], data_dir: Path | None
) -> Iterator[Sentence | BadLine]:
    """Yield the train splits of mteb tasks, read as the hub data sets that the tasks name."""
    for task in source.tasks:
        yield from read_hub(mteb_train_source(task, languages=languages, limit=source.limit), data_dir=data_dir)


def mteb_train_source(task_name: str, *, languages: tuple[str, ...], limit: int | None) -> HubSource:
    """Translate an mteb task into the hub source of its train split. Raises SourceError."""
    import mteb

    try:
        metadata = mteb.get_task(task_name).metadata
    except KeyError:
        raise SourceError(f"mteb has no task {task_name!r}") from None
    columns = {
        "Classification": ("text",),
        "MultilabelClassification": ("text",),
        "STS": ("sentence1", "sentence2"),
        "PairClassification": ("sentence1", "sentence2"),
        "BitextMining": ("sentence1", "sentence2"),
    }.get(metadata.type)
    if columns is None:
        raise SourceError(
            f"mteb task {task_name} is of type {metadata.type}; its train split has no plain text columns"
        )
    subsets: dict[str, str] = {}
    if metadata.is_multilingual:
        for subset, codes in metadata.eval_langs.items():  # type: ignore[union-attr]
            code = subset.partition("-")[0]
            if code in languages and len(codes) == 1:
                subsets[subset] = code
        if not subsets:
            raise SourceError(f"mteb task {task_name} has none of the languages {', '.join(languages)}")
    return HubSource(
        kind="hub",
        dataset=metadata.dataset["path"],
        revision=metadata.dataset.get("revision"),
        subsets=subsets,
        columns=columns,
        limit=limit,
        language=None if subsets else "en",
    )

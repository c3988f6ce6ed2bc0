"""The index of a student's exports: which were written, of which student, how close each is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babelpress.errors import BabelpressError
from babelpress.schema.exports import Export, Parity
from babelpress.utils.files import hold, inside, read_json, write_json

INDEX = "onnx/exports.json"


def read_exports(folder: Path) -> list[Export]:
    """Return the exports that a folder's index names and that are there."""
    index = folder / INDEX
    if not index.is_file():
        return []
    found = []
    try:
        for facts in _entries(read_json(index)):
            if inside(folder, facts["file"]).is_file():
                parity = Parity(**facts["parity"])
                found.append(Export(facts["name"], facts["file"], facts["bytes"], parity, facts["student"]))
    except (KeyError, TypeError):
        raise BabelpressError(f"{index} is no index of exports; remove it, and export again") from None
    return found


def _entries(index: Any) -> list[Any]:
    if not isinstance(index, list):
        raise TypeError
    return index


def drop_exports_of_others(folder: Path, student: str) -> None:
    """Remove the exports that a folder's index names and that were made of another student than this."""
    for one in read_exports(folder):
        if one.student != student:
            inside(folder, one.file).unlink()


def keep_exports(folder: Path, done: Sequence[Export]) -> None:
    """Write the index: these exports, and earlier ones of the same student."""
    names = {one.name for one in done}
    students = {one.student for one in done}
    (folder / INDEX).parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        earlier = [one for one in read_exports(folder) if one.name not in names and one.student in students]
        write_json(folder / INDEX, [one.facts() for one in (*earlier, *done)])


def remove_exports(folder: Path, names: Collection[str]) -> None:
    """Remove the exports of these names that a folder's index names, and leave them out of the index."""
    if not names or not (folder / INDEX).is_file():
        return
    with _alone(folder):
        found = read_exports(folder)
        for one in found:
            if one.name in names:
                inside(folder, one.file).unlink()
        write_json(folder / INDEX, [one.facts() for one in found if one.name not in names])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder's index.

    Another process that is writing it is waited for, so that neither loses what the other adds.
    """
    lock = (folder / INDEX).with_name(f".{Path(INDEX).name}.lock")
    with hold(lock, wait=True):
        yield
        lock.unlink(missing_ok=True)  # still held: who waits sees that it is gone, and takes a new one

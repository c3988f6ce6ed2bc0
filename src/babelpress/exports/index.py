"""The indexes of a student's exports, one in each folder of formats: which were written, and how close they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from babelpress.errors import BabelpressError
from babelpress.schema.exports import Export, Parity
from babelpress.schema.formats import FORMATS
from babelpress.utils.files import hold, inside, read_json, write_json

INDEX = "exports.json"


def read_exports(folder: Path) -> list[Export]:
    """Return the exports that a folder's indexes name and that are there. Raises BabelpressError for a damaged one."""
    return [export for place in _places() for export in _read_index(folder, place)]


def drop_exports_of_others(folder: Path, student: str) -> None:
    """Remove the exports that a folder's indexes name and that were made of another student than this."""
    for export in read_exports(folder):
        if export.student != student:
            inside(folder, export.file).unlink()


def keep_exports(folder: Path, done: Sequence[Export]) -> None:
    """Write the indexes: these exports, and earlier ones of the same student."""
    names, students = {export.name for export in done}, {export.student for export in done}
    for place in {PurePosixPath(export.file).parts[0] for export in done}:
        (folder / place).mkdir(parents=True, exist_ok=True)
        with _alone(folder / place):
            earlier = [each for each in _read_index(folder, place) if each.name not in names]
            kept = [each for each in earlier if each.student in students]
            mine = [export for export in done if PurePosixPath(export.file).parts[0] == place]
            write_json(folder / place / INDEX, [export.facts() for export in (*kept, *mine)])


def remove_exports(folder: Path, names: Collection[str]) -> None:
    """Remove the exports of these names that a folder's indexes name, and leave them out of the indexes."""
    for place in _places() if names else ():
        if not (folder / place / INDEX).is_file():
            continue
        with _alone(folder / place):
            exports = _read_index(folder, place)
            for export in exports:
                if export.name in names:
                    inside(folder, export.file).unlink()
            write_json(folder / place / INDEX, [each.facts() for each in exports if each.name not in names])


def _places() -> list[str]:
    return sorted({chosen.folder for chosen in FORMATS.values()})


def _read_index(folder: Path, place: str) -> list[Export]:
    index = folder / place / INDEX
    if not index.is_file():
        return []
    exports = []
    try:
        for facts in _entries(read_json(index)):
            if inside(folder, facts["file"]).is_file():
                parity = Parity(**facts["parity"])
                exports.append(Export(facts["name"], facts["file"], facts["bytes"], parity, facts["student"]))
    except (KeyError, TypeError):
        raise BabelpressError(f"{index} is no index of exports; remove it, and export again") from None
    return exports


def _entries(index: Any) -> list[Any]:
    if not isinstance(index, list):
        raise TypeError
    return index


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold an index.

    Another process that is writing it is waited for, so that neither loses what the other adds.
    """
    lock = place / f".{INDEX}.lock"
    with hold(lock, wait=True):
        yield
        lock.unlink(missing_ok=True)  # still held: who waits sees that it is gone, and takes a new one

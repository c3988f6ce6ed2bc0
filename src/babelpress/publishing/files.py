"""Which files of a folder may be published: none that runs code, is hidden, or names paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from babelpress.errors import BabelpressError
from babelpress.schema.formats import FORMATS

CARD = "README.md"
_NEEDED = ("modules.json", "tokenizer.json", CARD)
_KINDS = (".json", ".jpg", ".md", ".onnx_data", ".png", ".safetensors", ".svg", ".txt", ".yaml")
_NAMES = ("LICENCE", "LICENSE", "NOTICE")
_TEXT = (".json", ".md", ".txt", ".yaml")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt")  # pieces of text, which may look like anything
# Where machines keep users' files; after a letter or another slash it is part of a link.
_PLACE = re.compile(
    r"(?<![\w.:/<])(?:/(?:data|home|media|mnt|opt|private|root|scratch|srv|tmp|Users|var|Volumes|work|workspace)/"
    r"|[A-Z]:\\{1,2}Users\\|file://)[^\s\"'`|<>)]+"
)


@dataclass(frozen=True)
class Upload:
    """A file as the repository will hold it: its path there, and a local file or bytes."""

    path: str
    content: Path | bytes

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def find_student(folder: Path) -> Path:
    """Return the student's folder: the given one, or `student` in a run's. Raises BabelpressError."""
    if not folder.is_dir():
        raise BabelpressError(f"{folder} is not a folder; give a run's, like runs/demo, or a student's")
    for place in (folder, folder / "student"):
        if (place / "modules.json").is_file():
            return place
    raise BabelpressError(
        f"{folder} is neither a student (modules.json) nor a run with a finished one (student/modules.json)"
    )


def list_uploads(folder: Path) -> tuple[Upload, ...]:
    """Return all files of a student's folder, sorted by path.

    Raises BabelpressError for a missing file and for the first that must not be published; none is skipped silently.
    """
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        remedy = "; write the card first: babelpress card RECIPE" if missing == [CARD] else ""
        raise BabelpressError(f"{folder} has no {missing[0]}, which a published student needs{remedy}")
    uploads = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _is_leftover(path):
            continue
        if fault := _fault(path, name, folder):
            raise BabelpressError(f"{folder / name} {fault}; move it out of the folder to push the rest")
        if path.is_file():
            uploads.append(Upload(name, path))
    if not any(upload.path.endswith(".safetensors") for upload in uploads):
        raise BabelpressError(f"{folder} has no weights in safetensors, and no others are published")
    _refuse_places(uploads, folder)
    return tuple(uploads)


def _is_leftover(path: Path) -> bool:
    """Return whether a file is a lock, or the unfinished file of a killed process."""
    return path.name.startswith(".") and path.suffix in {".tmp", ".lock"}


def _fault(path: Path, name: str, folder: Path) -> str:
    """Return why a path must not be published, "" where it may."""
    if any(part.startswith(".") for part in name.split("/")):
        return "is hidden"
    if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(folder.resolve())):
        return "is a link to a file outside the folder" if not path.is_dir() else "is a link to a folder"
    if path.is_dir():
        return ""
    if not path.is_file():
        return "is not a regular file"
    kinds = sorted({*_KINDS, *(Path(chosen.file).suffix for chosen in FORMATS.values())})
    if path.suffix not in kinds and path.name not in _NAMES:
        return f"is of a kind that is not published (only {', '.join((*kinds, *_NAMES))} are)"
    return ""


def _refuse_places(uploads: Iterable[Upload], folder: Path) -> None:
    """Raise BabelpressError for a text that names a local path."""
    for upload in uploads:
        name = upload.path.rpartition("/")[2]
        if not name.endswith(_TEXT) or name in _VOCABULARIES or isinstance(upload.content, bytes):
            continue
        text = upload.content.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if place := _PLACE.search(line):
                raise BabelpressError(
                    f"{folder / upload.path} names a path of this machine in line {number}: {place.group()[:80]}; "
                    "replace it before publishing"
                )

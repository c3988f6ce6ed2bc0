"""Which files make a model folder this model: what it gains later (card, pictures, exports) does not count."""

from __future__ import annotations

from pathlib import Path

from babelpress.schema.formats import FORMATS
from babelpress.utils.files import hash_json, hash_unless_known, list_files

_SHOWN = {".md", ".png", ".svg"}
_MANIFEST = "manifest.json"


def model_files(folder: Path) -> list[Path]:
    """List what makes a model folder this model, sorted: without card, pictures, manifest, exports and hidden files.

    A student is the same model before its card is written and after.
    """
    gained = {_MANIFEST, *(chosen.folder for chosen in FORMATS.values())}
    return [
        path
        for path in list_files(folder)
        if path.suffix not in _SHOWN
        and (parts := path.relative_to(folder).parts)[0] not in gained
        and not any(part.startswith(".") for part in parts)
    ]


def model_bytes(folder: Path) -> int:
    """Return how many bytes a model folder's `model_files` take."""
    return sum(file.stat().st_size for file in model_files(folder))


def hash_model(folder: Path) -> str:
    """Hash the names and contents of a model folder's `model_files`."""
    return hash_json([[path.relative_to(folder).as_posix(), hash_unless_known(path)] for path in model_files(folder)])

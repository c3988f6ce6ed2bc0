"""Models that a user names: the folder of a SentenceTransformer, `embedded`, or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babelpress.errors import EvaluationError, HubError
from babelpress.teacher import EMBEDDED, download_model, locate_teacher

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder, and what it is called beside others."""

    name: str
    folder: Path


def find_model(named: str | Path) -> ModelFolder | None:
    """Return the model that a name stands for; None where it is something else: a run, a file, nothing at all.

    What is nothing here and looks like org/name is asked of the hub. Raises HubError where it cannot be had from
    there, EvaluationError where it is no SentenceTransformer.
    """
    text = str(named)
    if is_model(named):
        return ModelFolder(folder_name(Path(named)), Path(named))
    if text == EMBEDDED:
        return ModelFolder(EMBEDDED, locate_teacher(EMBEDDED))
    if Path(named).exists() or not _HUB_ID.match(text):
        return None
    try:
        folder = _downloaded(text)
    except HubError as error:
        raise HubError(f"there is no folder {text} here, and {error}") from error
    if not is_model(folder):
        raise EvaluationError(f"{text} on the hub is no SentenceTransformer (it has no modules.json)")
    return ModelFolder(text.rpartition("/")[2], folder)


def need_model(named: str | Path) -> ModelFolder:
    """Return the model that a name stands for. Raises EvaluationError where it is something else, HubError."""
    found = find_model(named)
    if found is None:
        student = Path(named) / "student"
        hint = f"did you mean {student}?" if is_model(student) else "give a SentenceTransformer's"
        raise EvaluationError(f"{named} is no model folder (it has no modules.json); {hint}")
    return found


def is_model(folder: str | Path) -> bool:
    """Tell whether a folder is that of a SentenceTransformer."""
    return (Path(folder) / "modules.json").is_file()


def folder_name(folder: Path) -> str:
    """Return a folder's name, with its run's where it is called what every run calls it."""
    whole = folder.resolve()
    return f"{whole.parent.name}-{whole.name}" if whole.name in {"student", "pruned", "pressed"} else whole.name


@cache
def _downloaded(hub_id: str) -> Path:
    return download_model(hub_id)

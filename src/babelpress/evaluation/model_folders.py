"""Model folders: those that a user names (a folder, `bundled`, a hub id), their names, sizes and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from babelpress.architectures import find_family
from babelpress.architectures.bert import FAMILY as BERT
from babelpress.errors import EvaluationError, HubError
from babelpress.schema.model_files import model_bytes
from babelpress.schema.results import PRUNED, STUDENT
from babelpress.teacher import BUNDLED, FORMER_BUNDLED, download_model, locate_teacher
from babelpress.utils.files import read_json
from babelpress.utils.tensors import open_checkpoint

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder, and the name that tables show it under."""

    name: str
    folder: Path

    @property
    def model_id(self) -> str:
        """Return the name in mteb's cache; of the bundled teacher the former one, so that finished tasks are found."""
        return f"local/{FORMER_BUNDLED if self.name == BUNDLED else self.name}"


def find_model(named: str | Path) -> ModelFolder | None:
    """Return the model with this name; None for anything else: a run, a file, a name that does not exist.

    A name like org/name that is no local path is downloaded from the hub. Raises HubError where that fails,
    EvaluationError where it is not a SentenceTransformer.
    """
    text = str(named)
    if is_model(named):
        return ModelFolder(folder_name(Path(named)), Path(named))
    if text in (BUNDLED, FORMER_BUNDLED):
        return ModelFolder(BUNDLED, locate_teacher(text))
    if Path(named).exists() or not _HUB_ID.match(text):
        return None
    try:
        folder = _downloaded(text)
    except HubError as error:
        raise HubError(f"there is no folder {text} here, and {error}") from error
    if not is_model(folder):
        raise EvaluationError(f"{text} on the hub is not a SentenceTransformer (it has no modules.json)")
    return ModelFolder(text.rpartition("/")[2], folder)


def need_model(named: str | Path) -> ModelFolder:
    """Return the model with this name. Raises EvaluationError where there is none, HubError."""
    model = find_model(named)
    if model is None:
        student = Path(named) / "student"
        hint = f"did you mean {student}?" if is_model(student) else "give a SentenceTransformer's"
        raise EvaluationError(f"{named} is not a model folder (it has no modules.json); {hint}")
    return model


def is_model(folder: str | Path) -> bool:
    """Tell whether a folder is that of a SentenceTransformer."""
    return (Path(folder) / "modules.json").is_file()


def folder_name(folder: Path) -> str:
    """Return a folder's name, prefixed with its run's where every run has a folder of that name."""
    path = folder.resolve()
    return f"{path.parent.name}-{path.name}" if path.name in {"student", "pruned", "pressed"} else path.name


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names, with a number behind those that occur again."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


def run_model_id(recipe: str, name: str) -> str:
    """Return the name that a run's model has in mteb's cache, where earlier versions called the pruned one pressed."""
    kept = "pressed" if name == PRUNED else name
    return f"babelpress/{recipe}" if name == STUDENT else f"babelpress/{recipe}-{kept}"


def model_facts(folder: Path) -> dict[str, Any]:
    """Return what can be counted in a model folder: layers, embedding rows, parameters, bytes (of `model_files`)."""
    config = read_json(folder / "config.json")
    checkpoint = open_checkpoint(folder)
    names = [name for name in checkpoint.names() if "position_ids" not in name]
    total = sum(checkpoint.size(name) for name in names)
    family = find_family(config.get("model_type")) or BERT
    optional = [name for name in names if any(f".{part}" in f".{name}" for part in family.optional)]
    pooler = sum(map(checkpoint.size, optional))
    return {
        "layers": config[family.keys.layers],
        "dimensions": config[family.keys.hidden],
        "vocab_size": config["vocab_size"],
        "parameters": total,
        "parameters_without_pooler": total - pooler,
        "weight_bytes": checkpoint.bytes_on_disk(),
        "stored_as": checkpoint.stored_as(),
        "folder_bytes": model_bytes(folder),
    }


@cache
def _downloaded(hub_id: str) -> Path:
    return download_model(hub_id)

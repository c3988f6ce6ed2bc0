"""Scores that others published, in the form of measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.schema.results import Score
from babelpress.schema.suites import did_you_mean
from babelpress.utils.files import hash_json, read_json

_FILE = Path(str(resources.files("babelpress") / "assets" / "published_scores.json"))


@dataclass(frozen=True)
class Published:
    """A published model: its scores by task, in percent, a task's being the mean of the subsets that it has.

    `parameters` is None where it is not published.
    """

    name: str
    model_id: str | None
    about: str
    source: str
    scores: dict[str, Score]
    parameters: int | None = None
    parameters_source: str | None = None


def published_models() -> dict[str, Published]:
    """Return the models whose scores are in the package, by name."""
    return parse_published(_data())


def published_hash() -> str:
    """Return the hash of the published scores and facts in the package."""
    return hash_json(_data())


def find_published(name: str) -> Published:
    """Return a model by its name or its hub id. Raises EvaluationError with the nearest names."""
    models = published_models()
    by_id = {model.model_id: model for model in models.values() if model.model_id}
    model = models.get(name) or by_id.get(name)
    if model is None:
        near = did_you_mean(name, models) or f"; there are scores of: {', '.join(models)}"
        raise EvaluationError(f"no published scores of {name!r} are known{near}")
    return model


def parse_published(data: dict[str, Any]) -> dict[str, Published]:
    """Read the layout of published_scores.json, whose scores are 0 to 1."""
    return {
        name: Published(
            name=name,
            model_id=entry["id"],
            about=entry["about"],
            source=data["sources"][entry["source"]],
            scores={task: _score(data["kinds"][task], subsets) for task, subsets in entry["scores"].items()},
            parameters=entry.get("parameters"),
            parameters_source=data["sources"][entry["parameters_source"]] if "parameters" in entry else None,
        )
        for name, entry in data["models"].items()
    }


def _score(kind: str, subsets: dict[str, float]) -> Score:
    percent = {subset: round(100 * value, 4) for subset, value in subsets.items()}
    return Score(kind=kind, score=sum(percent.values()) / len(percent), subsets=percent)


@cache
def _data() -> dict[str, Any]:
    return read_json(_FILE)

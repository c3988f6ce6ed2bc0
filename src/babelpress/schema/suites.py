"""Suites: named lists of mteb tasks in groups, shipped as YAML in the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.schema.recipe_text import load_yaml

_KEYS = {"description", "groups", "languages", "bundled"}


@dataclass(frozen=True)
class Suite:
    """A named list of mteb tasks. `languages` are those that a task's subsets are restricted to, None for all.

    `bundled` adds the retrieval of translations among the sentences inside the package.
    """

    name: str
    description: str
    groups: dict[str, tuple[str, ...]]
    languages: tuple[str, ...] | None = field(default=None)
    bundled: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks, group by group."""
        return tuple(task for tasks in self.groups.values() for task in tasks)

    def facts(self) -> dict[str, Any]:
        """Return the suite as JSON-able values."""
        return {
            "description": self.description,
            "languages": list(self.languages) if self.languages else None,
            "bundled": self.bundled,
            "groups": {name: list(tasks) for name, tasks in self.groups.items()},
        }


def shipped_suites() -> dict[str, Suite]:
    """Return the suites in the package by name, in alphabetical order."""
    folder = resources.files("babelpress") / "suites"
    names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {name: _read(name) for name in names}


def find_suite(name: str) -> Suite:
    """Return a shipped suite. Raises EvaluationError with the nearest names."""
    suites = shipped_suites()
    if name not in suites:
        raise EvaluationError(f"there is no suite {name!r}{did_you_mean(name, suites)}; shipped: {', '.join(suites)}")
    return suites[name]


def parse_suite(name: str, text: str) -> Suite:
    """Read a suite's YAML. Raises EvaluationError for a key or a value that a suite does not have."""
    values = load_yaml(text)
    if not isinstance(values, dict) or not _KEYS >= values.keys() >= {"description", "groups"}:
        raise EvaluationError(f"suite {name}: description and groups are needed; {', '.join(sorted(_KEYS))} are known")
    groups, languages = values["groups"], values.get("languages")
    lists = [*groups.values(), *([languages] if languages is not None else [])] if isinstance(groups, dict) else [None]
    if not all(isinstance(one, list) and one and all(isinstance(text, str) for text in one) for one in lists):
        raise EvaluationError(f"suite {name}: groups are lists of task names by group, languages a list of codes")
    suite = Suite(
        name=name,
        description=str(values["description"]),
        groups={group: tuple(tasks) for group, tasks in groups.items()},
        languages=tuple(languages) if languages else None,
        bundled=bool(values.get("bundled", False)),
    )
    doubled = sorted({task for task in suite.tasks if suite.tasks.count(task) > 1})
    if doubled:
        raise EvaluationError(f"suite {name}: {', '.join(doubled)} stands there twice")
    return suite


def did_you_mean(name: str, known: Any) -> str:
    """Return `; did you mean …?` with the names nearest to one that is not known, or nothing."""
    lower = {one.lower(): one for one in known}
    near = [lower[one] for one in get_close_matches(name.lower(), lower, n=3)]
    near += [one for one in known if len(name) > 1 and name.lower() in one.lower() and one not in near]
    return f"; did you mean {', '.join(near[:3])}?" if near else ""


def _read(name: str) -> Suite:
    text = (resources.files("babelpress") / "suites" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_suite(name, text)

"""Recipes as text: where they lie, YAML read with care, single values overridden."""

from __future__ import annotations

import os
from copy import copy
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from babelpress.errors import RecipeError

_MOST_KEYS = 1000


def shipped_recipes() -> dict[str, str]:
    """Return the names of the recipes in the package and their descriptions."""
    folder = resources.files("babelpress") / "recipes"
    texts = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return {name: yaml.safe_load(texts[name]).get("description", "") for name in sorted(texts)}


def read_recipe_text(name_or_path: str | Path) -> str:
    """Return the YAML of a shipped recipe or of a file. Raises RecipeError."""
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text or os.path.isfile(text):  # noqa: PTH113 (any string is allowed)
        try:
            return Path(text).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise RecipeError(f"there is no recipe file {text}") from None
        except (OSError, ValueError) as error:
            raise RecipeError(f"{text} cannot be read as text: {error}") from None
    shipped = shipped_recipes()
    if text not in shipped:
        raise RecipeError(
            f"there is no recipe called {text!r}; shipped: {', '.join(shipped)}; your own: a path ending in .yaml"
        )
    return (resources.files("babelpress") / "recipes" / f"{text}.yaml").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with a bound on merge keys: a few lines of `<<` can ask for 9 ** 9 entries."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            raise yaml.YAMLError(f"a mapping of more than {_MOST_KEYS} keys")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"]
        doubled = next((key for key in keys if keys.count(key) > 1), None)
        if doubled is not None:
            raise yaml.YAMLError(f"the key {doubled!r} stands there twice")
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> Any:
    """Read YAML. Raises YAMLError, also where PyYAML lets others through (2024-99-99, !!bool x, [[[[…)."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (RecursionError, ValueError, LookupError, AttributeError) as error:
        raise yaml.YAMLError(str(error)) from None


def override_value(values: dict[str, Any], override: str) -> None:
    """Put `section.key=value` into a recipe's values; the value is YAML. Raises RecipeError."""
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise RecipeError(f"--set {override!r}: write it as section.key=value, e.g. distillation.epochs=1")
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r}: {text!r} is not a YAML value") from None
    node: Any = values
    for part in path[:-1]:
        node = _step(node, part, override)
    if isinstance(node, list):
        node[_index(node, path[-1], override)] = value
    else:
        node[path[-1]] = value


def _step(node: Any, part: str, override: str) -> Any:
    key: Any = _index(node, part, override) if isinstance(node, list) else part
    child = node[key] if isinstance(node, list) else node.get(key)
    if child is not None and not isinstance(child, dict | list):
        raise RecipeError(f"--set {override!r}: {part} is a value, not a section")
    node[key] = child = copy(child) if child else {}  # a copy: an alias may stand for it elsewhere
    return child


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise RecipeError(f"--set {override!r}: {part!r} is not an entry of a list of {len(node)}")
    return int(part)

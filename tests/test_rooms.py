"""The map of docs/architecture.md holds: rooms import only from rooms above them in its table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import babelpress

SOURCE = Path(babelpress.__file__).parent
MAP = SOURCE.parents[1] / "docs" / "architecture.md"


def rooms() -> list[tuple[str, ...]]:
    """The rooms of the map, bottom first; one line may hold several."""
    table = MAP.read_text(encoding="utf-8").partition("| room |")[2].partition("\n\n")[0]
    lines = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [
        tuple(name.removesuffix("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", line)) for line in lines
    ]


def imports(file: Path) -> set[str]:
    """The rooms that a file imports from, within functions and for types as well."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [f"babelpress.{name.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                if node.module == "babelpress" for name in node.names]  # fmt: skip
    return {module.split(".")[1] for module in modules if module.startswith("babelpress.")}


def test_every_room_is_on_the_map_and_no_import_runs_back_up():
    level = {name: number for number, names in enumerate(rooms()) for name in names}
    upward, unknown = [], set()
    for file in sorted(SOURCE.rglob("*.py")):
        room = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        unknown |= {room} - level.keys()
        for other in imports(file) - {room}:
            if level.get(other, 0) >= level.get(room, 0):
                upward.append(f"{file.relative_to(SOURCE)} imports {other}")
    assert not unknown
    assert not upward, "\n".join(upward)

"""The environments that readers run in: where they lie, what is in them, whether they are there.

`make readers` makes them (tools/readers.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
HOME = Path(os.environ.get("BABELPRESS_READERS") or Path.home() / ".cache" / "babelpress-readers")


@dataclass(frozen=True)
class Environment:
    """A folder below HOME. `listed` is the file that pins what is in it, None for the project's own environment.

    `linked` are large packages that are not what is tried: they are those of the project's own environment.
    """

    name: str
    listed: str | None = None
    linked: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Return where it lies; other packages or another Python are another environment."""
        linked = [f"{name}=={version(name)}" for name in self.linked]
        known = repr((sys.version_info[:2], linked, self._list()))
        return HOME / f"{self.name}-{hashlib.sha256(known.encode()).hexdigest()[:12]}"

    def _list(self) -> str:
        return (HERE / self.listed).read_text(encoding="utf-8") if self.listed else ""

    def pins(self) -> dict[str, str]:
        """Return the pinned versions, by the names that packages are imported by."""
        if self.is_node:
            return dict(json.loads(self._list())["dependencies"])
        found = [Requirement(line) for line in self._list().splitlines()]
        chosen = [one for one in found if one.marker is None or one.marker.evaluate()]
        return {one.name.replace("-", "_"): str(one.specifier).removeprefix("==") for one in chosen}

    @property
    def is_node(self) -> bool:
        """Tell whether it is one of Node, not of Python."""
        return self.listed is not None and self.listed.endswith(".json")

    @property
    def program(self) -> str:
        """Return what runs a reader's script."""
        if self.listed is None:
            return sys.executable
        return shutil.which("node") or "node" if self.is_node else str(self.folder / "bin" / "python")

    @property
    def is_there(self) -> bool:
        """Tell whether it was made, to its end."""
        return self.listed is None or (self.folder / "ready").is_file()


_NUMBERS = ("torch", "numpy", "scipy", "scikit-learn")
MAIN = Environment("main")
ST5 = Environment("st5", "requirements-st5.txt", _NUMBERS)
ST3 = Environment("st3", "requirements-st3.txt", _NUMBERS)
FASTEMBED = Environment("fastembed", "requirements-fastembed.txt", ("numpy", "onnxruntime"))
NODE = Environment("node", "package.json")
MADE = {one.name: one for one in (ST5, ST3, FASTEMBED, NODE)}

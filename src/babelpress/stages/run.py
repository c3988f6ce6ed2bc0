"""A recipe at work: its folder, its teacher, and what stages read of each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelpress.corpus.build import read_texts
from babelpress.corpus.hub_sources import local_copy, mteb_train_source
from babelpress.corpus.sentence import Split
from babelpress.recipe import HubSource, MtebTrainSource, ParallelSource, Recipe
from babelpress.schema.results import PRUNED, STUDENT, TEACHER
from babelpress.student.layers import LayerPlan
from babelpress.teacher import Teacher
from babelpress.utils.files import hash_folder
from babelpress.vocabulary.plan import VocabularyPlan


@dataclass(frozen=True)
class Run:
    """A recipe at work: where its results go and what it reads."""

    recipe: Recipe
    folder: Path
    teacher: Teacher
    data_dir: Path | None
    cache: Path = Path("runs/cache")  # what runs share

    def path(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.folder / stage

    def models(self) -> dict[str, Path]:
        """Return the folders of the run's models, by their names in the results."""
        return {TEACHER: self.teacher.folder, PRUNED: self.path("pruned"), STUDENT: self.path("student")}


def dump(section: Any) -> Any:
    """Return a recipe section as JSON-able values."""
    return section.model_dump(mode="json")


def teacher_key(run: Run) -> Any:
    """Return what identifies the teacher in a stage's key."""
    return {"name": run.teacher.name, "fingerprint": run.teacher.fingerprint, "prompts": run.teacher.prompts}


def read_plans(run: Run) -> tuple[LayerPlan, VocabularyPlan]:
    """Return the plans that the run's stages wrote."""
    return LayerPlan.load(run.path("layers") / "plan.json"), VocabularyPlan.load(run.path("vocabulary") / "plan.json")


def first_texts(corpus: Path, split: Split, count: int) -> list[str]:
    """Return the first texts of a split (its order is that of hashes, so they are a fair sample)."""
    texts: list[str] = []
    for batch, _ in read_texts(corpus, split):
        texts += batch
        if len(texts) >= count:
            break
    return texts[:count]


def texts_by_language(corpus: Path, split: Split) -> dict[str, list[str]]:
    """Return all texts of a held-out split, by language."""
    texts_of: dict[str, list[str]] = {}
    for texts, languages in read_texts(corpus, split):
        for text, language in zip(texts, languages, strict=True):
            texts_of.setdefault(language, []).append(text)
    return {language: texts_of[language] for language in sorted(texts_of)}


def copies(run: Run, sources: Iterable[object]) -> dict[str, str]:
    """Return the content hashes of the local copies that hub sources are read from."""
    if run.data_dir is None:
        return {}
    names: set[str] = set()
    for source in sources:
        if isinstance(source, HubSource | ParallelSource):
            names.add(source.dataset)
        elif isinstance(source, MtebTrainSource):
            languages = run.recipe.languages
            names |= {mteb_train_source(task, languages=languages, limit=None).dataset for task in source.tasks}
    folders = {name: local_copy(name, run.data_dir) for name in names}
    return {name: hash_folder(folder) for name, folder in sorted(folders.items()) if folder}


def task_data(run: Run) -> dict[str, str]:
    """Return the hashes of local task data: other data, other scores."""
    return {name: hash_folder(folder) for name, folder in _task_folders(run).items()}


def _task_folders(run: Run) -> dict[str, Path]:
    """Return the folders of local task data."""
    if run.data_dir is None:
        return {}
    folders = {name: run.data_dir / name for name in run.recipe.evaluation.chosen_tasks()}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}

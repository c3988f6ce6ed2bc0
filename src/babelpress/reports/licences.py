"""Licences: what the hub calls them, and whose work, under which of them, a student is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from babelpress.corpus.hub_sources import mteb_train_source
from babelpress.recipe import BundledSource, FileSource, HubSource, MtebTrainSource, Recipe
from babelpress.teacher import BUNDLED_ID, Teacher

UNKNOWN = "unknown"
OTHER = "other"
NOT_STATED = "licence not stated in the recipe"

# The identifiers that a card's metadata may hold (hub documentation, "Licenses"); all else is `other` with a name.
_HUB_IDS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib
pddl lgpl-lr deepfloyd-if-license llama2 gemma unknown other
"""
HUB_LICENCES = frozenset(_HUB_IDS.split())


@dataclass(frozen=True)
class Licence:
    """A licence as a card's metadata hold it; `name` and `link` only with the identifier `other`."""

    id: str
    name: str | None = None
    link: str | None = None

    @property
    def words(self) -> str:
        """The licence as a text names it."""
        named = self.name or self.id
        return f"[{named}]({self.link})" if self.link else named


@dataclass(frozen=True)
class Credit:
    """Somebody's work that went into a student: what it is (Markdown), its licence and whom to name, "" if nobody."""

    work: str
    licence: str
    attribution: str = ""

    @property
    def plain(self) -> tuple[str, str]:
        """The work, and its licence with whom to name, as text without links."""
        licence = f"{self.licence} ({self.attribution})" if self.attribution else self.licence
        return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", self.work), licence


def hub_id(teacher: Teacher) -> str | None:
    """Return the teacher's id on the hub, None where its name is none (a folder's own name, the bundled one)."""
    is_id = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", teacher.name)
    return teacher.name if is_id and teacher.name != BUNDLED_ID else None


def student_licence(recipe: Recipe, teacher: Teacher) -> Licence:
    """Return the student's licence: what the recipe says, else the teacher's; `unknown` where neither names one."""
    if recipe.card.licence:
        return _licence(recipe.card.licence)
    if not teacher.licence:
        return Licence(UNKNOWN)
    return _licence(teacher.licence, name=teacher.licence_name, link=_absolute(teacher.licence_link, hub_id(teacher)))


def list_credits(recipe: Recipe, teacher: Teacher) -> list[Credit]:
    """Return the teacher and every source of text, in the recipe's order, each once."""
    own = _licence(teacher.licence, name=teacher.licence_name).words if teacher.licence else "its folder names none"
    origin = "babelpress; its text: docs/reference_teacher.md there" if teacher.name == BUNDLED_ID else ""
    found = [Credit(f"teacher: {teacher_link(teacher)}", own, origin)]
    for source in recipe.corpus.sources:
        if isinstance(source, BundledSource):
            found.append(Credit("babelpress's own parallel sentences", "apache-2.0", "babelpress"))
        elif isinstance(source, FileSource):
            names = ", ".join(dict.fromkeys(PurePath(path).name for path in source.paths))
            found.append(_credit(names, source))
        elif isinstance(source, HubSource):
            found.append(_credit(_dataset_link(source.dataset), source))
        elif isinstance(source, MtebTrainSource):
            for path, licence in (_mteb_data(task, recipe) for task in source.tasks):
                found.append(_credit(_dataset_link(path), source, licence))
        else:
            found.append(Credit("word lists of the teacher's pieces", "as the teacher's"))
    return list(dict.fromkeys(found))


def hub_datasets(recipe: Recipe) -> list[str]:
    """Return the hub ids of the data sets that the recipe's text comes from, each once."""
    found: list[str] = []
    for source in recipe.corpus.sources:
        if isinstance(source, HubSource):
            found.append(source.dataset)
        elif isinstance(source, MtebTrainSource):
            found += [_mteb_data(task, recipe)[0] for task in source.tasks]
    return [name for name in dict.fromkeys(found) if _is_dataset(name)]


def teacher_link(teacher: Teacher) -> str:
    """Return the teacher's name, as a link where the hub has it; of a folder the last part, not where it lies."""
    name = hub_id(teacher)
    if name:
        return f"[{name}](https://huggingface.co/{name})"
    return teacher.name if teacher.name == BUNDLED_ID else re.split(r"[\\/]", teacher.name.rstrip("\\/"))[-1]


def _licence(text: str, *, name: str | None = None, link: str | None = None) -> Licence:
    identifier = text.strip().lower()
    if identifier in HUB_LICENCES - {OTHER}:
        return Licence(identifier)
    named = name or (text if identifier != OTHER else "other")
    return Licence(OTHER, re.sub(r"[^a-z0-9.]+", "-", named.lower()).strip("-"), link)


def _absolute(link: str | None, model: str | None) -> str | None:
    """Return a licence's link; one to a file of the teacher's repository leads there, not into the student's."""
    if link is None or re.match(r"https?://", link):
        return link
    return f"https://huggingface.co/{model}/blob/main/{link.removeprefix('./')}" if model else None


def _credit(work: str, source: FileSource | HubSource | MtebTrainSource, unstated: str = NOT_STATED) -> Credit:
    return Credit(work, source.licence or unstated, source.attribution or "")


def _mteb_data(task: str, recipe: Recipe) -> tuple[str, str]:
    """Return the data set that a task's train split is read from, and its licence in mteb's words."""
    import mteb

    path = mteb_train_source(task, languages=recipe.languages, limit=None).dataset
    stated = mteb.get_task(task).metadata.license
    return path, f"{stated} (as mteb states it)" if stated and stated != "not specified" else NOT_STATED


def _dataset_link(name: str) -> str:
    return f"[{name}](https://huggingface.co/datasets/{name})" if _is_dataset(name) else PurePath(name).name


def _is_dataset(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name))

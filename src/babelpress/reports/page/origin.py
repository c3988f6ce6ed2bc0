"""Where everything is from: limits, how to get the run again, and the stages' manifests."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from babelpress.errors import RecipeError
from babelpress.recipe import Recipe
from babelpress.reports.card_measures import measured_beyond
from babelpress.reports.page.blocks import Block, Cell, Code, Column, Details, Items, Prose, Row, Section, Table, Terms
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import NOT_MEASURED, code, duration, link, mib, whole
from babelpress.schema.recipe_text import shipped_recipes


def tell_limits(facts: PageFacts) -> Section:
    """Return the section of what the figures do not say, and how to get them again."""
    said = (
        _length_words(facts),
        "Other languages than the recipe's are mostly spelled in small pieces or bytes and lose most.",
        "Speed, memory and time are those of the machine named above, at that hour; ratios carry over better than "
        "absolute figures.",
        "Scores are of one training with one seed; an interval tells of the test sentences, not of other trainings.",
    )
    return Section("limits", "Limits, and how to reproduce", (Items(said), *_again(facts)))


def _length_words(facts: PageFacts) -> Markup:
    settings = facts.recipe.distillation
    longest = settings.long_length or settings.max_length
    there = Markup("the {} says how near longer texts stay to the teacher.").format(
        link("#table-lengths", "table of lengths")
    )
    unknown = "what longer texts lose was not measured."
    return Markup("Trained up to {} tokens; the student takes up to {}, and {}").format(
        whole(longest),
        whole(facts.teacher.max_length),
        there if measured_beyond(facts.student, longest) else unknown,
    )


def _again(facts: PageFacts) -> tuple[Block, ...]:
    versions = ", ".join(f"{name} {version}" for name, version in facts.results.versions.items())
    return (
        Prose(f"The same run again, with babelpress {facts.results.versions['babelpress']}:"),
        Code(command(facts)),
        Terms((("Versions of the evaluation", versions),)),
    )


def command(facts: PageFacts) -> str:
    """Return the command that gives this run again: the shipped recipe's name, or the recipe file beside the page."""
    name = facts.recipe.name if _is_shipped(facts.recipe) else "recipe.yaml"
    return f"babelpress run {name}{' --data-dir DIR' if facts.local_data else ''}"


def _is_shipped(recipe: Recipe) -> bool:
    if recipe.name not in shipped_recipes():
        return False
    try:
        return Recipe.load(recipe.name) == recipe
    except RecipeError:
        return False


# --- manifests ----------------------------------------------------------------------------------


def tell_origin(facts: PageFacts) -> Section:
    """Return the appendix: every stage, its key, what it was made from and by which versions."""
    manifests = facts.manifests
    words = (
        "Each number links to the stage that it is from. A stage's key is the hash of its settings and of what its "
        "inputs contain: the same key, the same result. The whole manifests, settings included, lie in the stages' "
        "folders beside this page."
    )
    rows = tuple(_stage_row(name, manifest) for name, manifest in manifests.items())
    columns = (
        Column("stage", number=False), Column("key", number=False), Column("made from", number=False), Column("time"),
        Column("files"), Column("size"),
    )  # fmt: skip
    table = Table("table-stages", "Stages", columns, rows, ())
    folded = tuple(_manifest(name, manifest) for name, manifest in manifests.items())
    title = "Where the numbers are from"
    return Section("origin", title, (Prose(words), table, _versions(manifests), *folded))


def _stage_row(name: str, manifest: dict[str, Any]) -> Row:
    files = manifest["files"].values()
    return Row(name, id=f"from-{name}", cells=(
        Cell(code(manifest["key"])), Cell(", ".join(manifest["inputs"]) or "the recipe alone"),
        Cell(duration(manifest["seconds"])), Cell(whole(len(files))), Cell(mib(sum(file["bytes"] for file in files))),
    ))  # fmt: skip


def _versions(manifests: dict[str, dict[str, Any]]) -> Table:
    """Return the versions that every stage was made by, a column for each set of stages that share theirs."""
    groups: dict[str, list[str]] = {}
    for name, manifest in manifests.items():
        groups.setdefault(json.dumps(manifest["versions"], sort_keys=True), []).append(name)
    found = [(json.loads(text), names) for text, names in groups.items()]
    libraries = list(dict.fromkeys(library for own, _ in found for library in own))
    columns = (Column("", number=False), *(Column(_stage_words(names, manifests)) for _, names in found))
    rows = tuple(Row(one, tuple(Cell(own.get(one, NOT_MEASURED)) for own, _ in found)) for one in libraries)
    return Table("table-versions", "Versions", columns, rows, ())


def _stage_words(names: list[str], manifests: dict[str, dict[str, Any]]) -> str:
    return "all stages" if len(names) == len(manifests) else ", ".join(names)


def _manifest(name: str, manifest: dict[str, Any]) -> Details:
    inputs = tuple((f"made from {what}", code(own)) for what, own in manifest["inputs"].items())
    counts = tuple((what.replace("_", " "), _in_words(own)) for what, own in manifest["counts"].items())
    terms = Terms((("key", code(manifest["key"])), *inputs, ("what it holds", code(manifest["outputs"])), *counts))
    columns = (Column("file", number=False), Column("bytes"), Column("xxh3", number=False))
    rows = tuple(
        Row(file, (Cell(whole(own["bytes"])), Cell(code(own["xxh3"])))) for file, own in manifest["files"].items()
    )
    files = Table(f"table-files-{name}", f"Files of {name}", columns, rows, ())
    return Details(f"Manifest of {name}", blocks=(terms, files), id=f"manifest-{name}")


def _in_words(value: Any) -> str:
    """Return a value of JSON as one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(own)}" for name, own in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_in_words, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)

"""The README's recipe and commands are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from babelpress.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]


def _blocks(kind: str) -> list[str]:
    """Return the fenced blocks of one language."""
    found: list[str] = []
    fence: str | None = None
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
            if fence == kind:
                found.append("")
        elif fence == kind:
            found[-1] += line + "\n"
    return found


def test_the_recipe_of_the_readme_is_valid():
    (text,) = _blocks("yaml")
    assert Recipe.parse(text).languages == ("de", "fr", "pl")


def test_every_verb_and_make_target_of_the_readme_exists():
    from babelpress.cli.verbs import _VERBS

    shown = "\n".join(_blocks(""))
    verbs = set(re.findall(r"^babelpress (\w+)", shown, flags=re.MULTILINE))
    assert verbs <= {*_VERBS, "check", "compare", "push", "recipes", "suites"}
    assert verbs
    targets = set(re.findall(r"^make (\S+)", shown, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_files_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"(?:docs|benchmarks)/[\w./]+\.(?:md|py|png)", text):
        assert (ROOT / name).is_file(), name

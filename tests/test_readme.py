"""The README's recipe and commands are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from babelpress.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_recipe_of_the_readme_is_valid():
    (text,) = _blocks("yaml")
    assert Recipe.parse(text).languages == ("de", "fr", "pl")


def test_every_verb_and_make_target_of_the_readme_exists():
    from babelpress.cli import _VERBS

    shown = "\n".join(_blocks(""))
    verbs = set(re.findall(r"^babelpress (\w+)", shown, flags=re.MULTILINE))
    assert verbs <= {*_VERBS, "recipes"}
    assert verbs
    targets = set(re.findall(r"^make (\S+)", shown, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_files_that_the_readme_names_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"(?:docs|benchmarks)/[\w./]+\.(?:md|py|png)", text):
        assert (ROOT / name).is_file(), name

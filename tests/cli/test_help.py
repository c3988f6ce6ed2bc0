"""Help: every verb explains itself in 80 columns, without waiting for heavy libraries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rich.cells import cell_len

VERBS = (
    "run", "plan", "press", "distill", "evaluate", "visualize", "card", "report", "check", "compare", "suites",
    "measure", "speed", "push", "export", "fetch",
)  # fmt: skip
RECIPES = ("list", "show", "init")


def test_no_arguments_print_help(call):
    ended = call()
    assert "Usage:" in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert all(verb in ended.out + ended.err for verb in (*VERBS, "recipes"))


@pytest.mark.parametrize("words", [*((verb,) for verb in VERBS), *(("recipes", name) for name in RECIPES)])
def test_every_verb_explains_itself_with_an_example(call, words):
    ended = call(*words, "--help")
    assert ended.code == 0
    example = next(line for line in ended.out.splitlines() if "Example:" in line)
    assert "babelpress " + " ".join(words) in example


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS), ("recipes",), *(("recipes", n) for n in RECIPES)])
def test_help_fits_80_columns(call, words):
    ended = call(*words, "--help")
    assert max(map(cell_len, ended.out.splitlines())) <= 80


def test_help_does_not_wait_for_torch():
    script = "import sys; from babelpress.cli import main\ntry: main()\nfinally: print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True, env={**os.environ}
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "babelpress.cli" in loaded
    assert not loaded & {"torch", "transformers", "sentence_transformers", "mteb", "pyarrow", "umap"}


def test_an_unknown_verb_is_a_usage_error(call):
    ended = call("distil", "demo")
    assert ended.code == 2
    assert "distil" in ended.err
    assert "Traceback" not in ended.err

"""Help: every verb explains itself in 80 columns, without waiting for heavy libraries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rich.cells import cell_len

from babelpress.verbs import VERBS

COMMANDS = (*VERBS, "suites")
RECIPES = ("list", "show", "init")


def test_no_arguments_print_help(call):
    ended = call()
    assert "Usage:" in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert all(verb in ended.out + ended.err for verb in (*COMMANDS, "recipes"))


@pytest.mark.parametrize("words", [*((verb,) for verb in COMMANDS), *(("recipes", name) for name in RECIPES)])
def test_every_verb_explains_itself_with_an_example(call, words):
    ended = call(*words, "--help")
    assert ended.code == 0
    example = next(line for line in ended.out.splitlines() if "Example:" in line)
    assert "babelpress " + " ".join(words) in example


@pytest.mark.parametrize(
    "words", [(), *((verb,) for verb in COMMANDS), ("recipes",), *(("recipes", n) for n in RECIPES)]
)
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


def test_every_verb_is_a_function_of_the_package():
    import babelpress

    assert all(callable(getattr(babelpress, verb)) for verb in VERBS)
    assert set(VERBS) <= set(babelpress.__all__)


@pytest.mark.parametrize("words", [*((verb,) for verb in COMMANDS), *(("recipes", name) for name in RECIPES)])
def test_help_names_no_types(call, words):
    shown = call(*words, "--help").out
    assert not any(kind in shown for kind in ("<bool>", "<int>", "<str>", "list["))


def test_the_version_is_printed(call):
    from importlib.metadata import version

    ended = call("--version")
    assert (ended.code, ended.out.strip()) == (0, f"babelpress {version('babelpress')}")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp932", "ascii"])
@pytest.mark.parametrize("words", [("--help",), ("suites",), ("suites", "--json"), ("recipes", "list", "--json")])
def test_a_terminal_without_unicode_gets_plain_lines_and_no_traceback(encoding, words):
    import json

    done = subprocess.run(
        [sys.executable, "-m", "babelpress", *words], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    if "--json" in words:
        assert json.loads(done.stdout.decode("ascii"))

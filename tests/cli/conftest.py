"""The command line run here, and a whole run of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from babelpress.cli import main
from babelpress.utils import progress
from tests.cli import Ended
from tests.distillation import write_recipe


@pytest.fixture
def call(capfd, monkeypatch):
    """Run the command line here; what libraries print past Python is caught, too."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    root, ours = logging.getLogger(), logging.getLogger("babelpress")
    before = (root.handlers[:], root.level, ours.level)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["babelpress", *arguments])
        root.handlers[:] = []  # pytest's own, with which basicConfig would do nothing
        capfd.readouterr()
        try:
            main()
            code: int | str | None = 0
        except SystemExit as end:
            code = end.code
        caught = capfd.readouterr()
        return Ended(int(code or 0), caught.out, caught.err)

    yield run
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)
    progress.draw_on(None)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory, tiny_teacher) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"), tiny_teacher)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """One run's folder for all: each test brings it up as far as it needs."""
    return tmp_path_factory.mktemp("run") / "r"


@pytest.fixture(scope="session")
def whole(recipe, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Everything, once, in a process of its own: what a user's terminal would see."""
    target = tmp_path_factory.mktemp("whole") / "r"
    script = "from babelpress.cli import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", script, "run", str(recipe), "-o", str(target), "--set", "distillation.epochs=1"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    return target, done

"""Models may be named by their folder, as `bundled`, or by their hub id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from babelpress.errors import EvaluationError
from babelpress.evaluation.model_folders import ModelFolder, find_model, need_model
from tests.hub.content import write_model
from tests.hub.server import StandInHub
from tests.tiny import make_teacher


def ask_hub(root: Path, home: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run babelpress beside a hub that holds what lies in `root`; return what it did and what it asked for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    with StandInHub(root) as hub:
        done = subprocess.run(
            [sys.executable, "-m", "babelpress", *arguments], env={**kept, **hub.environment(home)}, cwd=home,
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        return done, list(hub.requests)


def test_a_folder_is_called_by_its_name_and_a_runs_student_by_its_run(tmp_path):
    one, two = make_teacher(tmp_path / "small"), make_teacher(tmp_path / "mine" / "student")
    assert find_model(str(one)) == ModelFolder("small", one)
    assert find_model(two) == ModelFolder("mine-student", two)


def test_bundled_is_the_teacher_of_the_demo():
    found = find_model("bundled")
    assert found is not None
    assert (found.folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "named", ["nowhere", "{there}", "{there}/file", "published:x", "../a/b", "/a/b", "run:teacher"]
)
def test_what_is_no_model_and_no_hub_id_is_not_looked_for(tmp_path, named, monkeypatch):
    monkeypatch.setattr("babelpress.evaluation.model_folders.download_model", lambda _: pytest.fail("asked the hub"))
    (tmp_path / "file").write_text("x")
    assert find_model(named.format(there=tmp_path)) is None


def test_a_folder_that_is_there_is_never_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.setattr("babelpress.evaluation.model_folders.download_model", lambda _: pytest.fail("asked the hub"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    assert find_model("runs/demo") is None


def test_a_run_in_the_place_of_a_model_names_its_student(tmp_path):
    make_teacher(tmp_path / "run" / "student")
    with pytest.raises(
        EvaluationError, match=r"not a model folder \(it has no modules.json\); did you mean .*student\?"
    ):
        need_model(tmp_path / "run")


def test_a_model_of_the_hub_is_compared_under_its_name(tmp_path):
    write_model(tmp_path / "hub", "org/small", make_teacher(tmp_path / "teacher", hidden=32, feed_forward=64))
    done, asked = ask_hub(
        tmp_path / "hub", tmp_path, "compare", "bundled", "org/small", "--suite", "offline", "--languages", "en,de",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["models"]) == ["bundled", "small"]
    assert any("org/small" in one for one in asked)


@pytest.mark.parametrize(
    ("named", "said"),
    [("org/none", "the hub has no repository of that name"), ("org/bare", "is not a SentenceTransformer")],
)
def test_what_the_hub_does_not_have_is_one_line(tmp_path, named, said):
    write_model(tmp_path / "hub", "org/bare", make_teacher(tmp_path / "teacher"))
    next((tmp_path / "hub").rglob("modules.json")).unlink()
    done, _ = ask_hub(tmp_path / "hub", tmp_path, "compare", "bundled", named, "--suite", "offline")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

"""The command: what it prints, and that what it published is the model that was here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from babelpress import api
from babelpress.publishing.push import Destination, Pushed, plan_push
from tests.cli.conftest import call  # noqa: F401 (a fixture)
from tests.hub.test_standin import GUARD
from tests.hub.uploads import WRITER, WritableHub
from tests.publishing import NAME, make_published

REPO = "me/mine"
ROOT = Path(__file__).resolve().parents[2]
PUSH_AND_LOAD = (
    GUARD
    + """
import babelpress.checks.run
from babelpress.cli import main

babelpress.checks.run.scalar_values = lambda *, full: list("a\\u00e9\\uac00")
folder, repo = sys.argv[1:]
sys.argv = ["babelpress", "push", folder, repo, "--json"]
try:
    main()
except SystemExit as end:
    assert not end.code

import torch
from sentence_transformers import SentenceTransformer

texts = ["query: hello", "안녕하세요", "naïve", "😀"]
by_id, here = (SentenceTransformer(source, device="cpu").encode(texts) for source in (repo, folder))
print(json.dumps({"apart": float(abs(by_id - here).max()), "shape": list(by_id.shape)}))
"""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_teacher) -> Path:
    return make_published(tmp_path_factory.mktemp("run") / "student", tiny_teacher)


def test_what_was_pushed_is_loaded_by_its_name_and_gives_the_same_vectors(folder, tmp_path):
    (tmp_path / "root").mkdir()
    with WritableHub(tmp_path / "root") as hub:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        variables = {
            **kept, **hub.environment(tmp_path / "home"), "HF_TOKEN": WRITER, "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", PUSH_AND_LOAD, str(folder), REPO],
            env=variables, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        *facts, loaded = done.stdout.strip().splitlines()
        assert json.loads(loaded) == {"apart": 0.0, "shape": [4, 16]}
        found = json.loads("\n".join(facts))
        assert found["commit"] == hub.main(REPO).head
        assert (found["changed"], found["renamed_from"]) == (True, NAME)
        assert (hub.main(REPO).folder / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert done.stderr == ""


@pytest.fixture
def sent(monkeypatch, folder):
    """Let a push end in a given way without a hub; what it was asked for is kept."""
    asked = {}

    def push(place, repo_id, *, revision, private, create_pr, **more):
        asked.update(place=place, **more)
        to = Destination(repo_id, revision=revision, private=private, create_pr=create_pr)
        return Pushed(plan_push(place, to), "https://hub", **({} if more["dry_run"] else asked["end"]))

    monkeypatch.setattr(api, "push", push)
    return asked


def test_a_push_prints_where_the_model_is_and_what_was_renamed(call, folder, sent):  # noqa: F811
    sent["end"] = {"commit": "abc", "changed": True}
    ended = call("push", str(folder), REPO, "--message", "words")
    link, named = ended.out.splitlines()
    assert link.startswith(f"https://hub/{REPO}  (15 files, ")
    assert link.endswith("commit abc)")
    assert named == f"README.md calls the model {NAME}; the pushed copy calls it {REPO}"
    assert (ended.code, ended.err, sent["message"], sent["dry_run"]) == (0, "", "words", False)


def test_a_push_that_changed_nothing_says_so(call, folder, sent):  # noqa: F811
    sent["end"] = {"commit": "abc", "changed": False}
    assert call("push", str(folder), REPO).out.startswith(f"nothing to push: https://hub/{REPO} has these 15 files")


def test_a_pull_request_prints_its_link(call, folder, sent):  # noqa: F811
    sent["end"] = {"commit": "abc", "changed": True, "pull_request": "https://hub/me/mine/discussions/3"}
    assert call("push", str(folder), REPO, "--create-pr").out.startswith("https://hub/me/mine/discussions/3  (15 files")


def test_a_dry_run_lists_every_file_with_its_size_and_where_it_would_go(call, folder, sent):  # noqa: F811
    ended = call("push", str(folder), REPO, "--dry-run", "--private", "--revision", "try")
    lines = ended.out.splitlines()
    weights = (folder / "model.safetensors").stat().st_size
    assert f"{weights:>13,}  model.safetensors" in lines
    assert len(lines) == 15 + 2
    assert lines[-2].startswith("15 files, ")
    assert lines[-2].endswith(f"would go to https://hub/{REPO} (branch try, private if it is new); nothing was sent")


def test_json_alone_is_printed_where_it_is_asked_for(call, folder, sent):  # noqa: F811
    ended = call("push", str(folder), REPO, "--dry-run", "--json")
    found = json.loads(ended.out)
    assert (found["repository"], found["sent"], len(found["files"])) == (REPO, False, 15)


def test_quiet_prints_nothing(call, folder, sent):  # noqa: F811
    ended = call("push", str(folder), REPO, "--dry-run", "--quiet")
    assert (ended.out, ended.err) == ("", "")


def test_ctrl_c_is_one_line_that_says_how_the_hub_was_left(call, folder, monkeypatch):  # noqa: F811
    def push(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "push", push)
    ended = call("push", str(folder), REPO)
    assert ended.code == 130
    assert "the hub has all of it or nothing" in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_that_is_none_is_one_line(call, tmp_path):  # noqa: F811
    ended = call("push", str(tmp_path / "nowhere"), REPO, "--dry-run")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "nowhere is not a folder" in ended.err


def test_there_is_no_way_to_give_a_token_on_the_command_line(call, folder):  # noqa: F811
    assert call("push", str(folder), REPO, "--token", "hf_x").code == 2

"""Kill -9 between and within tasks: finished ones are not run again, the figures are the undisturbed ones."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.local import MULTILINGUAL, write_classes, write_multilingual, write_stsbenchmark
from tests.stages.test_resume import Nursery
from tests.tiny import make_teacher

TASKS = ("STSBenchmark", "Banking77Classification", MULTILINGUAL)

# Where each comparison of two models is killed (function, n-th call, after it instead of before), and how many of the
# six results, of their files of replicates, there are then. Each goes on from what the one before it left.
KILLS = {
    "after a task": (("evaluation.tasks.scoring:open_task", 2, False), 1, 1),
    "between mteb's result and its replicates": (("evaluation.tasks.run:write_rows", 1, False), 2, 1),
    "within a task of several subsets": (("evaluation.tasks.run:write_rows", 3, True), 3, 3),
    "before the last task": (("evaluation.tasks.scoring:open_task", 6, False), 5, 5),
}


@dataclass
class Chain:
    codes: dict[str, int]
    left: dict[str, dict[str, int]]
    facts: Any
    files: dict[str, int]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("killed")
    write_stsbenchmark(root / "data")
    write_classes(root / "data")
    write_multilingual(root / "data")
    for seed in (1, 2):
        make_teacher(root / f"m{seed}", layers=1, seed=seed)
    return root


@pytest.fixture(scope="module")
def nursery(place):
    started = Nursery(place, "mteb", "mteb.models.sentence_transformer_wrapper", HF_DATASETS_CACHE=str(place / "cache"))
    yield started
    started.process.communicate()


def compare(nursery: Nursery, place: Path, cache: str, kill=None):
    return nursery.run(
        "compare", str(place / "m1"), str(place / "m2"), "--tasks", ",".join(TASKS), "--data-dir", str(place / "data"),
        "--cache", str(place / cache), "--json", kill=kill,
    )  # fmt: skip


def stamps(cache: Path) -> dict[str, int]:
    """When each result and each file of replicates was written, by name without the folder of its data."""
    files = [*cache.rglob("results/*/*/[A-Z]*.json"), *cache.rglob("*.safetensors")]
    return {"/".join(file.relative_to(cache).parts[1:]): file.stat().st_mtime_ns for file in files}


@pytest.fixture(scope="module")
def chain(nursery, place) -> Chain:
    codes, left = {}, {}
    for name, (kill, _, _) in KILLS.items():
        codes[name] = compare(nursery, place, "killed", kill).code
        left[name] = stamps(place / "killed")
    ended = compare(nursery, place, "killed")
    assert (ended.code, ended.err) == (0, "")
    return Chain(codes, left, json.loads(ended.out), stamps(place / "killed"))


@pytest.mark.parametrize("name", KILLS)
def test_a_kill_leaves_what_was_finished(chain, name):
    _, results, replicates = KILLS[name]
    assert chain.codes[name] == -signal.SIGKILL
    found = [file.partition("/")[0] for file in chain.left[name]]
    assert (found.count("results"), found.count("bootstrap")) == (results, replicates)


@pytest.mark.parametrize("name", ["after a task", "before the last task"])
def test_finished_tasks_are_not_run_again(chain, name):
    kept = {file: stamp for file, stamp in chain.left[name].items() if "Multilingual" not in file}
    assert kept.items() <= chain.files.items()


def test_a_result_without_replicates_is_made_again(chain):
    """And it is the only one of those that were there."""
    name = "between mteb's result and its replicates"
    again = [file for file, stamp in chain.left[name].items() if chain.files[file] != stamp]
    assert [file.rpartition("/")[2] for file in again] == ["Banking77Classification.json"]


def test_a_comparison_that_was_killed_everywhere_is_the_undisturbed_one(chain, nursery, place):
    ended = compare(nursery, place, "whole")
    assert json.loads(ended.out) == chain.facts
    assert stamps(place / "whole").keys() == chain.files.keys()
    assert all(cell["interval"] for cell in chain.facts["overall"]["cells"])


def test_no_rubbish_is_left(chain, place):
    names = [file.name for file in (place / "killed").rglob("*") if file.is_file()]
    assert not [name for name in names if "tmp" in name or "predictions" in name]

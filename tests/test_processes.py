"""Several processes at one run: the same plan as of one, and no process that goes its own way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from babelpress import processes
from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.plan import VocabularyPlan
from tests.distillation import write_recipe


def call(*arguments: str, count: int) -> subprocess.CompletedProcess[str]:
    """Run the command line in so many processes, as `accelerate launch` starts them (by torchrun)."""
    start = ["-m", "torch.distributed.run", f"--nproc_per_node={count}"] if count > 1 else []
    command = [sys.executable, *start, "-m", "babelpress", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)


def test_one_process_is_the_main_one_and_has_everything(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (processes.count(), processes.rank(), processes.is_main()) == (1, 0, True)
    assert list(processes.share("abc")) == ["a", "b", "c"]
    assert processes.from_main("x") == "x"


def test_shares_are_disjoint_and_whole(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    found = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        found.append(list(processes.share(range(10))))
    assert found == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_teacher: Path) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"), tiny_teacher)


def test_two_processes_count_and_plan_as_one_does(recipe: Path, tmp_path: Path):
    alone = call("plan", str(recipe), "-o", str(tmp_path / "one"), "--json", count=1)
    both = call("plan", str(recipe), "-o", str(tmp_path / "two"), "--json", count=2)
    assert (alone.returncode, both.returncode) == (0, 0), both.stderr
    assert both.stdout == alone.stdout
    one, two = (tmp_path / name / "vocabulary" for name in ("one", "two"))
    assert VocabularyPlan.load(one / "plan.json") == VocabularyPlan.load(two / "plan.json")
    ours, theirs = PieceCounts.load(one / "counts.npz"), PieceCounts.load(two / "counts.npz")
    assert ours.sentences == theirs.sentences
    assert all((ours.pieces[code] == theirs.pieces[code]).all() for code in ours.pieces)
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())


def test_what_runs_in_one_process_is_refused_to_two_before_any_work(recipe: Path, tmp_path: Path):
    ended = call("distill", str(recipe), "-o", str(tmp_path / "run"), count=2)
    assert ended.returncode != 0
    assert "distillation runs in one process so far, this is one of 2" in ended.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()

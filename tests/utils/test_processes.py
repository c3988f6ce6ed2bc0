"""Several processes at one run: the same plan as of one, and no process that goes its own way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from babelpress.utils import processes
from babelpress.utils.files import list_files, read_json
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


@pytest.fixture(scope="module")
def both(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A whole run in two processes, and its folder."""
    folder = tmp_path_factory.mktemp("both") / "run"
    ended = call("run", str(recipe), "-o", str(folder), "--set", "distillation.epochs=1", count=2)
    assert ended.returncode == 0, ended.stderr
    return ended, folder


def test_a_whole_run_in_two_processes_ends_with_a_student(both):
    _, folder = both
    assert (folder / "student" / "model.safetensors").is_file()
    assert (folder / "student" / "README.md").is_file()
    results = read_json(folder / "results.json")
    assert set(results["models"]) == {"teacher", "pruned", "distilled"}
    assert not [path for path in folder.rglob("*") if ".partial" in path.name or ".tmp" in path.name]


def test_two_processes_leave_what_one_leaves(both, recipe: Path, tmp_path: Path):
    """The same files of the same targets and, but for rounding, the same weights."""
    _, folder = both
    alone = call("distill", str(recipe), "-o", str(tmp_path / "run"), "--set", "distillation.epochs=1", count=1)
    assert alone.returncode == 0, alone.stderr
    for stage in ("vocabulary", "pruned", "targets", "distillation"):
        ours, theirs = (sorted(path.name for path in list_files(each / stage)) for each in (tmp_path / "run", folder))
        assert ours == theirs
    ours, theirs = (read_json(each / "targets" / "index.json") for each in (tmp_path / "run", folder))
    assert ours["key"] == theirs["key"]
    assert ours["shards"].keys() == theirs["shards"].keys()
    ours, theirs = (read_json(each / "distillation" / "report.json") for each in (tmp_path / "run", folder))
    assert ours["steps"] == theirs["steps"]
    assert ours["best_loss"] == pytest.approx(theirs["best_loss"], rel=1e-3)


def test_only_one_of_two_processes_speaks(both):
    ended, _ = both
    said = [line for line in ended.stderr.splitlines() if line.startswith("targets: ")]
    assert len(said) == 1, ended.stderr


def test_a_finished_run_does_nothing_when_two_processes_run_it_again(both, recipe: Path):
    _, folder = both
    stages = [folder / name for name in ("corpus", "vocabulary", "pruned", "targets", "distillation", "student")]
    before = [(path / "manifest.json").stat().st_mtime_ns for path in stages]
    ended = call("distill", str(recipe), "-o", str(folder), "--set", "distillation.epochs=1", count=2)
    assert ended.returncode == 0, ended.stderr
    assert [(path / "manifest.json").stat().st_mtime_ns for path in stages] == before

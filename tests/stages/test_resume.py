"""Kill -9 anywhere, run again: the student comes out the same to the byte.

Runs are real processes that end by a real SIGKILL. To be quick they are forked from one process that has
the heavy libraries imported (`NURSERY`); it has no threads and never does any work itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from babelpress.utils.files import list_files, read_json
from tests.distillation import write_recipe

NURSERY = r"""
import importlib, json, os, signal, sys

import accelerate, sentence_transformers  # noqa: F401
from babelpress import api, cli
for name in (
    "distillation.targets", "distillation.tokens", "distillation.train", "vocabulary.choose", "student.build",
    "evaluation.evaluate",
):
    importlib.import_module(f"babelpress.{name}")
for name in sys.argv[1:]:
    importlib.import_module(name)

def arm(place, call, after):
    module, _, name = place.partition(":")
    module = importlib.import_module("babelpress." + module)
    original, calls = getattr(module, name), []
    def killing(*arguments, **named):
        calls.append(1)
        if len(calls) < call:
            return original(*arguments, **named)
        if after:
            original(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, killing)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        if order["kill"]:
            arm(*order["kill"])
        sys.argv = ["babelpress", *order["arguments"]]
        try:
            cli.main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(99)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
MAIN = "from babelpress.cli import main; main()"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

# Where each run of the chain is killed: (stage at work, function, n-th call, after it instead of before).
# Every run goes on from what the one before it left.
KILLS = {
    "corpus, reading": ("corpus", "corpus.build:_checked", 1200, False),
    "corpus, deduplicating": ("corpus", "corpus.build:_digest", 600, False),
    "corpus, before its manifest": ("corpus", "stages.engine:hash_file", 1, False),
    "vocabulary, counted but not planned": ("vocabulary", "vocabulary.choose:plan_vocabulary", 1, False),
    "pressed, weights without tokenizer": ("pruned", "student.build:write_student_files", 1, False),
    "targets, before any shard": ("targets", "distillation.targets:write_shard", 1, False),
    "targets, a shard not in its place": ("targets", "distillation.shards:save_file", 1, True),
    "targets, one split of two": ("targets", "distillation.targets:write_shard", 1, True),
    "targets, before their index": ("targets", "distillation.targets:describe_shards", 1, False),
    "targets, before their manifest": ("targets", "stages.engine:hash_file", 1, False),
    "distillation, tokens of one split": ("distillation", "distillation.tokens:write_shard", 1, True),
    "distillation, before any checkpoint": ("distillation", "distillation.train:take_step", 2, False),
    "distillation, mid-epoch": ("distillation", "distillation.train:take_step", 20, False),
    "distillation, checkpoint half written": ("distillation", "distillation.checkpoint:write_json", 1, False),
    "distillation, two checkpoints": ("distillation", "distillation.checkpoint:remove_tree", 3, False),
    "distillation, end of an epoch": ("distillation", "distillation.train:held_out_figures", 1, False),
    "distillation, best weights not in their place": ("distillation", "distillation.train:save_file", 1, True),
    "distillation, best weights but no checkpoint": (
        "distillation", "distillation.train:replace_file", 1, True,
    ),
    "distillation, second epoch": ("distillation", "distillation.train:held_out_figures", 2, False),
    "distillation, finished but not renamed": ("distillation", "stages.engine:_replace_folder", 1, False),
    "student, before its weights": ("student", "student.build:save_tensors", 1, False),
    "student, weights without manifest": ("student", "student.build:save_tensors", 1, True),
}  # fmt: skip


@dataclass
class Ended:
    code: int
    out: str
    err: str


class Nursery:
    """Forks runs of the command line from a process that has imported more modules, if wanted."""

    def __init__(self, folder: Path, *more: str, **environment: str) -> None:
        self._folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, **environment},
        )  # fmt: skip

    def run(self, *arguments: str, kill: tuple[str, int, bool] | None = None) -> Ended:
        out, err = self._folder / "out.txt", self._folder / "err.txt"
        order = {"arguments": arguments, "kill": kill, "out": str(out), "err": str(err)}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Ended(int(self.process.stdout.readline()), out.read_text(), err.read_text())


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    started = Nursery(tmp_path_factory.mktemp("nursery"))
    yield started
    started.process.communicate()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_teacher) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"), tiny_teacher)


@pytest.fixture(scope="module")
def undisturbed(nursery, recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = nursery.run("distill", str(recipe), "--output", str(folder), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    return folder


@dataclass
class Chain:
    """A run that was killed at every place in turn, and what lay there after each kill."""

    folder: Path
    codes: dict[str, int]
    left: dict[str, set[str]]


@pytest.fixture(scope="module")
def chain(nursery, recipe, tmp_path_factory) -> Chain:
    folder = tmp_path_factory.mktemp("killed") / "run"
    result = Chain(folder, {}, {})
    for name, (_, *kill) in KILLS.items():
        ended = nursery.run("distill", str(recipe), "--output", str(folder), "--quiet", kill=tuple(kill))
        result.codes[name] = ended.code
        result.left[name] = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    ended = nursery.run("distill", str(recipe), "--output", str(folder), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    return result


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_stage_is_never_taken_for_a_finished_one(chain, name):
    stage = KILLS[name][0]
    assert chain.codes[name] == -signal.SIGKILL
    assert f"{stage}.partial" in chain.left[name]
    assert stage not in chain.left[name]


def test_a_student_of_a_run_that_was_killed_everywhere_is_the_undisturbed_one(chain, undisturbed):
    whole, killed = ((folder / "student" / "model.safetensors").read_bytes() for folder in (undisturbed, chain.folder))
    assert killed == whole


@pytest.mark.parametrize("stage", ["corpus", "vocabulary", "layers", "pruned", "targets", "student"])
def test_every_stage_of_a_run_that_was_killed_is_the_undisturbed_one(chain, undisturbed, stage):
    outputs = [read_json(folder / stage / "manifest.json")["outputs"] for folder in (undisturbed, chain.folder)]
    assert outputs[0] == outputs[1]


def test_a_run_that_was_killed_everywhere_leaves_no_rubbish(chain, undisturbed):
    whole, killed = (
        [str(path.relative_to(folder)) for path in list_files(folder)] for folder in (undisturbed, chain.folder)
    )
    assert killed == whole
    assert not [name for name in killed if ".partial" in name or ".tmp" in name or "checkpoint" in name]


def test_a_cache_of_a_run_that_was_killed_everywhere_holds_whole_shards_alone(chain, undisturbed):
    whole, killed = (
        [str(path.relative_to(folder.parent)) for path in list_files(folder.parent / "cache")]
        for folder in (undisturbed, chain.folder)
    )
    assert killed == whole
    assert all(name.endswith(("-00000.safetensors", ".lock")) for name in killed)


def test_a_kill_in_training_goes_on_from_the_last_checkpoint(chain):
    def checkpoints(name):
        found = {path.split("/")[1] for path in chain.left[name] if "/checkpoint-" in path}
        return sorted(int(each.rpartition("-")[2]) for each in found)

    assert checkpoints("distillation, before any checkpoint") == []
    assert checkpoints("distillation, mid-epoch") == [18]  # every third step; step 20 was under way
    assert checkpoints("distillation, checkpoint half written") == [18]
    assert checkpoints("distillation, two checkpoints") == [18, 21]


def test_a_half_written_checkpoint_was_really_there(chain):
    left = chain.left["distillation, checkpoint half written"]
    assert "distillation.partial/checkpoint.partial/state.safetensors" in left
    assert "distillation.partial/checkpoint.partial/progress.json" not in left


def test_a_finished_run_does_nothing_when_it_is_run_again(nursery, recipe, undisturbed):
    stamps = {path: path.stat().st_mtime_ns for path in list_files(undisturbed) if path.parent != undisturbed}
    ended = nursery.run("distill", str(recipe), "--output", str(undisturbed))
    assert ended.code == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert ended.err.count("done already") == 7


def test_the_pooler_of_the_student_is_the_teachers(undisturbed, tiny_teacher):
    from safetensors.numpy import load_file

    student, teacher = (load_file(folder / "model.safetensors") for folder in (undisturbed / "student", tiny_teacher))
    for name in ("pooler.dense.weight", "pooler.dense.bias"):
        assert (student[name] == teacher[name]).all()


def test_a_run_of_another_hash_seed_gives_the_same_student(recipe, undisturbed, tmp_path):
    """Sets and dicts of strings are in another order there: nothing may depend on it."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "distill", str(recipe), "--output", str(tmp_path / "run"), "--quiet"],
        env={**ENVIRONMENT, "PYTHONHASHSEED": "12345"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    whole, other = ((folder / "student" / "model.safetensors") for folder in (undisturbed, tmp_path / "run"))
    assert other.read_bytes() == whole.read_bytes()


# --- a run that is at work ----------------------------------------------------------------------


@dataclass
class Disturbed:
    """A long run, what a second run in its folder said, and how it took Ctrl-C and, when it went on, SIGTERM."""

    second: Ended
    interrupted: Ended
    terminated: Ended
    folder: Path


def end_in_training(arguments: list[str], number: signal.Signals, meanwhile: Callable[[], object]) -> Ended:
    """Start a run, send it a signal when it has written a checkpoint, and say how it ended."""
    folder = Path(arguments[arguments.index("--output") + 1])
    known = set(folder.glob("distillation.partial/checkpoint-*"))
    run = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        until = time.monotonic() + 90
        while not set(folder.glob("distillation.partial/checkpoint-*")) - known:
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        meanwhile()
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    return Ended(run.returncode, out, err)


@pytest.fixture(scope="module")
def disturbed(nursery, recipe, undisturbed, tmp_path_factory) -> Disturbed:
    folder = tmp_path_factory.mktemp("long") / "run"
    for name in ("run", "cache"):  # so that only the training is left to do
        shutil.copytree(undisturbed.parent / name, folder.parent / name)
    arguments = ["distill", str(recipe), "--output", str(folder), "--set", "distillation.epochs=500"]
    second: list[Ended] = []
    interrupted = end_in_training(arguments, signal.SIGINT, lambda: second.append(nursery.run(*arguments)))
    terminated = end_in_training(arguments, signal.SIGTERM, lambda: None)
    return Disturbed(second[0], interrupted, terminated, folder)


def test_a_second_run_in_the_same_folder_is_refused_in_one_line(disturbed):
    assert disturbed.second.code == 1
    assert disturbed.second.out == ""
    assert disturbed.second.err.startswith("babelpress: another babelpress is at work in ")
    assert disturbed.second.err.count("\n") == 1


def test_ctrl_c_ends_with_130_and_one_line_that_says_how_to_go_on(disturbed):
    ended = disturbed.interrupted
    assert (ended.code, ended.out) == (130, "")
    said = [line for line in ended.err.splitlines() if "done already" not in line]
    assert said == ["babelpress: stopped; run the same command again to go on from here"]


def test_a_run_that_is_told_to_end_says_where_it_stands_and_how_to_go_on(disturbed):
    """Machines that are taken back send SIGTERM first."""
    ended = disturbed.terminated
    assert (ended.code, ended.out) == (1, "")
    said = [line.rstrip() for line in ended.err.splitlines() if "done already" not in line]
    assert re.fullmatch(r"going on from step \d+ of \d+", said[0])
    stopped = re.fullmatch(
        r"babelpress: stopped (?:at step (\d+) of \d+|after epoch \d+); run the same command again to go on", said[1]
    )
    assert stopped
    assert len(said) == 2
    left = [path.name for path in disturbed.folder.glob("distillation.partial/checkpoint*")]
    assert len(left) == 1
    assert stopped[1] is None or left == [f"checkpoint-{int(stopped[1]):09d}"]


def test_an_interrupted_run_keeps_the_checkpoint_and_frees_the_folder(disturbed, nursery, recipe):
    assert list(disturbed.folder.glob("distillation.partial/checkpoint-*/progress.json"))
    assert nursery.run("press", str(recipe), "--output", str(disturbed.folder), "--quiet").code == 0

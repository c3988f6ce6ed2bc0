"""Speed and memory: the worker against a clock by hand, the parent against workers by hand, both once for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from babelpress.errors import EvaluationError
from babelpress.evaluation.speed import measure as speed
from babelpress.evaluation.speed import worker as speed_worker
from babelpress.evaluation.speed.measure import measure_speed, summarise
from babelpress.evaluation.speed.worker import Request, encode_round, serve, time_load
from babelpress.schema.results import Spread


class Clock:
    """A clock that a model's work moves on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(speed_worker.time, "perf_counter", lambda: self.now)


class Model:
    """An encoder that takes the next of some seconds for each call."""

    def __init__(self, clock: Clock, seconds: list[float]):
        self.clock, self.seconds, self.calls = clock, iter(seconds), []

    def encode(self, texts, **named):
        self.calls.append((texts, named))
        self.clock.now += next(self.seconds)


# --- the worker ---------------------------------------------------------------------------------


def workers() -> list[psutil.Process]:
    """Children of this process that run Python; a browser of other tests may be one, too."""
    return [child for child in psutil.Process().children() if "python" in child.name()]


def test_a_round_gives_sentences_a_second_and_the_two_percentiles(monkeypatch):
    monkeypatch.setattr(speed_worker, "resident", lambda: 512.0)
    texts = [f"text {number}" for number in range(40)]
    # one untimed call, 8 s for all, then 1, 2, 3, 4 and 5 ms; the 95th percentile is 80 % of the way from 4 to 5
    model = Model(Clock(monkeypatch), [100.0, 8.0, 0.003, 0.001, 0.002, 0.005, 0.004])
    found = encode_round(model, Request("", texts, texts[:5]))
    assert found == pytest.approx({"batched": 5.0, "single_p50": 3.0, "single_p95": 4.8, "resident": 512.0})
    assert [call[0] for call in model.calls] == [texts[:32], texts, *texts[:5]]


def test_texts_are_encoded_in_batches_of_32_and_without_any_prompt(monkeypatch):
    """A model's own default prompt would make each text longer; prompt=None is not enough to leave it out."""
    model = Model(Clock(monkeypatch), [1.0, 1.0, 1.0])
    encode_round(model, Request("", ["a"], ["a"]))
    assert [call[1] for call in model.calls] == [{"batch_size": 32, "prompt": "", "show_progress_bar": False}] * 3


def test_a_load_is_timed_from_the_folder_to_the_model(monkeypatch):
    clock = Clock(monkeypatch)
    clock.now = 7.0

    def load():
        clock.now += 1.25

    assert time_load(load) == 1.25


def test_the_resident_memory_is_in_mib():
    assert speed_worker.resident() == pytest.approx(psutil.Process().memory_info().rss / 1024**2, rel=0.2)


def request(folder: Path, **changes) -> str:
    return json.dumps({"folder": str(folder), "texts": ["one", "two"], "singles": ["one"], **changes})


def test_the_worker_answers_the_request_and_every_command_and_ends_with_its_input(tiny_teacher):
    answers = []
    serve(iter([request(tiny_teacher), '"encode"', '"load"', '"encode"']), answers.append)
    assert [set(answer) for answer in answers] == [
        {"libraries"}, {"batched", "single_p50", "single_p95", "resident"}, {"load"},
        {"batched", "single_p50", "single_p95", "resident"},
    ]  # fmt: skip
    assert all(value > 0 for answer in answers for value in answer.values())


@pytest.mark.parametrize("trusted", [True, False])
def test_the_worker_trusts_remote_code_where_it_is_told_to_and_nowhere_else(trusted, tmp_path, monkeypatch):
    import babelpress.architectures.encoders

    given = []

    def load(folder, *, trust_remote_code):
        given.append((folder, trust_remote_code))
        return Model(Clock(monkeypatch), [1.0] * 9)

    monkeypatch.setattr(babelpress.architectures.encoders, "load_encoder", load)
    serve(iter([request(tmp_path, trust_remote_code=trusted), '"encode"', '"load"']), lambda answer: None)
    assert given == [(tmp_path, trusted)] * 2


# The worker's own main, with libraries that take no time to import; `speak` says something on standard output.
QUICK = """
import os, sys, time, types
class Model:
    def encode(self, texts, **named): speak()
def speak(): print("a library speaks")
def load_encoder(folder, trust_remote_code): return Model()
sys.modules["sentence_transformers"] = types.ModuleType("sentence_transformers")
sys.modules["babelpress.architectures.encoders"] = types.ModuleType("babelpress.architectures.encoders")
sys.modules["babelpress.architectures.encoders"].load_encoder = load_encoder
from babelpress.evaluation.speed.worker import main
"""


def test_what_a_library_prints_is_not_taken_for_an_answer(monkeypatch, tiny_teacher):
    monkeypatch.setattr(speed, "COMMAND", (sys.executable, "-c", QUICK + "main()"))
    assert measure_speed({"a": tiny_teacher}, ["x"], rounds=2)["a"].batched.median > 0


def test_a_folder_that_cannot_be_loaded_is_one_line(monkeypatch, tiny_teacher):
    script = (
        QUICK
        + """
from babelpress.errors import TeacherError
def refuse(folder, trust_remote_code): raise TeacherError(f"{folder} cannot be loaded")
sys.modules["babelpress.architectures.encoders"].load_encoder = refuse
main()
"""
    )
    monkeypatch.setattr(speed, "COMMAND", (sys.executable, "-c", script))
    with pytest.raises(EvaluationError) as caught:
        measure_speed({"b": tiny_teacher}, ["x"])
    assert str(caught.value) == f"the speed of b: {tiny_teacher} cannot be loaded"


def test_the_worker_leaves_ctrl_c_to_the_parent():
    """A terminal sends it to all; a worker that died of it would look like a fault of the model."""
    script = QUICK + "import signal\nspeak = lambda: os.kill(os.getpid(), signal.SIGINT)\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script], input=request(Path("x")) + '\n"encode"\n', capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert [len(json.loads(line)) for line in done.stdout.splitlines()] == [1, 4]


def test_ctrl_c_ends_the_measurement_and_its_workers(tmp_path, tiny_teacher):
    """As a terminal does it, to all processes at once, while one worker is busy and one waits for its turn."""
    busy = (
        QUICK
        + f"""
from pathlib import Path
def speak():
    Path({str(tmp_path / "busy")!r}).touch()
    time.sleep(600)
main()
"""
    )
    script = f"""
import sys
from pathlib import Path
from babelpress.evaluation.speed import measure as speed
speed.COMMAND = (sys.executable, "-c", {busy!r})
speed.measure_speed({{"a": Path({str(tiny_teacher)!r}), "b": Path({str(tiny_teacher)!r})}}, ["x"])
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "busy").exists() and time.monotonic() < until:
            time.sleep(0.05)
        workers = psutil.Process(parent.pid).children()
        assert len(workers) == 2
        os.killpg(parent.pid, signal.SIGINT)
        said = parent.communicate(timeout=60)[1]
    finally:
        parent.kill()
    assert parent.returncode == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert not any(worker.is_running() for worker in workers)


# --- the parent ---------------------------------------------------------------------------------

# Takes its figures from the folder's name: "3" is three times as fast as "1"; each round adds one.
BY_HAND = """
import json, sys, os
request = json.loads(input())
scale = int(os.path.basename(request["folder"]))
with open(os.environ["LOG"], "a") as log: print(json.dumps(request), file=log)
print(json.dumps({"libraries": 100.0 * scale}), flush=True)
counts = {"encode": -1, "load": 0}
for line in sys.stdin:
    command = json.loads(line)
    counts[command] += 1
    value = float(scale * 10 + counts[command] ** 2) if counts[command] else scale * 10 - 99.0
    with open(os.environ["LOG"], "a") as log: print(json.dumps([scale, command]), file=log)
    names = {"encode": ("batched", "single_p50", "single_p95", "resident"), "load": ("load",)}[command]
    print(json.dumps({name: value for name in names}), flush=True)
"""


@pytest.fixture
def by_hand(monkeypatch, tmp_path) -> Path:
    """Two folders, 1 and 3, and a worker that makes up its figures; what it was told is in `log`."""
    monkeypatch.setattr(speed, "COMMAND", (sys.executable, "-c", BY_HAND))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    for name in ("1", "3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "modules.json").write_text("[]")
    return tmp_path


def log(folder: Path) -> list:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_a_figure_is_the_median_of_its_rounds_with_lowest_and_highest(by_hand):
    found = measure_speed({"slow": by_hand / "1", "fast": by_hand / "3"}, ["a"], rounds=4)
    # rounds of 1: 11, 14, 19, 26; of 3: 31, 34, 39, 46; -89 and -69 of the cold start are left out
    assert list(found) == ["slow", "fast"]
    assert found["slow"].batched == Spread(median=16.5, low=11, high=26)
    assert found["fast"].batched == Spread(median=36.5, low=31, high=46)
    for name in ("single_p50", "single_p95", "resident", "load"):
        assert getattr(found["fast"], name) == found["fast"].batched
    assert [speed.libraries for speed in found.values()] == [100, 300]


def test_models_take_turns_and_load_after_all_have_encoded(by_hand):
    measure_speed({"slow": by_hand / "1", "fast": by_hand / "3"}, ["a"], rounds=2)
    turns = [line for line in log(by_hand) if isinstance(line, list)]
    assert turns == [[1, "encode"], [3, "encode"]] * (1 + 2) + [[1, "load"], [3, "load"]] * 2


def test_every_worker_gets_all_texts_and_evenly_chosen_single_ones(by_hand):
    texts = [f"{number} 안녕" for number in range(8)]
    measure_speed({"a": by_hand / "1"}, texts, rounds=1, singles=3, trust_remote_code=True)
    assert log(by_hand)[0] == {
        "folder": str(by_hand / "1"), "texts": texts, "singles": [texts[0], texts[2], texts[5]],
        "trust_remote_code": True,
    }  # fmt: skip


def test_a_worker_that_dies_between_rounds_is_named(by_hand, monkeypatch):
    dying = """input(); print('{"libraries": 1.0}', flush=True); input(); raise SystemExit('no memory left')"""
    monkeypatch.setattr(speed, "COMMAND", (sys.executable, "-c", dying))
    with pytest.raises(EvaluationError, match=r"^the speed of fast: no memory left$"):
        measure_speed({"fast": by_hand / "3"}, ["a"])


def test_no_worker_is_left_when_one_of_them_fails(by_hand, monkeypatch):
    failing = BY_HAND.replace("counts = {", "assert scale == 1, 'three is too much'\ncounts = {")
    monkeypatch.setattr(speed, "COMMAND", (sys.executable, "-c", failing))
    with pytest.raises(EvaluationError, match=r"^the speed of b: AssertionError: three is too much$"):
        measure_speed({"a": by_hand / "1", "b": by_hand / "3"}, ["a"])
    assert workers() == []


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"texts": []}, "with 0 texts; give at least 1"),
        ({"rounds": 0}, "with 0 rounds; give at least 1"),
        ({"singles": 0}, "with 0 singles; give at least 1"),
        ({"folders": {}}, "with 0 models; give at least 1"),
        ({"folders": {"a": Path("gone")}}, "gone is not a model folder (it has no modules.json)"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_process_starts(changes, part, monkeypatch, tiny_teacher):
    monkeypatch.setattr(speed, "COMMAND", ("no such program",))
    given = {"folders": {"a": tiny_teacher}, "texts": ["x"], "rounds": 1, "singles": 1} | changes
    with pytest.raises(EvaluationError) as caught:
        measure_speed(given.pop("folders"), given.pop("texts"), **given)
    assert part in str(caught.value)


def test_a_spread_of_one_round_is_that_round():
    assert summarise([3.0]) == Spread(median=3.0, low=3.0, high=3.0)


# --- both, for real -----------------------------------------------------------------------------


def test_a_real_model_is_measured_in_a_process_of_its_own(tiny_teacher):
    found = measure_speed({"a": tiny_teacher}, ["one sentence", "another"], rounds=2, singles=1)["a"]
    # No Python with torch holds less. The one need not be above the other: a busy system takes idle pages away.
    assert min(found.resident.low, found.libraries) > 50
    for name in ("batched", "single_p50", "single_p95", "load", "resident"):
        figure = getattr(found, name)
        assert 0 < figure.low <= figure.median <= figure.high
    assert workers() == []

"""Processes at the other end of two pipes: answered, told why not, ended, whatever happens here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from babelpress.errors import EvaluationError
from babelpress.evaluation.speed.child import Child

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def start(script: str) -> Child:
    return Child("a", [sys.executable, "-c", script])


def gone(pid: int, *, seconds: float = 20) -> bool:
    """Tell whether a process ends, or has ended, within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_values_go_there_and_come_back():
    with start(ECHO) as child:
        assert child.ask({"text": "안녕\n\ud83d"}) == {"text": "안녕\n\ud83d"}
        assert child.ask(["second"]) == ["second"]


def test_more_than_a_pipe_holds_goes_through():
    text = "x" * (1 << 20)
    with start(ECHO) as child:
        assert child.ask(text) == text


def test_a_process_is_ended_with_its_block():
    with start(ECHO) as child:
        child.ask(1)
    assert gone(child.pid)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_process_is_ended_when_its_block_is_left_by_an_error(error):
    with pytest.raises(error), start("import time; time.sleep(600)") as child:
        raise error
    assert gone(child.pid)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; print('first', file=sys.stderr); sys.exit('the last word\\n\\n')", "a: the last word"),
        ("import sys; sys.stderr.write('bar 1\\rbar 2\\rbroken')", "a: broken"),
        ("1 / 0", "a: ZeroDivisionError: division by zero"),
        ("import sys; sys.stderr.buffer.write(b'\\xff!')", "a: \ufffd!"),
        ("raise SystemExit(3)", "a: the process ended with code 3 and no message"),
        ("print('half an answer', end='')", "a: the process ended with code 0 and no message"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "a: the process was ended by SIGKILL, as happens when memory runs out",
        ),
        (
            "import os, sys, signal; print('oh', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGABRT)",
            "a: the process was ended by SIGABRT; its last line: oh",
        ),
    ],
)
def test_a_process_that_ends_instead_of_answering_says_why(script, reason):
    with start(script) as child, pytest.raises(EvaluationError) as caught:
        child.send("hello")
        child.answer()
    assert str(caught.value) == reason


def test_a_process_that_is_gone_before_it_is_told_anything_says_why():
    with start("import sys; sys.exit('no')") as child:
        assert gone(child.pid)
        with pytest.raises(EvaluationError, match=r"^a: no$"):
            child.ask("x" * (1 << 20))


def test_a_process_imports_what_this_one_would(tmp_path, monkeypatch):
    (tmp_path / "mine_alone.py").write_text("NAME = 'mine'")
    monkeypatch.syspath_prepend(tmp_path)
    with start("import json, mine_alone; print(json.dumps(mine_alone.NAME))") as child:
        assert child.answer() == "mine"


PARENT = f"""
import sys, time
from babelpress.evaluation.speed.child import Child
with Child("a", [sys.executable, "-c", {ECHO!r}]) as one, Child("b", [sys.executable, "-c", {ECHO!r}]) as other:
    one.ask(1), other.ask(1)
    print(one.pid, other.pid, flush=True)
    one.answer()
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind_when_the_parent_is_stopped(signum, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment
    )
    assert parent.stdout is not None
    with parent:
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signum)
    assert parent.returncode == -signum
    assert all(gone(pid) for pid in children)


def test_a_cut_off_tail_of_long_words_is_still_one_line():
    script = "import sys; sys.stderr.write('noise\\n' * 100_000 + 'the end\\n')"
    with start(script) as child, pytest.raises(EvaluationError) as caught:
        child.answer()
    assert str(caught.value) == "a: the end"


def test_nothing_is_written_beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start(ECHO) as child:
        child.ask(1)
    assert list(Path(tmp_path).iterdir()) == []

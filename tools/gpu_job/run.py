"""One command of the job: the work in a process of its own, ended before the command's limit, and what it gave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.gpu_job.delivery import Limits, deliver
from tools.gpu_job.pack import ROOT
from tools.gpu_job.portions import JobError
from tools.gpu_job.unpack import shipment_of

# As sysexits.h has it: try again.
AGAIN = 75
# Seconds before a command's limit at which the work is asked to end, and is ended; then the parts are written.
ASK, END = 25, 12


def run(
    work: Path, out: Path, *, budget_s: float, reserve_s: float, limit_s: float | None, until: str, epochs: int,
    limits: Limits,
) -> int:  # fmt: skip
    """Go on with the job and write what there is to `out`; return 0 when it is finished, AGAIN when it is not.

    `budget_s` counts from the first of these commands, pauses between them included; the training is made to end
    `reserve_s` before that is over. `limit_s` is how long this command may take. `enter` comes before.
    """
    started = time.monotonic()
    shipment_of(work)
    train_until = _clock(work) + budget_s - reserve_s
    command = [
        sys.executable, "-m", "tools.gpu_job", "work", "--work", str(work.resolve()), "--until", until,
        "--train-until", str(train_until), "--epochs", str(epochs),
    ]  # fmt: skip
    ask, end = (None, None) if limit_s is None else (max(limit_s - ASK, limit_s / 2), max(limit_s - END, limit_s / 2))
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with _echo(process, work / "log.txt"):
        code = supervise(process, started=started, ask_after=ask, end_after=end)
    finished = code == 0
    facts = deliver(work, out, finished=finished, limits=limits)
    print(
        f"{out}: {len(facts['parts'])} parts, {facts['bytes'] / 2**20:.1f} MiB, "
        f"student: {facts['student'] or 'none yet'}; {time.monotonic() - started:.0f} s"
    )
    if finished:
        print("finished")
    elif code == AGAIN:
        print("to be continued: run the same command again")
    else:
        raise JobError(f"the work ended with {code}; its last lines say why; what was done is kept")
    return code


def supervise(
    process: subprocess.Popen[bytes], *, started: float, ask_after: float | None, end_after: float | None
) -> int:
    """Wait for a process, ask it to end (SIGTERM) and end it so many seconds after `started`; return its code.

    SIGTERM of our own asks it, too. AGAIN stands for any code of a process that was asked and did not say 0.
    """
    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    asked = False
    try:
        while process.poll() is None:
            passed = time.monotonic() - started
            if not asked and (told.is_set() or (ask_after is not None and passed >= ask_after)):
                asked = True
                process.terminate()
            if end_after is not None and passed >= end_after:
                process.kill()
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGTERM, before)
    return AGAIN if asked and process.returncode else process.returncode


@contextmanager
def _echo(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    """Show what a process says and keep it."""

    def copy() -> None:
        with log.open("ab") as file:
            for line in process.stdout or ():
                text = f"{time.strftime('%H:%M:%S')} {line.decode(errors='replace').rstrip()}\n"
                file.write(text.encode())
                file.flush()
                sys.stdout.write(text)
                sys.stdout.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=5)


def _clock(work: Path) -> float:
    """Return when the first command of the job began, in seconds since 1970."""
    path = work / "clock.json"
    if not path.is_file():
        path.write_text(json.dumps({"started": time.time()}), encoding="utf-8")
    return float(json.loads(path.read_text(encoding="utf-8"))["started"])

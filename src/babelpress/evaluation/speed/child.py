"""A process at the other end of two pipes: JSON lines in, JSON lines out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.utils.threads import short_spin

_TAIL = 1 << 16  # bytes at the end of standard error that are searched for the last line
_PATIENCE = 10.0  # seconds in which a process that has closed its output must end by itself
_QUIET = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


class Child:
    """A process that answers each JSON line with one. As a context it is ended with the block, however that ends.

    Its libraries are those of this process. It must end when its standard input does, so that none is left behind
    when this process is killed: the workers of the standard library's process pools outlive such a parent, and import
    its main module, whose memory would count as the model's.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=_environment()
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._process.pid

    def ask(self, value: Any) -> Any:
        """Send a value and return the answer. Raises EvaluationError."""
        self.send(value)
        return self.answer()

    def send(self, value: Any) -> None:
        """Send a value; a process that has ended shows in `answer`."""
        pipe: Any = self._process.stdin
        with suppress(BrokenPipeError):
            pipe.write(json.dumps(value).encode() + b"\n")
            pipe.flush()

    def answer(self) -> Any:
        """Return the next answer. Raises EvaluationError with the reason when the process has ended instead."""
        pipe: Any = self._process.stdout
        line = pipe.readline()
        if not line.endswith(b"\n"):  # ended, perhaps in the middle of a line
            raise EvaluationError(f"{self.name}: {self._why()}")
        return json.loads(line)

    def end(self) -> None:
        """End the process at once; it has nothing to keep."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(BrokenPipeError):  # what was never read
                pipe.close()  # type: ignore[union-attr]

    def _why(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        code, said = self._process.returncode, self._last_line()
        if code is None or code >= 0:
            return said or f"the process ended with code {code} and no message"
        reason = f"the process was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            reason += ", as happens when memory runs out"
        return f"{reason}; its last line: {said}" if said else reason

    def _last_line(self) -> str:
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _TAIL))
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


def _environment() -> dict[str, str]:
    """Return this process's environment with its search path for modules, quiet libraries, and short spins."""
    path = os.pathsep.join(entry or "." for entry in sys.path)
    return {**_QUIET, **short_spin(os.environ), **os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}

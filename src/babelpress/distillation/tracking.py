"""How a training is seen: a JSON-lines log, Accelerate's trackers, and the share of the hardware that it uses."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.errors import TrainingError
from babelpress.utils import processes
from babelpress.utils.files import write_text
from babelpress.utils.memory import own_memory

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

EVERY = 20  # steps


@dataclass
class Log:
    """Means of the last steps, written every few of them; behind a resume no step stands there twice.

    Lines have `step`, `epoch`, `lr`, `loss`, the loss's terms, `gradient_norm`, `sentences_per_second`,
    `tokens_per_second` (of all processes), `peak_share` (of
    what matrix products reach here) and `memory_mib` (the main process's own). Held-out figures are lines of their own.
    """

    folder: Path
    accelerator: Accelerator
    step: int
    operations_per_token: float
    peak: float
    _sums: dict[str, float] = field(default_factory=dict)
    _steps: int = 0
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Drop lines behind the checkpoint that training goes on from, and a line that a kill tore."""
        if not processes.is_main():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        write_text(self.path, "".join(f"{line}\n" for line in lines if _step_of(line) <= self.step))

    @property
    def path(self) -> Path:
        """Return the log's file."""
        return self.folder / "log.jsonl"

    def add(self, *, epoch: int, rate: float, sentences: int, tokens: int, figures: dict[str, float]) -> None:
        """Take in a step's figures; `sentences` and `tokens` are those of all processes."""
        self.step += 1
        self._steps += 1
        for name, value in {**figures, "sentences": sentences, "tokens": tokens}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if self.step % EVERY == 0:
            self._write({"epoch": epoch, "lr": rate, **self._means()})

    def held_out(self, epoch: int, figures: dict[str, float]) -> None:
        """Write the figures of an epoch's end."""
        self._write({"epoch": epoch, **{f"held_out_{name}": value for name, value in figures.items()}})

    def _means(self) -> dict[str, float]:
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        sentences, tokens = self._sums.pop("sentences"), self._sums.pop("tokens")
        found = {name: value / self._steps for name, value in self._sums.items()}
        found |= {
            "sentences_per_second": round(sentences / seconds, 1),
            "tokens_per_second": round(tokens / seconds, 1),
            "memory_mib": round(own_memory() / 2**20),
            "peak_share": round(tokens * self.operations_per_token / seconds / self.peak / processes.count(), 4),
        }
        self._sums, self._steps, self._since = {}, 0, now
        return found

    def _write(self, figures: dict[str, Any]) -> None:
        if not processes.is_main():
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **figures}) + "\n")
        except OSError as error:
            raise TrainingError(
                f"{self.path} could not be written ({error.strerror}); the last checkpoint is kept: "
                "run the same command again"
            ) from error
        self.accelerator.log({name: value for name, value in figures.items() if name != "epoch"}, step=self.step)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf

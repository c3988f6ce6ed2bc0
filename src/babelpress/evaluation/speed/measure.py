"""Speed and memory of models, each alone in a process of its own, their rounds in turn."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.shares import evenly
from babelpress.evaluation.model_folders import distinct_names, need_model
from babelpress.evaluation.speed.child import Child
from babelpress.evaluation.speed.worker import Request
from babelpress.schema.model_files import model_bytes
from babelpress.schema.results import Speed, Spread
from babelpress.utils.progress import bar

ROUNDS, SINGLES = 5, 40
_MOST_LINES = 20_000  # read from a file of texts
COMMAND = (sys.executable, "-m", "babelpress.evaluation.speed.worker")


@dataclass(frozen=True)
class SpeedReport:
    """Models that were timed side by side, on how many sentences, how often, and where; `folder_bytes` by name."""

    models: dict[str, Speed]
    folder_bytes: dict[str, int]
    sentences: int
    rounds: int
    machine: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        models = {name: speed.model_dump(mode="json") for name, speed in self.models.items()}
        return {**vars(self), "models": models}


def measure_speed(
    folders: dict[str, Path],
    texts: list[str],
    *,
    rounds: int = ROUNDS,
    singles: int = SINGLES,
    trust_remote_code: bool = False,
) -> dict[str, Speed]:
    """Time SentenceTransformer folders, without prompts; name → medians, lowest and highest of the rounds.

    A round encodes all texts in batches of 32, then `singles` of them one at a time; the first one, with a cold start,
    does not count. After these rounds as many loads are timed, so with libraries imported and from a warm disk. But
    for imports, only one model works at a time. Raises EvaluationError for folders that are missing, cannot be
    loaded, or whose process dies.
    """
    _check(folders, texts, rounds=rounds, singles=singles)
    with ExitStack() as stack, bar("speed", total=len(folders) * 2 * (1 + rounds), unit="rounds") as advance:
        workers = {name: stack.enter_context(Child(f"the speed of {name}", list(COMMAND))) for name in folders}
        for name, worker in workers.items():
            alone = evenly(texts, singles)
            worker.send(asdict(Request(str(folders[name]), list(texts), alone, trust_remote_code)))
        ready = {}
        for name, worker in workers.items():
            ready[name] = worker.answer()
            advance(note=name)
        _in_turn(workers, "encode", 1, advance)  # loads and warms up
        encoded = _in_turn(workers, "encode", rounds, advance)
        loaded = _in_turn(workers, "load", rounds, advance)
    return {
        name: Speed(
            **{figure: summarise([line[figure] for line in encoded[name]]) for figure in encoded[name][0]},
            load=summarise([line["load"] for line in loaded[name]]),
            libraries=ready[name]["libraries"],
        )
        for name in folders
    }


def report_speed(
    models: Sequence[str], *, text: Path | None = None, sentences: int = 256, rounds: int = ROUNDS
) -> SpeedReport:
    """Time models (folders, hub ids, `bundled`) on lines of a file, or on the bundled held-out sentences.

    `sentences` of them are taken, evenly. Raises BabelpressError.
    """
    located = [need_model(model) for model in models]  # before torch is imported
    from babelpress.corpus.bundled import held_out_meanings
    from babelpress.corpus.sources import first_lines
    from babelpress.utils.machine import describe_machine

    names = distinct_names(model.name for model in located)
    folders = {name: model.folder for name, model in zip(names, located, strict=True)}
    if text is None:
        texts = [line for meaning in held_out_meanings() for line in meaning.texts.values()]
    else:
        texts = first_lines(text, limit=_MOST_LINES)
    chosen = evenly(texts, sentences)
    speeds = measure_speed(folders, chosen, rounds=rounds)
    sizes = {name: model_bytes(folder) for name, folder in folders.items()}
    return SpeedReport(speeds, sizes, sentences=len(chosen), rounds=rounds, machine=describe_machine())


def summarise(values: list[float]) -> Spread:
    """Return median, lowest and highest of what rounds gave."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values))


def _in_turn(
    workers: dict[str, Child], command: str, rounds: int, advance: Callable[..., None]
) -> dict[str, list[dict[str, float]]]:
    """Let models work one after another, so that a busy moment of the machine hits all of them."""
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            answers[name].append(worker.ask(command))
            advance(note=name)
    return answers


def _check(folders: dict[str, Path], texts: list[str], *, rounds: int, singles: int) -> None:
    for what, count in (("models", len(folders)), ("texts", len(texts)), ("rounds", rounds), ("singles", singles)):
        if count < 1:
            raise EvaluationError(f"speed cannot be measured with {count} {what}; give at least 1")
    for folder in folders.values():
        need_model(folder)

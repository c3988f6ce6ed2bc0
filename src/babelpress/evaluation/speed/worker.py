"""The process that holds one model and times it on request (`python -m`); `measure.py` starts it.

The first line on standard input is the request, each further one "encode" or "load"; each is answered with a line.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelpress.errors import BabelpressError

BATCH = 32


@dataclass(frozen=True)
class Request:
    """What is timed: a model folder, texts for batches, and the texts among them that are encoded one by one."""

    folder: str
    texts: list[str]
    singles: list[str]
    trust_remote_code: bool = False


def main() -> None:
    """Serve until standard input ends; a failure ends the process with one line on standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer

    def answer(value: Any) -> None:
        channel.write(json.dumps(value) + "\n")
        channel.flush()

    try:
        serve(iter(sys.stdin), answer)
    except BabelpressError as error:
        sys.exit(str(error))


def serve(lines: Iterator[str], answer: Callable[[Any], None]) -> None:
    """Import libraries, report the memory that they take, and answer commands.

    The model is loaded with the first "encode", whose figures are of a cold start. Raises BabelpressError for a
    folder that cannot be loaded.
    """
    request = Request(**json.loads(next(lines)))
    import sentence_transformers  # noqa: F401 (part of what the process holds before any model)

    from babelpress.architectures.encoders import load_encoder

    def load() -> Any:
        return load_encoder(Path(request.folder), trust_remote_code=request.trust_remote_code)

    model = None
    with suppress(BrokenPipeError):  # the parent is gone
        answer({"libraries": resident()})
        for line in lines:
            if json.loads(line) == "load":
                answer({"load": time_load(load)})
                continue
            model = load() if model is None else model
            answer(encode_round(model, request))


def encode_round(model: Any, request: Request) -> dict[str, float]:
    """Time batches (sentences a second) and single sentences (milliseconds); read the resident memory (MiB)."""
    import numpy as np

    def encode(texts: list[str] | str) -> None:
        model.encode(texts, batch_size=BATCH, prompt="", show_progress_bar=False)

    encode(request.texts[:BATCH])  # not timed: other models had threads and caches until now
    started = time.perf_counter()
    encode(request.texts)
    batched = len(request.texts) / (time.perf_counter() - started)
    milliseconds = []
    for text in request.singles:
        started = time.perf_counter()
        encode(text)
        milliseconds.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"batched": batched, "single_p50": float(p50), "single_p95": float(p95), "resident": resident()}


def time_load(load: Callable[[], Any]) -> float:
    """Return the seconds that a load takes; the model is dropped."""
    gc.collect()
    started = time.perf_counter()
    model = load()
    seconds = time.perf_counter() - started
    del model
    return seconds


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()

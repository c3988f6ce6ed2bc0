"""One student, and what each reader makes of it, found once for all processes of pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from babelpress.checks.golden import GOLDEN, Golden, read_golden
from babelpress.utils.files import write_text
from tests.readers.reading import READERS, Answer, ask, batches, make_student


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that the processes of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "readers"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def student(shelf: Path) -> Path:
    """A student with its exports, never written to."""
    with FileLock(shelf / "student.lock"):
        if not (shelf / "student" / GOLDEN).is_file():
            make_student(shelf / "student")
    return shelf / "student"


@pytest.fixture(scope="session")
def golden(student: Path) -> Golden:
    """The student's golden file."""
    return read_golden(student / GOLDEN)


@pytest.fixture(scope="session")
def answer_of(shelf: Path, student: Path, golden: Golden) -> Callable[[str], Answer]:
    """What a reader makes of all batches; it is asked once. Skips where its environment was not made."""
    known: dict[str, Answer] = {}

    def answer(name: str) -> Answer:
        reader = READERS[name]
        if not reader.environment.is_there:
            pytest.skip(f"no environment {reader.environment.name}; make readers")
        kept = shelf / f"{name}.json"
        with FileLock(shelf / f"{name}.lock"):
            if not kept.is_file():
                write_text(kept, ask(reader, student, batches(golden)))
        if name not in known:
            known[name] = Answer.parse(kept.read_text(encoding="utf-8"))
        return known[name]

    return answer

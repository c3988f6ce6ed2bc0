"""What comes back: the student and the run's figures as parts of a limited size, and these joined again."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.gpu_job.portions import MIB, JobError, chunks, sha256_of, split

MANIFEST, PART = "delivery.json", "delivery.tar.gz"
WEIGHTS = "model.safetensors"
# Of a run's folder, besides the student: what is read, and what the card and the page are made from.
KEPT = (
    "recipe.yaml", "results.json", "report.html", "umap", "pictures", "corpus/report.json",
    "distillation/log.jsonl", "distillation/report.json", "distillation.partial/log.jsonl", "evaluation/models.json",
    "vocabulary/plan.json", "vocabulary/fertility.json", "layers/plan.json",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """How much comes back of a command: files, bytes of each, bytes of all."""

    files: int = 8
    part: int = 15 * MIB
    whole: int = 62 * MIB


def deliver(work: Path, out: Path, *, finished: bool, limits: Limits) -> dict[str, Any]:
    """Write what there is: figures, and the student or, before it is finished, the best so far.

    Raises JobError where that is too large.
    """
    run = work / "run"
    with _student(run, work / "snapshot") as (student, state):
        files = dict(_files(run, work))
        if student is not None:
            files |= {
                f"student/{path.relative_to(student).as_posix()}": path
                for path in sorted(student.rglob("*"))
                if path.is_file()
            }
        return _write(files, out, limits, {"finished": finished, "student": state})


def _files(run: Path, work: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, file) of all but the student."""
    for name in KEPT:
        found = run / name
        for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
            if path.is_file():
                yield path.relative_to(run).as_posix(), path
    for path in sorted(run.glob("*/manifest.json")):
        if path.parent.name != "student":
            yield path.relative_to(run).as_posix(), path
    for name in ("plan.json", "log.txt"):
        if (work / name).is_file():
            yield name, work / name


@contextmanager
def _student(run: Path, snapshot: Path) -> Iterator[tuple[Path | None, str | None]]:
    """Yield the student's folder and what it is: finished, the best weights so far (stored in fp16), or none.

    Those of a student of other dimensions than its teacher's need the projection that it is learning: none, then.
    """
    best = run / "distillation.partial" / "best.safetensors"
    if (run / "student" / "manifest.json").is_file():
        yield run / "student", "finished"
    elif best.is_file() and not best.with_name("projection.safetensors").exists():
        from babelpress.recipe import StoredAs
        from babelpress.student.build import replace_weights

        shutil.rmtree(snapshot, ignore_errors=True)
        shutil.copytree(run / "pruned", snapshot, ignore=shutil.ignore_patterns("manifest.json", WEIGHTS))
        replace_weights(run / "pruned", best, snapshot / WEIGHTS, stored_as=StoredAs.FP16)
        yield snapshot, "best so far"
        shutil.rmtree(snapshot)
    else:
        yield None, None


def _write(files: dict[str, Path], out: Path, limits: Limits, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the parts and, last, what they are; return that."""
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob(f"{PART}.*"), out / MANIFEST]:
        old.unlink(missing_ok=True)
    whole = out / PART
    with tarfile.open(whole, "w:gz", compresslevel=1) as tar:
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    size = whole.stat().st_size
    parts = -(-size // limits.part)
    try:
        if size > limits.whole or parts > limits.files - 1:
            raise JobError(
                f"what comes back has {size / MIB:.0f} MiB, {limits.whole / MIB:.0f} in {limits.files} files are the "
                "limit; it stays where it is; run again with --set student.stored_as=fp16"
            )
        facts |= {"bytes": size, "sha256": sha256_of(whole)}
        facts["parts"] = split([whole], lambda number: out / f"{PART}.{number}", size=limits.part)
    finally:
        whole.unlink()
    (out / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def collect(delivered: Path, folder: Path) -> dict[str, Any]:
    """Check and join the parts, and lay out what is in them. Raises JobError."""
    try:
        facts: dict[str, Any] = json.loads((delivered / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{delivered} holds no delivery: {MANIFEST} cannot be read ({error})") from None
    if folder.exists() and any(folder.iterdir()):
        raise JobError(f"{folder} is not empty; remove it or give another")
    for number, wanted in enumerate(facts["parts"]):
        part = delivered / f"{PART}.{number}"
        if not part.is_file() or sha256_of(part) != wanted:
            raise JobError(f"{part} is {'damaged' if part.is_file() else 'missing'}; fetch it again")
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f".{PART}"
    try:
        with whole.open("wb") as file:
            file.writelines(chunks(delivered / f"{PART}.{number}" for number in range(len(facts["parts"]))))
        if sha256_of(whole) != facts["sha256"]:
            raise JobError(f"the parts in {delivered} do not belong together; fetch all of them again")
        with tarfile.open(whole) as tar:
            tar.extractall(folder, filter="data")
    finally:
        whole.unlink(missing_ok=True)
    return facts

"""The work folder on the other machine: portions joined and unpacked, and the environment that they make."""

from __future__ import annotations

import gzip
import importlib
import os
import shutil
import sys
import tarfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.gpu_job.pack import DATA, LATE, ROOT, SITE
from tools.gpu_job.packages import describe_package, faults
from tools.gpu_job.portions import JobError, Shipment, join, kept, read_shipment, store

# A run of seconds that goes where a real one goes, up to the student: nothing of it is kept.
PROOF = (
    "name=proof", "languages=[en, ko]", "corpus.sources=[{kind: bundled, variants: 2}]", "vocabulary.size=2000",
    "layers.count=2", "distillation.batch_size=64", "export.formats=[]", "evaluation.speed_sentences=0",
)  # fmt: skip
# What of babelpress loads the libraries that a run needs; what scores and draws needs the last portion, too.
FIRST = ("api", "distillation.train", "distillation.targets", "vocabulary.segment", "student.build", "packaged.fetch")
LAST = ("evaluation.evaluate", "evaluation.scoring", "report.picture", "report.page.page")


def unpack(portions: list[Path], work: Path) -> list[int]:
    """Keep portions, unpack what is whole, and return the numbers, from 1, of those that have yet to come.

    Raises JobError for a portion that is damaged or of another job.
    """
    for portion in portions:
        shipment = store(portion, work)
    used: set[int] = set()
    for archive in shipment.archives:
        place = work / archive.name
        joined = work / f"{archive.name}.archive"
        if not place.is_dir() and join(archive, shipment, work, joined):
            _extract(joined, place)
            joined.unlink()
            print(f"{archive.name}: unpacked", flush=True)
        if not place.is_dir():
            used |= set(shipment.portions_of(archive))
    for number in range(len(shipment.sha256)):
        if number not in used and kept(work, number).is_file():
            kept(work, number).write_bytes(b"")  # its bytes are in their places, and that it came is known
    return [number + 1 for number in range(len(shipment.sha256)) if not kept(work, number).is_file()]


def _extract(archive: Path, place: Path) -> None:
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    if place.name == DATA:
        for path in partial.rglob("*.gz"):
            content = path.read_bytes()
            with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
                file.write(content)
    partial.rename(place)


def missing(work: Path) -> list[str]:
    """Return the names of the archives that are not unpacked yet. Raises JobError where there is no job."""
    return [archive.name for archive in read_shipment(work).archives if not (work / archive.name).is_dir()]


def enter(work: Path) -> None:
    """Let this process and those that it starts find babelpress and the libraries that came, and ask no hub.

    To be called before anything of them is imported.
    """
    try:
        version("babelpress")
    except PackageNotFoundError:
        describe_package(ROOT, work / SITE)
    paths = [str(place.resolve()) for place in (work / SITE, work / LATE, ROOT / "src") if place.is_dir()]
    before = os.environ.get("PYTHONPATH")
    sys.path[:0] = paths
    os.environ |= {
        "PYTHONPATH": os.pathsep.join([*paths, *([before] if before else [])]),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str((work / "huggingface").resolve()),
        "NUMBA_CACHE_DIR": str((work / "numba").resolve()),
    }


def check(work: Path) -> None:
    """Load what a run loads, say what is missing, and press and distil a tiny student; `enter` comes before."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, {device or 'no GPU: everything takes long'}")
    for fault in faults():
        print(f"  {fault}")
    for name in (*FIRST, *(LAST if not missing(work) else ())):
        started = time.monotonic()
        importlib.import_module(f"babelpress.{name}")
        print(f"  babelpress.{name}: {time.monotonic() - started:.1f} s", flush=True)
    _prove(work)


def _prove(work: Path) -> None:
    from babelpress import api
    from babelpress.utils.files import read_json

    started = time.monotonic()
    shutil.rmtree(work / "proof", ignore_errors=True)
    student = api.distill("demo", output=work / "proof" / "run", overrides=PROOF)
    report = read_json(student.parent / "distillation" / "report.json")
    print(f"a tiny student: held-out cosine {report['history'][-1]['cosine']:.3f}, {time.monotonic() - started:.0f} s")
    shutil.rmtree(work / "proof")


def shipment_of(work: Path) -> Shipment:
    """Return what the work folder is for. Raises JobError where something of it has yet to come."""
    if lacking := missing(work):
        raise JobError(f"{', '.join(lacking)} is not whole yet; unpack the other portions first")
    return read_shipment(work)

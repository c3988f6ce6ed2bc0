"""Archives as one stream of bytes, cut into portions that travel alone and are joined again; needs Python alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PAYLOAD, MANIFEST = "payload", "portion.json"
MIB = 1 << 20


class JobError(Exception):
    """Say what is wrong and what to do, in one line."""


@dataclass(frozen=True)
class Archive:
    """A file of the stream; `name` is the folder that it is unpacked to."""

    name: str
    start: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Shipment:
    """What travels: the job, its archives in order, and the hashes of the portions of so many bytes each."""

    job: Mapping[str, Any]
    archives: tuple[Archive, ...]
    portion: int
    sha256: tuple[str, ...]

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Shipment:
        """Read what `facts` wrote."""
        archives = tuple(Archive(**archive) for archive in facts["archives"])
        return cls(facts["job"], archives, facts["portion"], tuple(facts["sha256"]))

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        return asdict(self)

    def portions_of(self, archive: Archive) -> range:
        """Return the numbers, from 0, of the portions that hold an archive."""
        return range(archive.start // self.portion, -(-(archive.start + archive.size) // self.portion))


def sha256_of(path: Path) -> str:
    """Hash a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


def chunks(files: Iterable[Path]) -> Iterator[bytes]:
    """Yield the content of files, one behind the other."""
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(MIB):
                yield chunk


def split(files: Iterable[Path], place: Callable[[int], Path], *, size: int) -> list[str]:
    """Write files, one behind the other, as parts of so many bytes to `place(0)`, `place(1)`, ...; return SHA-256s."""
    sums: list[str] = []
    part, digest, room = None, hashlib.sha256(), 0
    for chunk in chunks(files):
        at = 0
        while at < len(chunk):
            if room == 0:
                if part is not None:
                    part.close()
                    sums.append(digest.hexdigest())
                target = place(len(sums))
                target.parent.mkdir(parents=True, exist_ok=True)
                part, digest, room = target.open("wb"), hashlib.sha256(), size
            piece = chunk[at : at + room]
            part.write(piece)
            digest.update(piece)
            at, room = at + len(piece), room - len(piece)
    if part is not None:
        part.close()
        sums.append(digest.hexdigest())
    return sums


def cut(archives: Mapping[str, Path], folder: Path, *, portion: int, job: Mapping[str, Any]) -> Shipment:
    """Write `folder`/portion-1, portion-2, ...: at most so many bytes of the archives each, and a manifest."""
    described, start = [], 0
    for name, path in archives.items():
        described.append(Archive(name, start, path.stat().st_size, sha256_of(path)))
        start += path.stat().st_size
    sums = split(archives.values(), lambda number: folder / f"portion-{number + 1}" / PAYLOAD, size=portion)
    shipment = Shipment(job, tuple(described), portion, tuple(sums))
    for number in range(len(sums)):
        text = json.dumps({"number": number, **shipment.facts()}, ensure_ascii=False, indent=1)
        (folder / f"portion-{number + 1}" / MANIFEST).write_text(text, encoding="utf-8")
    return shipment


def read_portion(portion: Path) -> tuple[int, Shipment]:
    """Return a portion's number, from 0, and what it is a part of. Raises JobError."""
    try:
        facts = json.loads((portion / MANIFEST).read_text(encoding="utf-8"))
        return facts.pop("number"), Shipment.of(facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{portion} is no portion: its {MANIFEST} cannot be read ({error})") from None


def store(portion: Path, work: Path) -> Shipment:
    """Check a portion and keep it in the work folder. Raises JobError where it is damaged or of another job."""
    number, shipment = read_portion(portion)
    found = sha256_of(portion / PAYLOAD)
    if found != shipment.sha256[number]:
        raise JobError(
            f"{portion / PAYLOAD} is damaged: SHA-256 {found[:12]}…, {shipment.sha256[number][:12]}… was expected; "
            "send it again"
        )
    known = work / "shipment.json"
    text = json.dumps(shipment.facts(), ensure_ascii=False, indent=1)
    if known.is_file() and known.read_text(encoding="utf-8") != text:
        raise JobError(f"{work} holds another job; remove it or give another --work")
    (work / "portions").mkdir(parents=True, exist_ok=True)
    known.write_text(text, encoding="utf-8")
    partial = kept(work, number).with_suffix(".partial")
    shutil.copyfile(portion / PAYLOAD, partial)
    partial.replace(kept(work, number))
    return shipment


def read_shipment(work: Path) -> Shipment:
    """Return what a work folder is for. Raises JobError."""
    known = work / "shipment.json"
    if not known.is_file():
        raise JobError(f"{work} holds no job; unpack the portions first")
    return Shipment.of(json.loads(known.read_text(encoding="utf-8")))


def kept(work: Path, number: int) -> Path:
    """Return where a portion is kept until its archives are unpacked."""
    return work / "portions" / f"{number:03d}"


def join(archive: Archive, shipment: Shipment, work: Path, target: Path) -> bool:
    """Write an archive, unless a portion of it has yet to come. Raises JobError for one that is not what was cut."""
    numbers = shipment.portions_of(archive)
    if not all(kept(work, number).is_file() for number in numbers):
        return False
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for number in numbers:
            first = number * shipment.portion
            start = max(archive.start, first)
            end = min(archive.start + archive.size, first + shipment.portion)
            with kept(work, number).open("rb") as file:
                file.seek(start - first)
                left = end - start
                while left and (chunk := file.read(min(MIB, left))):
                    out.write(chunk)
                    digest.update(chunk)
                    left -= len(chunk)
    if digest.hexdigest() != archive.sha256:
        raise JobError(f"{archive.name} is damaged; remove {work} and unpack all portions again")
    return True

"""Files that are either whole or absent: atomic writes, content hashes, staged folders."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import xxhash

from babelpress.errors import BabelpressError

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_UMASK = os.umask(0o022)
os.umask(_UMASK)


def hash_file(path: Path) -> str:
    """Hash the content of a file, in constant memory.

    XXH3 at 128 bits: it finds changes, at the speed of memory; it is no defence against forgery.
    """
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """Hash a JSON-able value; the order of keys does not matter."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode())


def canonical_json(value: Any) -> str:
    """Write a value as JSON that depends on its content alone."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def list_files(folder: Path) -> list[Path]:
    """List the regular files below a folder, sorted by their relative path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def hash_folder(folder: Path) -> str:
    """Hash the names and contents of all files below a folder; hidden ones (download caches) are left out.

    A file is read once, and again when its size or the time of its last change is another: every model and task asks.
    """
    files = [
        path for path in list_files(folder) if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return hash_json([[str(path.relative_to(folder)), hash_unless_known(path)] for path in files])


def hash_unless_known(path: Path) -> str:
    """Hash the content of a file, unless it was hashed before and has not changed since."""
    now = path.stat()
    return _hash_of(path.absolute(), now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_of(path: Path, size: int, changed: int) -> str:  # the last two make it another file
    return hash_file(path)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a neighbour of `path` and rename it when whole and on disk.

    Raises BabelpressError when the disk is full; `path` keeps its old content then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_UMASK)  # some libraries write files that nobody else can read
        sync(temporary)
        temporary.replace(path)
    except Exception as error:
        if is_disk_full(error):
            raise BabelpressError(
                f"the disk is full: {path} could not be written; free some space and run the same command again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, busy: bool = False) -> None:
    """Remove what processes that were killed while they wrote left behind.

    Nobody may be writing there, unless it is called `busy`: then what living processes write stays.
    """
    for path in folder.rglob(".*.tmp"):
        if not (busy and _is_alive(path.stem.rpartition(".")[2])):
            path.unlink(missing_ok=True)


def _is_alive(process: str) -> bool:
    import psutil

    return process.isdigit() and psutil.pid_exists(int(process))


@contextmanager
def hold(lock: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock file; it is let go with the process, also when that is killed.

    Yields False when another process has it and there is no waiting.
    """
    from filelock import FileLock, Timeout

    file = FileLock(lock)
    try:
        file.acquire(timeout=0)
    except Timeout:
        if not wait:
            yield False
            return
        logger.info("another run is working on the same thing; waiting for %s", lock)
        file.acquire()
    try:
        yield True
    finally:
        file.release()


def is_disk_full(error: Exception) -> bool:
    """Tell whether an error is that of a full disk, a quota, or a limit on files."""
    codes = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    if isinstance(error, OSError):
        return error.errno in codes
    return any(f"(os error {code})" in str(error) for code in codes)  # safetensors' writer raises another class


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented and in the given order of keys."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raise BabelpressError that names the file when it is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BabelpressError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:  # not text, not JSON, or a number of thousands of digits
        raise BabelpressError(f"{path} is not valid JSON: {error}") from None


def sync(path: Path) -> None:
    """Bring a file's bytes to the disk, so that a rename never outlives its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inside(folder: Path, name: str) -> Path:
    """Join a name that came from a file to a folder; refuse one that would leave the folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BabelpressError(f"{name!r} points outside of {folder}; refused")
    return folder / name


def remove_tree(folder: Path) -> None:
    """Remove a folder if it is there."""
    if folder.exists():
        shutil.rmtree(folder)

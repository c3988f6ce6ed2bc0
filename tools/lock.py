"""Renew requirements.lock: what pip would install now, for the oldest and the newer Pythons.

    python tools/lock.py python3.10 python3.11

The first interpreter is the oldest that babelpress supports; where the second gets another version, the
two lines carry markers. torch is pinned as it stands in the lock, its CUDA packages are left to itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
_LEFT_TO_TORCH = re.compile(r"^(nvidia-|cuda-|triton$)")
_MARKERS = ('python_version < "3.11"', 'python_version >= "3.11"')


def resolve(python: str, torch: str) -> dict[str, str]:
    """Return name → version of everything that babelpress[dev] needs under an interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        pip = f"{folder}/venv/bin/pip"
        subprocess.run([pip, "install", "--quiet", "--upgrade", "pip"], check=True)
        subprocess.run(
            [pip, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report),
             f"torch=={torch}", f"{ROOT}[dev]", "hatchling", "editables"],
            check=True,
        )  # fmt: skip
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"] for item in found}
    return {
        name: version.partition("+")[0]
        for name, version in names.items()
        if name != "babelpress" and not _LEFT_TO_TORCH.match(name)
    }


def merge(oldest: dict[str, str], newer: dict[str, str]) -> list[str]:
    """Return the lock's lines, sorted."""
    lines = []
    for name in sorted(oldest | newer):
        versions = (oldest.get(name), newer.get(name))
        if versions[0] == versions[1]:
            lines.append(f"{name}=={versions[0]}")
        else:
            lines += [
                f"{name}=={version} ; {marker}" for version, marker in zip(versions, _MARKERS, strict=True) if version
            ]
    return lines


def main() -> None:
    pythons = sys.argv[1:] or ["python3.10", "python3.11"]
    known = re.search(r"(?m)^torch==(\S+)", LOCK.read_text(encoding="utf-8")) if LOCK.exists() else None
    torch = known.group(1) if known else "2.13.0"
    resolved = [resolve(python, torch) for python in pythons]
    LOCK.write_text("\n".join(merge(resolved[0], resolved[-1])) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

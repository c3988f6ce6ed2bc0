"""Failed tasks of an evaluation with `allow_missing`, with the reasons: a file next to mteb's results."""

from __future__ import annotations

import re
from pathlib import Path

from babelpress.utils.files import read_json, write_json

_FILE = "missing.json"


def read_missing(cache: Path) -> dict[str, str]:
    """Return the tasks that failed when models were last scored in this cache, and why."""
    path = cache / _FILE
    missing: dict[str, str] = read_json(path) if path.is_file() else {}
    return missing


def write_missing(cache: Path, missing: dict[str, str]) -> None:
    """Write the failed tasks; without any, remove the file."""
    if missing:
        write_json(cache / _FILE, missing)
    else:
        (cache / _FILE).unlink(missing_ok=True)


def without_places(text: str) -> str:
    """Shorten absolute paths to their last part: reasons are published with the results."""
    return re.sub(r"(?<![\w:/.])/(?:[^\s/'\"]+/)+", "", text)

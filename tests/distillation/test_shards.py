"""Shards: what is written comes back to the bit, and whatever happened to a file is noticed and named."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from babelpress.distillation import shards as module
from babelpress.distillation.shards import checksum, facts_of, fault_of, open_shard, write_shard
from babelpress.errors import BabelpressError

KEY = "3f0c/train/0"
ROWS = 6
OPEN_FILES = Path("/proc/self/fd")


def tensors():
    draw = torch.Generator().manual_seed(0)
    return {
        "embeddings": torch.randn(ROWS, 4, generator=draw).half(),
        "hidden": torch.randn(ROWS, 2, 3, generator=draw).half(),
        "ids": torch.tensor([0, 1, 32_767, 32_768, 65_535], dtype=torch.uint16),
        "ends": torch.tensor([-(2**31), -1, 0, 1, 70_000, 2**31 - 1], dtype=torch.int32),
        "offsets": torch.tensor([0, 5, 2**31, 2**53 + 1, 2**63 - 1], dtype=torch.int64),
    }


@pytest.fixture
def shard(tmp_path):
    """A whole shard."""
    write_shard(tmp_path / "shard", tensors(), key=KEY, rows=ROWS)
    return tmp_path / "shard"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fault(path, *, key=KEY, rows=ROWS, **named):
    return fault_of(path, key=key, rows=rows, **named)


def change(path, place, *, bit=1):
    """Flip a bit of a byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(bytes(content))


def header_of(path):
    """Return a safetensors file's header and what lies behind it."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


# --- whole shards -------------------------------------------------------------------------------


def test_every_type_comes_back_to_the_bit(shard):
    found = open_shard(shard)
    assert set(found) == set(tensors())
    for name, value in tensors().items():
        assert found[name].dtype is value.dtype
        assert torch.equal(found[name].view(torch.uint8), value.view(torch.uint8))


def test_a_whole_shard_has_no_fault(shard):
    assert fault(shard) is None
    assert fault(shard, whole=False) is None


def test_a_shard_says_what_it_is(shard):
    assert facts_of(shard) == {"key": KEY, "rows": "6", "xxh3": checksum(tensors())}


def test_values_that_are_no_numbers_and_shards_without_rows_are_kept(tmp_path):
    odd = {"embeddings": torch.tensor([[float("nan"), float("inf"), -0.0]]).half(), "ids": torch.zeros(0, 3)}
    write_shard(tmp_path / "odd", odd, key=KEY, rows=0)
    assert fault(tmp_path / "odd", rows=0) is None
    found = open_shard(tmp_path / "odd")
    assert torch.equal(found["embeddings"].view(torch.int16), odd["embeddings"].view(torch.int16))
    assert found["ids"].shape == (0, 3)


def test_parts_and_turned_views_of_a_tensor_are_written_as_they_look(tmp_path):
    whole = torch.arange(24, dtype=torch.int32).view(4, 6)
    views = {"turned": whole.T, "every second": whole[:, ::2], "first": whole[:2], "last": whole[2:]}
    write_shard(tmp_path / "views", views, key=KEY, rows=4)
    assert fault(tmp_path / "views", rows=4) is None
    found = open_shard(tmp_path / "views")
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in views.items()
    }


def test_the_checksum_is_of_names_shapes_types_and_values():
    value = torch.arange(6, dtype=torch.int32)
    others = [
        {"a": value, "b": value}, {"b": value}, {"a": value.view(2, 3)}, {"a": value.view(torch.float32)},
        {"a": value + 1}, {"a": value, "b": value + 1}, {"a": value + 1, "b": value}, {"a": value[:0]}, {},
    ]  # fmt: skip
    assert len({checksum(every) for every in [{"a": value}, *others]}) == len(others) + 1
    assert checksum({"a": value, "b": value + 1}) == checksum({"b": value + 1, "a": value.clone()})


def test_a_shard_is_a_header_and_numbers_no_pickle(shard):
    header, data = header_of(shard)
    facts = header.pop("__metadata__")
    assert set(facts) == {"key", "rows", "xxh3"}
    ends = [
        0,
        *(entry["data_offsets"][1] for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"])),
    ]
    assert ends[-1] == len(data)
    for name, value in tensors().items():
        first, end = header[name]["data_offsets"]
        assert data[first:end] == bytes(value.view(torch.uint8).flatten().tolist())


def test_a_pickle_is_damaged_and_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"embeddings": Trap()}, tmp_path / "shard")
    assert fault(tmp_path / "shard").startswith("damaged (")
    assert names(tmp_path) == ["shard"]


# --- faults -------------------------------------------------------------------------------------


def test_no_bit_of_a_shard_can_change_unnoticed(tmp_path):
    """Header, facts, numbers: all of them."""
    path = tmp_path / "shard"
    write_shard(path, {"ids": torch.zeros(3).half(), "ends": torch.arange(2)}, key=KEY, rows=3)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(bytes(changed))
            assert fault(path, rows=3) is not None, (place, bit)


@pytest.mark.parametrize("place", [0, 9, -100, -1], ids=["header's length", "header", "middle", "last byte"])
def test_damage_is_named_in_one_line(shard, place):
    change(shard, place)
    assert fault(shard).startswith("damaged (")
    assert "\n" not in fault(shard)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, -300, -1])
def test_a_shard_that_was_cut_short_is_damaged(shard, length):
    shard.write_bytes(shard.read_bytes()[:length])
    assert fault(shard).startswith("damaged (")
    assert fault(shard, whole=False).startswith("damaged (")


@pytest.mark.parametrize(
    "content", [b"", b"garbage", bytes(1000), b"\xff" * 1000, b"{}" * 500, b"\x02" + bytes(7) + b"{}"]
)
def test_a_file_that_is_no_shard_is_not_taken_for_one(shard, content):
    shard.write_bytes(content)
    assert fault(shard).startswith("damaged (") or fault(shard) == "of other data"


def test_bytes_behind_a_shard_are_damage(shard):
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert fault(shard).startswith("damaged (")


def test_zeros_in_place_of_the_last_block_are_damage(shard):
    """What a crash of the machine leaves of a file whose size was known before its content."""
    content = shard.read_bytes()
    shard.write_bytes(content[:-24] + bytes(24))
    assert fault(shard) == "damaged (its checksum differs)"


def test_a_quick_look_reads_no_numbers_but_sees_everything_else(shard):
    change(shard, -1)
    assert fault(shard, whole=False) is None
    assert fault(shard) == "damaged (its checksum differs)"
    assert fault(shard, whole=False, key="other") == "of other data"
    assert fault(shard, whole=False, rows=7) == "of 6 rows, not 7"


def test_a_shard_of_other_data_is_not_taken_for_a_whole_one(shard):
    assert fault(shard, key="3f0c/train/1") == "of other data"
    assert fault(shard, key="") == "of other data"


def test_shards_that_changed_places_are_both_noticed(tmp_path):
    for number in range(2):
        write_shard(tmp_path / str(number), tensors(), key=f"3f0c/train/{number}", rows=ROWS)
    for source, target in (("0", "kept"), ("1", "0"), ("kept", "1")):
        shutil.move(tmp_path / source, tmp_path / target)
    assert [fault(tmp_path / str(number), key=f"3f0c/train/{number}") for number in range(2)] == ["of other data"] * 2


def test_tensors_that_changed_places_are_noticed(tmp_path):
    """Each is whole, but under the other's name."""
    first, second = torch.zeros(4, 2), torch.ones(4, 2)
    write_shard(tmp_path / "shard", {"a": first, "b": second}, key=KEY, rows=ROWS)
    save_file({"a": second, "b": first}, str(tmp_path / "swapped"), metadata=facts_of(tmp_path / "shard"))
    assert fault(tmp_path / "swapped") == "damaged (its checksum differs)"


def test_a_shard_of_other_rows_is_named_with_both_numbers(shard):
    assert fault(shard, rows=5) == "of 6 rows, not 5"


def test_a_file_of_safetensors_without_facts_is_of_other_data(tmp_path):
    save_file(tensors(), str(tmp_path / "plain"))
    assert fault(tmp_path / "plain") == "of other data"


def test_a_shard_that_is_not_there_is_missing_not_damaged(tmp_path):
    (tmp_path / "folder").mkdir()
    assert fault(tmp_path / "nothing") == "missing"
    assert fault(tmp_path / "folder") == "missing"


# --- disks and files ----------------------------------------------------------------------------


def test_a_full_disk_is_said_clearly_and_leaves_the_old_shard(shard, monkeypatch):
    before = shard.read_bytes()

    def full(_tensors, path, **_):
        Path(path).write_bytes(before[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(BabelpressError, match=r"the disk is full: .*shard could not be written; free some space"):
        write_shard(shard, {"ids": torch.zeros(9)}, key="new", rows=9)
    assert shard.read_bytes() == before
    assert names(shard.parent) == ["shard"]


def test_a_killed_writer_leaves_the_old_shard_and_no_rubbish(shard, monkeypatch):
    def killed(_tensors, path, **_):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        write_shard(shard, {"ids": torch.zeros(9)}, key="new", rows=9)
    assert fault(shard) is None
    assert names(shard.parent) == ["shard"]


def test_a_shard_is_replaced_whole_while_it_is_being_read(shard):
    before = open_shard(shard)
    write_shard(shard, {"ids": torch.zeros(9)}, key="new", rows=9)
    assert checksum(before) == checksum(tensors())
    assert fault(shard, key="new", rows=9) is None


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="open files are not listed here")
def test_hundreds_of_open_shards_hold_no_file_open(tmp_path):
    """macOS allows 256 of them."""
    paths = [tmp_path / f"{number:03d}" for number in range(300)]
    for number, path in enumerate(paths):
        save_file({"number": torch.tensor([number])}, str(path))
    before = len(list(OPEN_FILES.iterdir()))
    opened = [open_shard(path) for path in paths]
    assert len(list(OPEN_FILES.iterdir())) <= before
    assert [shard["number"].item() for shard in opened] == list(range(300))


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="open files are not listed here")
def test_looking_for_faults_holds_no_file_open(shard):
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(20):
        assert fault(shard) is None
        assert fault(shard, key="other")
    assert len(list(OPEN_FILES.iterdir())) <= before

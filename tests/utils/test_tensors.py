"""Weights are read row by row, in every stored number format, and never from anything unsafe."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file as save_torch

from babelpress.errors import BabelpressError, TeacherError
from babelpress.utils.tensors import open_checkpoint, save_tensors

# exact in every format, bf16's 8 bits of mantissa included
VALUES = [[1.0, -2.5, 0.0], [3.0, 0.15625, -128.0], [0.5, 65280.0, -0.0078125]]


def checkpoint(folder: Path, **tensors: torch.Tensor):
    save_torch(tensors, str(folder / "model.safetensors"))
    return open_checkpoint(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_every_float_format_comes_as_fp32_unchanged(tmp_path, dtype):
    found = checkpoint(tmp_path, w=torch.tensor(VALUES, dtype=dtype)).read("w")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(VALUES, dtype=np.float32))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=20))
def test_bf16_is_widened_as_torch_widens_it(tmp_path_factory, values):
    tensor = torch.tensor(values, dtype=torch.float32).to(torch.bfloat16)
    found = checkpoint(tmp_path_factory.mktemp("bf16"), w=tensor).read("w")
    np.testing.assert_array_equal(found, tensor.float().numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_gathered_by_id_in_the_asked_order_a11(tmp_path, dtype):
    found = checkpoint(tmp_path, w=torch.tensor(VALUES, dtype=dtype)).read("w", rows=np.array([2, 0]))
    np.testing.assert_array_equal(found, np.array([VALUES[2], VALUES[0]], dtype=np.float32))


def test_what_is_read_is_writable_contiguous_and_apart_from_the_file_b7(tmp_path):
    weights = checkpoint(tmp_path, w=torch.tensor(VALUES))
    found = weights.read("w", rows=np.array([0, 1]))
    assert type(found) is np.ndarray
    assert found.flags.c_contiguous
    found[:] = 7.0
    np.testing.assert_array_equal(weights.read("w"), np.array(VALUES, dtype=np.float32))


def test_tensors_behind_others_are_found_at_their_place(tmp_path):
    weights = checkpoint(tmp_path, a=torch.arange(5.0), b=torch.tensor(VALUES), c=torch.arange(3.0))
    assert weights.names() == ["a", "b", "c"]
    assert (weights.shape("b"), weights.size("b")) == ((3, 3), 9)
    np.testing.assert_array_equal(weights.read("c"), [0.0, 1.0, 2.0])


def test_a_missing_tensor_is_named(tmp_path):
    with pytest.raises(TeacherError, match=r"have no tensor x\.weight"):
        checkpoint(tmp_path, a=torch.ones(1)).read("x.weight")


def test_a_number_format_that_is_not_supported_is_named(tmp_path):
    weights = checkpoint(tmp_path, w=torch.ones(2, dtype=torch.int8))
    with pytest.raises(TeacherError, match="w is stored as I8; supported: F64, F32, F16, BF16"):
        weights.read("w")


# --- shards -------------------------------------------------------------------------------------


def write_shards(folder: Path, weight_map: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    save_numpy({"a": np.array([1.0], np.float32)}, str(folder / "one.safetensors"))
    save_numpy({"b": np.array([2.0], np.float32)}, str(folder / "two.safetensors"))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def test_shards_are_read_as_one(tmp_path):
    write_shards(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    weights = open_checkpoint(tmp_path)
    assert weights.names() == ["a", "b"]
    assert [float(weights.read(name)[0]) for name in "ab"] == [1.0, 2.0]
    both = sum((tmp_path / name).stat().st_size for name in ("one.safetensors", "two.safetensors"))
    assert weights.bytes_on_disk() == both


def test_shards_of_a_hub_snapshot_are_links_out_of_the_folder_and_still_read(tmp_path):
    write_shards(tmp_path / "blobs", {"a": "one.safetensors", "b": "two.safetensors"})
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in (tmp_path / "blobs").iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert open_checkpoint(snapshot).names() == ["a", "b"]


def test_a_missing_shard_is_named(tmp_path):
    write_shards(tmp_path, {"a": "one.safetensors", "c": "three.safetensors"})
    with pytest.raises(TeacherError, match=r"names three\.safetensors, missing"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/etc/outside.safetensors", "sub/../../outside.safetensors"]
)
def test_an_index_cannot_lead_out_of_the_folder(tmp_path, name):
    save_numpy({"a": np.ones(1, np.float32)}, str(tmp_path / "outside.safetensors"))
    write_shards(tmp_path / "model", {"a": name})
    with pytest.raises(BabelpressError, match="outside"):
        open_checkpoint(tmp_path / "model")


@pytest.mark.parametrize(
    "index", ["[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}', "{"]
)
def test_an_index_that_is_none_is_refused_in_one_line(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    with pytest.raises(BabelpressError):
        open_checkpoint(tmp_path)


# --- damage and danger --------------------------------------------------------------------------


def damaged(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(TeacherError, match="is not a whole safetensors file"):
        open_checkpoint(folder)


def whole_file(folder: Path) -> bytes:
    save_numpy({"w": np.ones((10, 10), np.float32)}, str(folder / "whole"))
    return (folder / "whole").read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 8, 20, -1, -400])
def test_a_truncated_file_is_refused(tmp_path, keep):
    content = whole_file(tmp_path)
    damaged(tmp_path, content[:keep])


def test_bytes_behind_the_tensors_are_refused(tmp_path):
    damaged(tmp_path, whole_file(tmp_path) + b"\0" * 8)


@pytest.mark.parametrize(
    "header",
    [b"garbage", b"[]", b"{}trailing", b'{"w": 1}', b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}',
     b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', b"\xff\xfe"],
)  # fmt: skip
def test_a_header_of_garbage_is_refused(tmp_path, header):
    damaged(tmp_path, struct.pack("<Q", len(header)) + header + b"\0\0\0\0")


def test_a_header_longer_than_any_memory_is_refused(tmp_path):
    damaged(tmp_path, struct.pack("<Q", 1 << 60) + b"{}")


class Bomb:
    def __reduce__(self):
        return (Path("exploded").touch, ())


def test_a_pickle_in_place_of_the_weights_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damaged(tmp_path, pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_folder_with_pickles_alone_says_that_they_are_never_read(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(TeacherError, match=rf"no model\.safetensors \({name} is a pickle and is never read"):
        open_checkpoint(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(TeacherError, match=r"has no model\.safetensors$"):
        open_checkpoint(tmp_path)


# --- writing ------------------------------------------------------------------------------------


def test_views_of_one_tensor_are_written_as_tensors_of_their_own_b7(tmp_path):
    big = np.arange(24, dtype=np.float32).reshape(4, 6)
    save_tensors(
        tmp_path / "model.safetensors", {"left": big[:, :3], "right": big[:, 3:], "turned": big.T, "same": big}
    )
    found = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(found["left"], big[:, :3])
    np.testing.assert_array_equal(found["turned"], big.T)
    np.testing.assert_array_equal(found["same"], big)


def test_the_metadata_that_transformers_asks_for_is_written_b7(tmp_path):
    from safetensors import safe_open

    save_tensors(tmp_path / "model.safetensors", {"w": np.ones(1, np.float32)})
    with safe_open(str(tmp_path / "model.safetensors"), framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_order_of_tensors_does_not_change_the_file(tmp_path):
    one, two = np.ones(3, np.float32), np.zeros(2, np.float32)
    save_tensors(tmp_path / "a", {"one": one, "two": two})
    save_tensors(tmp_path / "b", {"two": two, "one": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_left_beside_the_written_file(tmp_path):
    save_tensors(tmp_path / "model.safetensors", {"w": np.ones(1, np.float32)})
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_content_hash_follows_the_values(tmp_path):
    hashes = []
    for value in (1.0, 2.0, 1.0):
        hashes.append(checkpoint(tmp_path, w=torch.tensor([value])).content_hash())
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(
    ("dtype", "said"), [(torch.float32, "fp32"), (torch.float16, "fp16"), (torch.bfloat16, "bf16")]
)
def test_a_size_on_disk_is_told_with_its_number_format(tmp_path, dtype, said):
    save_torch({"a": torch.ones(8, dtype=dtype), "ids": torch.arange(2)}, str(tmp_path / "model.safetensors"))
    assert open_checkpoint(tmp_path).stored_as() == said

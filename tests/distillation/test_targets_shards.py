"""Shards of targets: kept when whole, found when not, shared by all that want the same and by nobody else."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from babelpress.corpus.sentence import Split
from babelpress.distillation import targets as module
from babelpress.distillation.shards import write_shard
from babelpress.distillation.targets import all_there, compute_targets, describe_shards, open_targets
from babelpress.distillation.tokens import build_token_store
from babelpress.errors import TrainingError
from babelpress.teacher import read_teacher
from tests.distillation.examples import (
    EVERY,
    TEXTS,
    alone,
    compute,
    contents,
    killed_while_writing,
    spec_of,
    stamps,
    use_small_shards,
)  # fmt: skip
from tests.tiny import make_teacher

NAMES = [
    *(f"train-{number:05d}.safetensors" for number in range(3)),
    "validation-00000.safetensors",
]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    use_small_shards(monkeypatch)


@pytest.fixture
def spec(teacher, corpus):
    return spec_of(teacher, corpus)


@pytest.fixture
def whole(spec, tmp_path):
    """A folder of whole targets."""
    compute(spec, tmp_path / "targets")
    return tmp_path / "targets"


def assert_right(spec, folder):
    """Every row is its own sentence's."""
    expected = np.stack([alone(spec.teacher, text) for text in TEXTS])
    np.testing.assert_allclose(open_targets(spec, folder, Split.TRAIN).gather(EVERY), expected, atol=2e-3)


# --- done once ----------------------------------------------------------------------------------


def test_shards_of_both_splits_lie_side_by_side(spec, whole):
    assert sorted(path.name for path in whole.iterdir()) == NAMES
    assert [spec.shards(split) for split in (Split.TRAIN, Split.VALIDATION)] == [[4, 4, 2], [2]]


def test_a_teacher_is_not_even_loaded_when_all_shards_are_there(spec, whole, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(module, "load_encoder", loaded)
    before = stamps(whole)
    assert compute_targets(spec, whole) == {"precision": "fp32"}
    assert stamps(whole) == before


def test_only_the_missing_shard_is_computed_and_comes_out_the_same(spec, whole, monkeypatch, caplog):
    before, written = contents(whole), stamps(whole)
    (whole / NAMES[1]).unlink()
    encoded = []
    encode = module._Encoder.encode
    monkeypatch.setattr(
        module._Encoder,
        "encode",
        lambda self, shard, *rest: encoded.append(shard.texts) or encode(self, shard, *rest),
    )
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        compute(spec, whole)
    assert encoded == [TEXTS[4:8]]
    assert contents(whole) == before
    assert {name for name, stamp in stamps(whole).items() if stamp != written[name]} == {NAMES[1]}
    assert not caplog.records


def test_a_killed_computation_keeps_its_whole_shards(spec, tmp_path, monkeypatch):
    folder = tmp_path / "targets"
    with killed_while_writing(monkeypatch, module, NAMES[2]):
        compute(spec, folder)
    before = stamps(folder)
    assert list(before) == NAMES[:2]
    assert not all_there(spec, folder)
    compute(spec, folder)
    assert {name: stamp for name, stamp in stamps(folder).items() if name in before} == before
    assert all_there(spec, folder)
    assert_right(spec, folder)


# --- damage -------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def cut_in_the_header(path):
    path.write_bytes(path.read_bytes()[:20])


def empty(path):
    path.write_bytes(b"")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 0x10
    path.write_bytes(bytes(content))


def overwrite_with_text(path):
    path.write_text("<html>not found</html>" * 50)


def swap(path):
    """As a rename by hand does: another shard of the same targets, of as many rows."""
    shutil.copyfile(path.with_name(NAMES[0]), path)


def take_from_others(path):
    tensors = {name: value.clone() for name, value in module.open_shard(path).items()}
    write_shard(path, tensors, key="of another teacher", rows=4)


def shorten(path):
    tensors = {name: value[:3].clone() for name, value in module.open_shard(path).items()}
    write_shard(path, tensors, key=module.facts_of(path)["key"], rows=3)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "damaged"),
        (cut_in_the_header, "damaged"),
        (empty, "damaged"),
        (flip_a_bit, "its checksum differs"),
        (overwrite_with_text, "damaged"),
        (swap, ""),
        (take_from_others, "of other data"),
        (shorten, "of 3 rows, not 4"),
    ],
)
def test_a_damaged_shard_is_made_again_it_alone_and_with_a_warning(spec, whole, caplog, damage, said):
    damage(whole / NAMES[1])
    before = stamps(whole)
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        compute(spec, whole)
    assert_right(spec, whole)
    after = stamps(whole)
    assert {name for name in NAMES if after[name] != before[name]} == {NAMES[1]}
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert NAMES[1] in message
    assert said in message
    assert "made again" in message
    assert "\n" not in message


def test_what_a_killed_write_left_is_no_shard_and_does_no_harm(spec, whole):
    (whole / f".{NAMES[0]}.4711.tmp").write_bytes(b"half")
    assert all_there(spec, whole)
    assert open_targets(spec, whole, Split.TRAIN).rows == 10


def test_a_missing_shard_is_named_when_targets_are_opened(spec, whole):
    (whole / NAMES[2]).unlink()
    assert not all_there(spec, whole)
    with pytest.raises(TrainingError, match=rf"{NAMES[2]} is missing; remove it and run the same command again"):
        open_targets(spec, whole, Split.TRAIN)
    assert open_targets(spec, whole, Split.VALIDATION).rows == 2


def test_a_shard_of_other_data_is_named_when_targets_are_opened(spec, whole):
    take_from_others(whole / NAMES[0])
    assert not all_there(spec, whole)
    with pytest.raises(TrainingError, match=rf"{NAMES[0]} is of other data"):
        open_targets(spec, whole, Split.TRAIN)


def test_a_shard_without_its_end_is_named_when_targets_are_opened(spec, whole):
    truncate(whole / NAMES[0])
    with pytest.raises(TrainingError, match=rf"{NAMES[0]} is damaged"):
        open_targets(spec, whole, Split.TRAIN)


# --- what is shared -----------------------------------------------------------------------------


def test_the_key_hangs_on_all_that_the_values_depend_on(teacher, corpus, tmp_path, monkeypatch):
    other = read_teacher(str(make_teacher(tmp_path / "other", seed=1)))
    keys = [
        spec_of(teacher, corpus).key,
        spec_of(other, corpus).key,
        spec_of(teacher, corpus, corpus_hash="another corpus").key,
        spec_of(teacher, corpus, max_length=31).key,
        spec_of(teacher, corpus, prompts=("query: ",)).key,
        spec_of(teacher, corpus, prompts=("query: ", "")).key,
        spec_of(teacher, corpus, prompts=("", "query: ")).key,
        spec_of(teacher, corpus, long_length=64, long_share=0.1).key,
        spec_of(teacher, corpus, long_length=64, long_share=0.2).key,
        spec_of(teacher, corpus, long_length=65, long_share=0.1).key,
        spec_of(teacher, corpus, layers=(0, 2)).key,
        spec_of(teacher, corpus, layers=(0, 1)).key,
    ]
    use_small_shards(monkeypatch, rows=5)
    keys.append(spec_of(teacher, corpus).key)
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_hang_on_where_things_lie(teacher, corpus, tmp_path):
    copies = {name: shutil.copytree(folder, tmp_path / name) for name, folder in
              (("teacher", teacher.folder), ("corpus", corpus))}  # fmt: skip
    moved = spec_of(read_teacher(str(copies["teacher"])), copies["corpus"])
    assert moved.key == spec_of(teacher, corpus).key


def test_the_description_names_every_shard_with_its_rows_and_checksum(spec, whole, tmp_path):
    described = describe_shards(spec, whole)
    assert list(described) == NAMES
    assert [facts["rows"] for facts in described.values()] == ["4", "4", "2", "2"]
    assert len({facts["xxh3"] for facts in described.values()}) == 4
    compute(spec, tmp_path / "again")
    assert describe_shards(spec, tmp_path / "again") == described


def test_the_description_is_written_the_same_every_time(spec, whole):
    """A stage's result is known by its bytes; safetensors gives a file's facts in any order."""
    assert len({str(describe_shards(spec, whole)) for _ in range(20)}) == 1


# --- fewer sentences ----------------------------------------------------------------------------


def limited(spec, sentences):
    return replace(spec, sentences=sentences)


@pytest.mark.parametrize(
    ("sentences", "sizes"),
    [(1, [4]), (4, [4]), (5, [4, 4]), (8, [4, 4]), (9, [4, 4, 2]), (10, [4, 4, 2]), (11, [4, 4, 2]), (None, [4, 4, 2])],
)
def test_fewer_sentences_want_the_first_shards_as_whole_as_the_corpus_has_them(spec, sentences, sizes):
    fewer = limited(spec, sentences)
    assert fewer.shards(Split.TRAIN) == sizes
    assert fewer.rows(Split.TRAIN) == sum(sizes)
    assert (fewer.shards(Split.VALIDATION), fewer.rows(Split.VALIDATION)) == ([2], 2)


def test_100_000_of_879_022_sentences_are_two_shards(spec, monkeypatch):
    use_small_shards(monkeypatch, rows=65_536)
    monkeypatch.setattr(module, "count_rows", lambda corpus, split: 879_022)
    assert limited(spec, 100_000).shards(Split.TRAIN) == [65_536, 65_536]
    assert len(limited(spec, 100_000).shards(Split.VALIDATION)) == len(spec.shards(Split.TRAIN)) == 14


def test_how_many_sentences_are_wanted_is_no_part_of_the_key(spec):
    assert limited(spec, 4).key == spec.key
    assert limited(spec, 4).shard_key(Split.TRAIN, 0) == spec.shard_key(Split.TRAIN, 0)


def test_a_run_on_fewer_sentences_makes_its_shards_alone_and_a_run_on_all_the_rest(spec, whole, tmp_path, monkeypatch):
    read = []
    read_shards = module.read_shards
    monkeypatch.setattr(
        module,
        "read_shards",
        lambda *given: (read.append((given[1], shard.number)) or shard for shard in read_shards(*given)),
    )
    folder, fewer = tmp_path / "fewer", limited(spec, 5)
    targets = compute(fewer, folder)
    assert read == [(Split.TRAIN, 0), (Split.TRAIN, 1), (Split.VALIDATION, 0)]  # and no further
    assert targets.rows == 8
    assert sorted(path.name for path in folder.iterdir()) == [NAMES[0], NAMES[1], NAMES[3]]
    assert list(describe_shards(fewer, folder)) == [NAMES[0], NAMES[1], NAMES[3]]
    assert all_there(fewer, folder)
    assert not all_there(spec, folder)
    before = stamps(folder)
    compute(spec, folder)
    assert {name: stamp for name, stamp in stamps(folder).items() if name in before} == before
    assert contents(folder) == contents(whole)


def test_a_run_on_fewer_sentences_takes_the_shards_of_a_run_on_all(spec, whole, monkeypatch):
    monkeypatch.setattr(module, "load_encoder", lambda *_, **__: pytest.fail("the teacher was loaded"))
    before = stamps(whole)
    assert compute(limited(spec, 3), whole).rows == 4
    assert stamps(whole) == before


def test_tokens_of_fewer_sentences_are_those_of_the_shards_that_are_wanted(spec, whole, teacher, corpus, tmp_path):
    stores = [
        build_token_store(
            teacher.folder, corpus, tmp_path / str(sentences), split=Split.TRAIN, rules=spec.rules, key="key",
            targets=open_targets(limited(spec, sentences), whole, Split.TRAIN), max_length=126,
        )
        for sentences in (5, None)
    ]  # fmt: skip
    assert [store.rows for store in stores] == [8, 10]
    assert [stores[0].sentence(row) for row in range(8)] == [stores[1].sentence(row) for row in range(8)]

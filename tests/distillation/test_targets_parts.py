"""Parts of shards of targets: a kill in the middle costs what was done since the last one, and changes no bit."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from babelpress.corpus.sentence import Split
from babelpress.distillation import parts
from babelpress.distillation import targets as module
from babelpress.distillation.shards import facts_of, open_shard, write_shard
from babelpress.distillation.targets import compute_targets
from babelpress.recipe import TargetPrecision
from tests.distillation import kill_at
from tests.distillation.examples import EVERY, TEXTS, alone, spec_of, stamps, use_small_shards

REPOSITORY = Path(__file__).parents[2]
SHARD, PART = "train-00001.safetensors", "train-00001.part"
CALLS = {"train-00000": 5, "train-00001": 5, "validation-00000": 2}  # a text is a batch of its own here


@pytest.fixture(autouse=True)
def _parts_at_once(monkeypatch):
    """Shards of five texts, batches of one, and a part behind each."""
    use_small_shards(monkeypatch, rows=5)
    monkeypatch.setattr(module, "_CPU_TOKENS", 1)
    monkeypatch.setattr(parts, "SAVE_EVERY", 0.0)


@pytest.fixture
def spec(teacher, corpus):
    return spec_of(teacher, corpus)


@pytest.fixture
def calls(monkeypatch):
    """The lengths of the texts that the teacher was given."""
    given = []
    embed = module._Encoder._embed
    monkeypatch.setattr(module._Encoder, "_embed", lambda self, ids: given.append(len(ids[0])) or embed(self, ids))
    return given


def shards(folder: Path) -> dict[str, tuple]:
    """Return what every shard says of itself and the bytes of its tensors (a file's facts stand in any order)."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors = {name: bytes(value.view(torch.uint8).numpy()) for name, value in open_shard(path).items()}
        found[path.name] = (facts_of(path), tensors)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def compute_until(call: int, spec, folder: Path, monkeypatch) -> None:
    """Compute targets, interrupted when the teacher is called so often."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module._Encoder, "_embed", kill_at(call, module._Encoder._embed))
        compute_targets(spec, folder)


@pytest.fixture
def whole(spec, tmp_path):
    """The shards of an undisturbed run."""
    compute_targets(spec, tmp_path / "whole")
    assert names(tmp_path / "whole") == [f"{name}.safetensors" for name in CALLS]
    return shards(tmp_path / "whole")


@pytest.fixture
def killed(spec, tmp_path, monkeypatch):
    """The folder of a run that was interrupted with three of five texts of the second shard done."""
    folder = tmp_path / "killed"
    compute_until(5 + 4, spec, folder, monkeypatch)
    assert names(folder) == ["train-00000.safetensors", PART]
    return folder


# --- going on -----------------------------------------------------------------------------------


def test_a_killed_shard_goes_on_where_it_was_and_comes_out_the_same_to_the_bit(spec, whole, killed, calls, caplog):
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        compute_targets(spec, killed)
    assert len(calls) == 2 + CALLS["validation-00000"]
    assert shards(killed) == whole
    assert names(killed) == list(whole)
    assert not caplog.records


def test_a_shard_that_is_killed_again_and_again_comes_out_the_same(spec, whole, tmp_path, calls, monkeypatch):
    folder = tmp_path / "targets"
    for _ in range(sum(CALLS.values()) - 1):  # one text a run
        compute_until(2, spec, folder, monkeypatch)
    compute_targets(spec, folder)
    assert len(calls) == sum(CALLS.values())
    assert shards(folder) == whole


def test_hidden_states_go_on_as_well(teacher, corpus, tmp_path, calls, monkeypatch):
    spec = spec_of(teacher, corpus, layers=(0, 2))
    compute_targets(spec, tmp_path / "whole")
    compute_until(9, spec, tmp_path / "killed", monkeypatch)
    assert set(open_shard(tmp_path / "killed" / PART)) == {"embeddings", "hidden"}
    calls.clear()
    compute_targets(spec, tmp_path / "killed")
    assert len(calls) == 2 + CALLS["validation-00000"]
    assert shards(tmp_path / "killed") == shards(tmp_path / "whole")


def test_a_part_says_what_it_is_of_and_holds_the_shortest_texts(spec, whole, killed):
    facts, part = facts_of(killed / PART), open_shard(killed / PART)
    assert facts["key"] == f"{spec.shard_key(Split.TRAIN, 1)}/part"
    assert (facts["rows"], facts["precision"]) == ("3", "fp32")
    assert part.keys() == {"embeddings"}
    rows = [part["embeddings"].view(torch.uint8).numpy()[row].tobytes() for row in range(3)]
    everything = whole[SHARD][1]["embeddings"]
    assert all(row in everything for row in rows)


def test_the_bar_starts_with_what_is_done(spec, killed, monkeypatch):
    shown = []
    bar = module.bar
    monkeypatch.setattr(module, "bar", lambda *given, **named: shown.append((given, named)) or bar(*given, **named))
    compute_targets(spec, killed)
    assert shown[-1] == (("targets: teacher",), {"total": 7, "unit": "sentences", "start": 3})


def test_a_shard_of_less_than_two_minutes_writes_no_part(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "SAVE_EVERY", 120.0)
    compute_until(9, spec, tmp_path, monkeypatch)
    assert names(tmp_path) == ["train-00000.safetensors"]


def test_a_part_is_written_every_two_minutes(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "SAVE_EVERY", 120.0)
    now, saved = [0.0], []
    monkeypatch.setattr(parts.time, "monotonic", lambda: now[0])
    embed = module._Encoder._embed

    def slowly(self, ids):
        now[0] += 50
        return embed(self, ids)

    monkeypatch.setattr(module._Encoder, "_embed", slowly)
    monkeypatch.setattr(
        parts, "write_shard",
        lambda path, tensors, **named: saved.append((path.name, named["rows"], now[0])),
    )  # fmt: skip
    compute_targets(spec, tmp_path)
    # never behind the last text of a shard, which follows at once; each shard has a clock of its own
    assert saved == [("train-00000.part", 3, 150.0), ("train-00001.part", 3, 400.0)]


def test_batches_that_are_cut_otherwise_now_leave_no_text_out(spec, killed, monkeypatch):
    """Their tokens are a constant, which may change: a batch that is done but for one text is encoded again."""
    monkeypatch.setattr(module, "_CPU_TOKENS", 10_000)
    compute_targets(spec, killed)
    found = module.open_targets(spec, killed, Split.TRAIN).gather(EVERY)
    np.testing.assert_allclose(found, np.stack([alone(spec.teacher, text) for text in TEXTS]), atol=2e-3)


# --- what is not gone on from -------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 0x10
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def take_from_others(path):
    """A part of the same shard of other targets."""
    tensors = {name: value.clone() for name, value in open_shard(path).items()}
    write_shard(path, tensors, key="of another teacher/train/1/part", rows=3, more={"precision": "fp32"})


def put_the_whole_shard_there(path):
    """Its rows are in another order than those of a part."""
    path.write_bytes((path.parent.parent / "whole" / SHARD).read_bytes())


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "damaged"),
        (flip_a_bit, "its checksum differs"),
        (empty, "damaged"),
        (take_from_others, "of other data"),
        (put_the_whole_shard_there, "of other data"),
    ],
)
def test_a_damaged_or_foreign_part_counts_as_nothing_and_is_said(spec, whole, killed, calls, caplog, damage, said):
    damage(killed / PART)
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        compute_targets(spec, killed)
    assert len(calls) == CALLS["train-00001"] + CALLS["validation-00000"]
    assert shards(killed) == whole
    assert names(killed) == list(whole)
    (record,) = caplog.records
    assert PART in record.getMessage()
    assert said in record.getMessage()
    assert record.getMessage().endswith("; its shard is begun anew")
    assert "\n" not in record.getMessage()


def test_a_part_of_another_number_format_is_not_gone_on_from(teacher, corpus, tmp_path, calls, monkeypatch, caplog):
    """The recipe's `auto` may choose another one on another machine, under the same key."""
    spec = spec_of(teacher, corpus, precision=TargetPrecision.AUTO)
    monkeypatch.setattr(module, "bf16_is_fast", lambda device: False)
    compute_targets(spec, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(module, "bf16_is_fast", lambda device: True)
        patch.setattr(module, "FAITHFUL", 0.0)
        compute_until(2 * 5 + 4, spec, tmp_path / "killed", monkeypatch)  # ten calls to choose, of the first shard
    assert facts_of(tmp_path / "killed" / "train-00000.part")["precision"] == "bf16"
    calls.clear()
    with caplog.at_level(logging.WARNING, logger="babelpress"):
        compute_targets(spec, tmp_path / "killed")
    assert len(calls) == sum(CALLS.values())
    assert shards(tmp_path / "killed") == shards(tmp_path / "whole")
    assert "train-00000.part is of bf16 values, not fp32; its shard is begun anew" in caplog.text


# --- files --------------------------------------------------------------------------------------


def test_a_part_beside_its_whole_shard_is_removed(spec, killed):
    """A kill may come between the two."""
    left = (killed / PART).read_bytes()
    compute_targets(spec, killed)
    (killed / PART).write_bytes(left)
    before = stamps(killed)
    compute_targets(spec, killed)
    assert PART not in names(killed)
    assert stamps(killed) == {name: stamp for name, stamp in before.items() if name != PART}


def test_what_a_kill_left_of_a_parts_writing_is_removed_and_the_part_before_stays(spec, whole, killed, calls):
    (killed / f".{PART}.4711.tmp").write_bytes(b"half")
    compute_targets(spec, killed)
    assert len(calls) == 2 + CALLS["validation-00000"]
    assert names(killed) == list(whole)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from babelpress.distillation import parts, targets
from babelpress.teacher import read_teacher
from tests.distillation import examples

torch.set_num_threads(1)
for module in (examples.texts, targets, examples.tokens):
    module.SHARD_ROWS = 5
targets._CPU_TOKENS, parts.SAVE_EVERY = 1, 0.0
embed, calls = targets._Encoder._embed, []

def killing(self, ids):
    calls.append(1)
    if len(calls) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return embed(self, ids)

targets._Encoder._embed = killing
spec = examples.spec_of(read_teacher(sys.argv[1]), Path(sys.argv[2]))
targets.compute_targets(spec, Path(sys.argv[3]))
"""


def test_kill_9_in_the_middle_of_a_shard_costs_no_more_than_an_error(spec, whole, corpus, tmp_path, calls):
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(spec.teacher.folder), str(corpus), str(folder)]
    ended = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert names(folder) == ["train-00000.safetensors", PART]
    compute_targets(spec, folder)
    assert len(calls) == 2 + CALLS["validation-00000"]
    assert shards(folder) == whole


def test_each_process_goes_on_from_the_parts_of_its_own_shards(spec, whole, killed, calls, monkeypatch):
    """One of two processes does the second shard, the other what is left; both find what one left."""
    monkeypatch.setattr(module.processes, "from_main", lambda value: value or {"precision": "fp32"})
    missing = {Split.TRAIN: [1], Split.VALIDATION: [0]}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(module.processes, "device", lambda: "cpu")
    for rank, wanted in (("0", 2), ("1", CALLS["validation-00000"])):
        monkeypatch.setenv("RANK", rank)
        calls.clear()
        module._make(spec, killed, missing)
        assert len(calls) == wanted
    assert shards(killed) == whole

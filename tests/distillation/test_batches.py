"""The order of training: every sentence once an epoch, known without replay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.distillation.batches import POOL_BATCHES, BatchPlan, chunks, mix, permute, share_of


class Text:
    """Sentences of given lengths that counts how many it was asked for."""

    def __init__(self, lengths) -> None:
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self.asked = 0

    @property
    def rows(self) -> int:
        return len(self._lengths)

    def lengths(self, rows):
        self.asked += len(rows)
        return self._lengths[rows]


def make_plan(rows: int, *, batch_size: int, seed: int = 1) -> BatchPlan:
    return BatchPlan(Text(np.random.default_rng(0).integers(3, 60, rows)), batch_size=batch_size, seed=seed)


@given(count=st.integers(1, 5000), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_permutation_neither_loses_nor_doubles_a_row(count, seed, epoch):
    rows = permute(np.arange(count), count=count, seed=seed, epoch=epoch)
    assert sorted(rows.tolist()) == list(range(count))


@given(count=st.integers(1, 2**34), data=st.data())
@settings(max_examples=60, deadline=None)
def test_rows_of_a_huge_corpus_are_in_range_and_distinct(count, data):
    positions = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=50, unique=True))
    rows = permute(np.array(positions, dtype=np.int64), count=count, seed=3, epoch=0)
    assert len(set(rows.tolist())) == len(positions)
    assert 0 <= rows.min() <= rows.max() < count


def test_a_row_does_not_depend_on_which_others_are_asked_for():
    whole = permute(np.arange(1000), count=1000, seed=5, epoch=2)
    part = permute(np.array([999, 17, 17]), count=1000, seed=5, epoch=2)
    assert part.tolist() == [whole[999], whole[17], whole[17]]


def feistel_by_hand(position: int, *, count: int, keys: list[int], half: int) -> int:
    """The permutation in plain integers: four rounds, again while the value is outside."""
    while True:
        left, right = position >> half, position % 2**half
        for key in keys:
            mixed = right ^ key
            mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B % 2**32
            mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 % 2**32
            mixed = (mixed ^ mixed >> 16) % 2**half
            left, right = right, left ^ mixed
        position = left << half | right
        if position < count:
            return position


@pytest.mark.parametrize(("seed", "digest"), [(0, 0), (1, 0x514E28B7), (0xFFFFFFFF, 0x81F16F39)])
def test_values_are_scrambled_as_murmurhash_does(seed, digest):
    """Digests of nothing at these seeds, as its authors' implementation has them: the finalizer of the seed alone."""
    assert mix(np.array([seed], dtype=np.uint64)).tolist() == [digest]


def test_what_lies_above_32_bits_is_not_scrambled():
    assert mix(np.array([1, 2**32 + 1, 2**63 + 1], dtype=np.uint64)).tolist() == [0x514E28B7] * 3


@pytest.mark.parametrize(("count", "half"), [(2, 1), (4, 1), (5, 2), (1000, 5), (5000, 7)])
def test_the_order_is_the_one_that_is_written_down(count, half):
    """A changed constant or an overflow would reorder every run that is resumed with the new version."""
    keys = np.random.SeedSequence([20, 3]).generate_state(4, dtype=np.uint32).tolist()
    expected = [feistel_by_hand(position, count=count, keys=keys, half=half) for position in range(count)]
    assert permute(np.arange(count), count=count, seed=20, epoch=3).tolist() == expected


def test_neighbours_do_not_stay_neighbours():
    rows = permute(np.arange(10_000), count=10_000, seed=0, epoch=0)
    assert np.mean(np.abs(np.diff(rows)) == 1) < 0.01
    assert abs(np.corrcoef(np.arange(10_000), rows)[0, 1]) < 0.05


@given(rows=st.integers(1, 700), batch_size=st.integers(1, 40), epoch=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_every_sentence_is_trained_on_exactly_once_an_epoch(rows, batch_size, epoch):
    plan = make_plan(rows, batch_size=batch_size)
    seen = np.concatenate([plan.batch(epoch, step) for step in range(plan.steps)])
    assert sorted(seen.tolist()) == list(range(rows))


def test_every_sentence_is_trained_on_once_when_an_epoch_has_several_pools():
    rows = 3 * POOL_BATCHES * 2 + 5
    plan = make_plan(rows, batch_size=2)
    assert plan.steps == 3 * POOL_BATCHES + 3
    seen = np.concatenate([plan.batch(0, step) for step in range(plan.steps)])
    assert sorted(seen.tolist()) == list(range(rows))


def test_a_remainder_is_one_smaller_batch_not_lost():
    plan = make_plan(10, batch_size=4)
    assert plan.steps == 3
    assert sorted(len(plan.batch(0, step)) for step in range(3)) == [2, 4, 4]


def test_two_epochs_do_not_show_the_same_batches():
    plan = make_plan(2000, batch_size=4)  # eight pools
    first = {tuple(sorted(plan.batch(0, step).tolist())) for step in range(plan.steps)}
    second = {tuple(sorted(plan.batch(1, step).tolist())) for step in range(plan.steps)}
    assert len(first & second) < 0.02 * plan.steps


def test_two_epochs_of_a_corpus_of_one_pool_differ_in_order():
    plan = make_plan(200, batch_size=10)
    first, second = ([plan.batch(epoch, step).tolist() for step in range(plan.steps)] for epoch in (0, 1))
    assert first != second


def test_another_seed_is_another_order():
    first, second = make_plan(200, batch_size=10, seed=1), make_plan(200, batch_size=10, seed=2)
    assert first.batch(0, 0).tolist() != second.batch(0, 0).tolist()


@given(epoch=st.integers(0, 4), step=st.integers(0, 129))
@settings(max_examples=30, deadline=None)
def test_a_batch_needs_no_replay_of_those_before_it(epoch, step):
    replayed = make_plan(520, batch_size=4)
    for earlier_epoch in range(epoch + 1):
        for earlier in range(replayed.steps if earlier_epoch < epoch else step):
            replayed.batch(earlier_epoch, earlier)
    assert replayed.batch(epoch, step).tolist() == make_plan(520, batch_size=4).batch(epoch, step).tolist()


def test_a_resume_reads_one_pool_not_the_whole_corpus():
    text = Text(np.full(100 * POOL_BATCHES, 7))
    BatchPlan(text, batch_size=2, seed=0).batch(3, 45)
    assert text.asked == 2 * POOL_BATCHES


def test_sentences_of_a_batch_are_alike_in_length():
    lengths = np.random.default_rng(0).integers(3, 64, 32 * POOL_BATCHES)
    plan = BatchPlan(Text(lengths), batch_size=32, seed=1)
    spreads = [np.ptp(lengths[plan.batch(0, step)]) for step in range(plan.steps)]
    # 2,048 sorted lengths of 61 values in runs of 32: a run holds two or three values
    assert max(spreads) <= 2


def test_batches_do_not_come_from_short_to_long():
    lengths = np.random.default_rng(0).integers(3, 64, 32 * POOL_BATCHES)
    plan = BatchPlan(Text(lengths), batch_size=32, seed=1)
    means = [lengths[plan.batch(0, step)].mean() for step in range(plan.steps)]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.4


# --- parts of a batch ---------------------------------------------------------------------------


def cut(lengths, *, tokens: int) -> list[list[int]]:
    """Cut a batch of rows 100, 101, ... of these lengths."""
    rows = 100 + np.arange(len(lengths))
    return [part.tolist() for part in chunks(rows, np.array(lengths), tokens=tokens)]


def test_a_batch_is_cut_where_the_next_sentence_would_be_too_much():
    assert cut([3, 3, 4, 5, 5], tokens=10) == [[100, 101, 102], [103, 104]]
    assert cut([3, 3, 5, 5, 5], tokens=10) == [[100, 101], [102, 103], [104]]


def test_a_batch_that_fits_stays_in_one_part():
    assert cut([4, 6], tokens=10) == [[100, 101]]


def test_a_sentence_above_the_limit_is_a_part_of_its_own_not_lost():
    assert cut([11], tokens=10) == [[100]]
    assert cut([2, 11, 2], tokens=10) == [[100], [101], [102]]
    assert cut([2, 2, 2], tokens=1) == [[100], [101], [102]]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80), st.integers(1, 100))
@settings(max_examples=150, deadline=None)
def test_parts_lose_nothing_and_hold_no_more_than_they_may(lengths, tokens):
    parts = cut(lengths, tokens=tokens)
    assert [row for part in parts for row in part] == [100 + row for row in range(len(lengths))]
    sums = [sum(lengths[row - 100] for row in part) for part in parts]
    assert all(part and (held <= tokens or len(part) == 1) for part, held in zip(parts, sums, strict=True))
    # and no part ends before it must
    assert all(held + lengths[after[0] - 100] > tokens for held, after in zip(sums, parts[1:], strict=False))


# --- parts of several processes -----------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 16))
@settings(max_examples=100, deadline=None)
def test_all_processes_together_have_every_row_once(rows, count):
    every = 100 + np.arange(rows)
    shares = [share_of(every, rank=rank, count=count).tolist() for rank in range(count)]
    real = shares[:rows]  # where there are fewer rows than processes, the last ones have none of their own
    assert sorted(row for share in real for row in share) == every.tolist()
    assert max(map(len, real)) - min(map(len, real)) <= 1
    assert shares[rows:] == [[100]] * (count - len(real))


def test_the_rows_of_a_process_are_as_long_as_those_of_the_others():
    """Rows come sorted by length: blocks of them would let all wait for the one with the longest."""
    assert [share_of(np.arange(7), rank=rank, count=3).tolist() for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]


def test_one_process_has_everything_in_its_order():
    assert share_of(np.array([5, 3, 9]), rank=0, count=1).tolist() == [5, 3, 9]


def test_a_process_without_a_row_gets_the_first_one_to_keep_step():
    assert [share_of(np.array([8, 6]), rank=rank, count=4).tolist() for rank in range(4)] == [[8], [6], [8], [8]]

"""Replicates of means, and the files that keep them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safetensors.numpy import load_file

from babelpress.evaluation.intervals.bootstrap import ScoreStatistic, mean_of
from babelpress.evaluation.intervals.replicates import (
    Replicates,
    Row,
    agree,
    find_replicates,
    interval_of,
    make_row,
    mean_values,
    paired_difference,
    paired_share,
    read_rows,
    rows_path,
    write_rows,
)
from babelpress.schema.results import Score

LINE = np.linspace(0.4, 0.6, 1000).astype(np.float32)
ROWS = {
    ("dev", "en"): Row(0.5, LINE), ("test", "en"): Row(0.6, LINE + np.float32(0.1)), ("dev", "de"): Row(0.3, LINE),
    ("test", "de"): Row(0.3, None),
}  # fmt: skip


def test_a_subset_is_the_mean_of_its_splits_in_percent_and_none_where_one_has_none():
    found = Replicates.of(ROWS)
    assert list(found.subsets) == ["en"]
    assert found.subsets["en"] == pytest.approx(100 * (LINE + 0.05), abs=1e-4)


def test_a_mean_over_a_subset_without_replicates_has_none():
    found = Replicates.of(ROWS)
    assert found.over(["en", "de"]) is None
    assert found.over(["en"]) is not None
    assert found.over(["ko"]) is None


def test_replicates_of_a_mean_are_means():
    assert mean_values([np.array([1.0, 2.0]), np.array([3.0, 6.0])]).tolist() == [2.0, 4.0]
    assert mean_values([np.array([1.0]), None]) is None
    assert mean_values([]) is None


def test_a_score_without_subsets_is_kept_under_no_name():
    assert Replicates.of({("test", ""): Row(0.5, LINE)}).over(()) == pytest.approx(100 * LINE)


def test_intervals_of_scores_differences_and_shares():
    own, other = np.arange(1001.0), np.arange(1001.0) / 2 + 10
    assert interval_of(own) == (25.0, 975.0)
    assert paired_difference(own, other) == (25 / 2 - 10, 975 / 2 - 10)
    assert paired_share(own + 10, np.full(1001, 10.0)) == (3.5, 98.5)
    assert (interval_of(None), paired_difference(own, None), paired_share(None, other)) == (None, None, None)


def test_a_share_of_what_may_be_nothing_has_no_interval():
    assert paired_share(np.ones(3), np.array([1.0, 0.0, 2.0])) is None


def test_another_score_than_the_sentences_give_has_no_replicates():
    sampled = ScoreStatistic(mean_of([1, 0, 1, 0]), 4)
    assert make_row(sampled, 0.5 + 4e-7, seed=("t", "test")).replicates is not None
    assert make_row(sampled, 0.51, seed=("t", "test")) == Row(0.51, None)
    assert make_row(sampled, math.nan, seed=("t", "test")).replicates is None


def test_a_score_that_is_no_number_agrees_with_itself():
    assert agree(math.nan, math.nan)
    assert not agree(math.nan, 0.5)


# --- files --------------------------------------------------------------------------------------


def test_rows_come_back_as_they_were_written(tmp_path):
    path = rows_path(tmp_path, model_id="babelpress/me", weights_hash="abc", task="bundled bitext retrieval")
    write_rows(path, ROWS)
    assert path == tmp_path / "bootstrap" / "babelpress__me" / "abc" / "bundled_bitext_retrieval.safetensors"
    found = read_rows(path)
    assert {place: row.score for place, row in found.items()} == {place: row.score for place, row in ROWS.items()}
    assert np.array_equal(found["test", "en"].replicates, ROWS["test", "en"].replicates)
    assert found["test", "de"].replicates is None
    assert [tensor.dtype for tensor in load_file(path).values()] == [np.float32] * 3
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_rows_without_any_replicates_are_remembered_as_well(tmp_path):
    write_rows(tmp_path / "a", {("test", "default"): Row(0.25, None)})
    assert read_rows(tmp_path / "a") == {("test", "default"): Row(0.25, None)}


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 50, b"{}"])
def test_a_missing_or_damaged_file_holds_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    assert read_rows(tmp_path / "a") == {}


def test_a_safetensors_file_of_another_kind_holds_nothing(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": LINE}, tmp_path / "a")
    assert read_rows(tmp_path / "a") == {}


@pytest.mark.parametrize(
    ("score", "found"),
    [
        (Score(kind="STS", score=42.5, subsets={"en": 55.0, "de": 30.0}), True),
        (Score(kind="STS", score=42.5, subsets={"en": 55.0, "de": 31.0}), False),
        (Score(kind="STS", score=55.0, subsets={"en": 55.0}), False),
    ],
)
def test_only_replicates_of_the_very_scores_are_a_runs(tmp_path, score, found):
    write_rows(rows_path(tmp_path, model_id="babelpress/me", weights_hash="abc", task="T"), ROWS)
    assert list(find_replicates(tmp_path, "babelpress/me", {"T": score})) == (["T"] if found else [])
    assert find_replicates(tmp_path, "babelpress/other", {"T": score}) == {}

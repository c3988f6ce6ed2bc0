"""Measures without data sets, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from babelpress.evaluation.fidelity.intrinsic import (
    bitext_hits,
    fidelity,
    normalised,
    similarity_correlation,
)


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def accuracy(embeddings: dict[str, np.ndarray]) -> float:
    return float(np.mean(list(bitext_hits(embeddings).values())))


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_fidelity_is_the_mean_cosine_of_equal_rows():
    # cosines: 1 and (0*3 + 2*4) / (2 * 5) = 0.8; the 5th percentile lies 5 % of the way from 0.8 to 1
    found = fidelity(rows((1, 0), (0, 2)), rows((1, 0), (3, 4)))
    assert found.mean == pytest.approx(0.9)
    assert found.p5 == pytest.approx(0.81)
    assert found.sentences == 2


def test_fidelity_of_an_embedding_of_zeros_is_a_number():
    assert fidelity(rows((0, 0)), rows((1, 0))).mean == 0.0


def test_fidelity_is_blind_to_length():
    assert fidelity(rows((5, 0), (0, 0.1)), rows((1, 0), (0, 7))).mean == pytest.approx(1.0)


def test_bitext_finds_every_translation_where_languages_share_a_space():
    assert accuracy({"en": at(0, 90, 180), "ko": at(5, 95, 185)}) == 1.0


def test_bitext_finds_none_where_rows_are_swapped():
    assert accuracy({"en": at(0, 90), "ko": at(90, 0)}) == 0.0


def test_bitext_counts_both_directions():
    # ko holds (1, 0) and a vector 6 degrees off it. From en: both right. From ko: the second finds en's first.
    assert accuracy({"en": at(0, 90), "ko": at(0, 6)}) == pytest.approx((1.0 + 0.5) / 2)


def test_bitext_is_the_mean_over_all_pairs_of_languages():
    # en-de right, en-ko and de-ko swapped
    assert accuracy({"en": at(0, 90), "de": at(0, 90), "ko": at(90, 0)}) == pytest.approx(1 / 3)


def test_the_hits_of_each_meaning_are_by_pair_of_languages_and_over_both_ways():
    # the first meaning is right both ways; the second from en, and from ko it finds en's first
    found = bitext_hits({"ko": at(0, 6), "en": at(0, 90), "de": at(90, 0)})
    assert {pair: hits.tolist() for pair, hits in found.items()} == {
        "de-en": [0.0, 0.0],
        "de-ko": [0.0, 0.5],
        "en-ko": [1.0, 0.5],
    }


def test_bitext_of_a_collapsed_model_is_chance():
    assert accuracy({"en": rows(*[(1, 0)] * 4), "ko": rows(*[(1, 0)] * 4)}) == 0.25


def test_similarity_is_1_for_the_teacher_itself():
    assert similarity_correlation(at(0, 10, 35, 80), at(0, 10, 35, 80)) == pytest.approx(1.0)


def test_similarity_is_spearmans_rank_correlation_of_pairs():
    # angles between pairs 01, 02, 12: (10, 30, 20) and (30, 40, 10): ranks differ by 1, 0, 1
    # rho = 1 - 6 * (1 + 0 + 1) / (3 * (9 - 1)) = 0.5
    assert similarity_correlation(at(0, 10, 30), at(0, 30, 40)) == pytest.approx(0.5)


def test_similarity_of_a_collapsed_model_is_0_and_not_nan():
    assert similarity_correlation(rows(*[(1, 0)] * 3), at(0, 30, 40)) == 0.0


def test_normalising_leaves_the_input_alone():
    given = rows((3, 4))
    assert np.allclose(normalised(given), [[0.6, 0.8]])
    assert given.tolist() == [[3, 4]]

"""The numbers behind the picture, against ranks by hand and models whose answer is known."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.bundled import score_bitext
from babelpress.evaluation.fidelity.intrinsic import normalised
from babelpress.evaluation.fidelity.parallel import (
    alignment,
    measure_parallel,
    probe_languages,
    ranks_of_translations,
    uniformity,
)


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def cloud(sentences: int, dimensions: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((sentences, dimensions)).astype(np.float32)


def same(languages: str, vectors: np.ndarray) -> dict[str, np.ndarray]:
    return dict.fromkeys(languages, vectors)


# --- ranks --------------------------------------------------------------------------------------


def test_a_translations_rank_is_its_place_among_the_other_languages_sentences():
    # to 0 degrees: 50, 10, 90, so the translation (50) is second; to 60: 10, 70, 30, so it (10 degrees) is third;
    # to 90: 40, 80, 0, so it is first
    ranks, hits = ranks_of_translations(at(0, 60, 90), at(50, -10, 90))
    assert ranks.tolist() == [2, 3, 1]
    assert hits.tolist() == [0, 0, 1]


def test_a_rank_is_the_querys_not_the_others():
    ranks, hits = ranks_of_translations(at(50, -10, 90), at(0, 60, 90))
    # to 50 degrees: 50, 10, 40; to -10: 10, 70, 100; to 90: 90, 30, 0
    assert ranks.tolist() == [3, 2, 1]
    assert hits.tolist() == [0, 0, 1]


def test_others_as_near_as_the_translation_count_half_a_place():
    # to 0 degrees both 20 and -20 are 20 away, 5 is nearer; to 90: 20 is 70 away, -20 is 110, 5 is 85
    ranks, hits = ranks_of_translations(at(0, 90, 0), at(20, -20, 5))
    assert ranks.tolist() == [2.5, 3, 1]
    assert hits.tolist() == [0, 0, 1]


def test_a_shared_first_place_is_half_a_hit():
    ranks, hits = ranks_of_translations(at(0, 90, 45), at(20, -20, 60))
    assert (ranks[0], hits[0]) == (1.5, 0.5)


def test_a_difference_that_fp32_cannot_tell_is_none():
    near = cloud(4, 384)[:1] + 1e-8 * cloud(4, 384, seed=1)
    found = measure_parallel({"en": near, "ko": near[::-1].copy()})
    assert (found.accuracy, found.mean_rank) == (0.25, 2.5)


def test_accuracy_is_that_of_bitext_retrieval_where_nothing_is_equal():
    meanings = cloud(30)
    vectors = {code: meanings + 0.7 * cloud(30, seed=seed) for seed, code in enumerate("abcd", 1)}
    found = measure_parallel(vectors)
    assert 0.2 < found.accuracy < 0.95
    assert 100 * found.accuracy == pytest.approx(score_bitext(vectors)[0].score, abs=1e-4)


def test_the_mean_rank_is_over_all_ordered_pairs_of_languages():
    vectors = {code: cloud(7, seed=seed) for seed, code in enumerate("abc")}
    ranks = []
    for query, other in itertools.permutations(vectors, 2):
        for row in range(7):
            scores = [
                vectors[query][row] @ one / np.linalg.norm(vectors[query][row]) / np.linalg.norm(one)
                for one in vectors[other]
            ]
            ranks.append(1 + sum(score > scores[row] for score in scores))
    assert measure_parallel(vectors).mean_rank == pytest.approx(np.mean(ranks))


# --- models whose answer is known ---------------------------------------------------------------


def test_a_model_blind_to_language_finds_everything_and_its_probe_guesses():
    found = measure_parallel(same("abcd", cloud(20)))
    assert (found.languages, found.sentences) == (4, 20)
    assert (found.accuracy, found.mean_rank) == (1, 1)
    assert found.language_chance == 0.25
    assert found.language_probe == pytest.approx(0.25)
    assert found.alignment == 0


def test_languages_that_lie_apart_are_told_by_the_probe():
    meanings = 0.1 * cloud(20, 8)
    vectors = {code: meanings + np.eye(8, dtype=np.float32)[number] for number, code in enumerate("abcd")}
    found = measure_parallel(vectors)
    assert found.language_probe == 1
    assert found.language_chance == 0.25


def test_a_collapsed_model_has_the_figures_of_guessing():
    found = measure_parallel(same("abcd", np.tile(cloud(1), (9, 1))))
    assert found.accuracy == pytest.approx(1 / 9)
    assert found.mean_rank == 5  # (1 + 9) / 2
    assert found.language_probe == pytest.approx(0.25)
    assert found.alignment == 0
    assert found.uniformity == pytest.approx(0)


def test_a_model_of_zeros_is_collapsed_and_gives_no_nan():
    found = measure_parallel(same("ab", np.zeros((5, 4), np.float32)))
    assert found.accuracy == pytest.approx(0.2)
    assert all(math.isfinite(value) for value in found.model_dump().values())


def test_lengths_of_embeddings_do_not_matter():
    vectors = {code: cloud(10, seed=seed) for seed, code in enumerate("abc")}
    longer = {code: (3 + number) * values for number, (code, values) in enumerate(vectors.items())}
    assert measure_parallel(longer).model_dump() == pytest.approx(measure_parallel(vectors).model_dump())


# --- the probe ----------------------------------------------------------------------------------


def test_the_probe_never_learns_from_translations_of_what_it_is_tested_on(monkeypatch):
    """Where it did, it would tell languages by sentences that it knows, and every model would look worse."""
    from sklearn import model_selection

    seen = []

    def cross_val_score(probe, features, languages, *, groups, cv):
        seen.extend((set(groups[learn]), set(groups[test])) for learn, test in cv.split(features, languages, groups))
        return np.ones(1)

    monkeypatch.setattr(model_selection, "cross_val_score", cross_val_score)
    probe_languages({code: normalised(cloud(10, seed=seed)) for seed, code in enumerate("abc")})
    assert len(seen) == 5
    assert all(not learned & tested for learned, tested in seen)
    assert sorted(meaning for _, tested in seen for meaning in tested) == list(range(10))


def test_the_probe_is_the_same_for_a_seed_and_converges():
    vectors = {code: normalised(cloud(40, 32, seed=seed) + 0.2 * seed) for seed, code in enumerate("abcdef")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = probe_languages(vectors, seed=3), probe_languages(vectors, seed=3)
    assert one == two
    assert 1 / 6 < one < 1


def test_the_probe_sees_a_language_in_a_narrow_cone():
    """Embeddings of some models have cosines of 0.8 to 1 to each other; that must not hide the language."""
    shared = 10 * np.ones(16, np.float32)
    vectors = {code: shared + 0.2 * cloud(30, 16, seed=seed) for seed, code in enumerate("ab")}
    vectors["b"] = vectors["b"] + 0.5 * np.eye(16, dtype=np.float32)[0]
    assert measure_parallel(vectors).language_probe > 0.8


# --- alignment and uniformity -------------------------------------------------------------------


def test_alignment_is_the_mean_squared_distance_of_translations():
    # squared distance at an angle a: 2 - 2 cos a. Pairs ab: 60, 90; ac: 0, 180; bc: 60, 90
    rows = {"a": at(0, 0), "b": at(60, 90), "c": at(0, 180)}
    assert alignment(rows) == pytest.approx((1 + 2 + 0 + 4 + 1 + 2) / 6)


def test_uniformity_is_over_pairs_of_different_meanings_in_any_languages():
    # a: 0, 90 (distance² 2). b: 0, 180 (4). Across: 0 to 180 (4), 90 to 0 (2); translations are left out
    rows = {"a": at(0, 90), "b": at(0, 180)}
    weights = [math.exp(-4), math.exp(-8), math.exp(-8), math.exp(-4)]
    assert uniformity(rows) == pytest.approx(math.log(sum(weights) / 4))


def test_uniformity_is_that_of_one_language_where_all_are_the_same():
    rows = normalised(cloud(12))
    pairs = [math.exp(-2 * ((one - other) ** 2).sum()) for one, other in itertools.combinations(rows, 2)]
    assert uniformity(same("abc", rows)) == pytest.approx(math.log(np.mean(pairs)))


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vectors", "part"),
    [
        ({}, "0 parallel sentences in 0 languages; at least 3 in 2 languages are needed"),
        ({"ko": cloud(9)}, "9 parallel sentences in 1 languages"),
        ({"ko": cloud(2), "en": cloud(2)}, "2 parallel sentences in 2 languages"),
        ({"ko": cloud(9), "en": cloud(8)}, r"there are ko \(9, 8\), en \(8, 8\)"),
        ({"ko": cloud(9), "en": cloud(9, 7)}, r"there are ko \(9, 8\), en \(9, 7\)"),
        ({"ko": cloud(9), "en": cloud(9) * np.nan}, "the embeddings of en are not all finite numbers"),
        ({"ko": cloud(9), "en": cloud(9) * np.inf}, "the embeddings of en are not all finite numbers"),
    ],
)
def test_what_says_nothing_is_refused_in_one_line(vectors, part):
    with pytest.raises(EvaluationError, match=part):
        measure_parallel(vectors)


def test_three_sentences_in_two_languages_are_enough():
    found = measure_parallel({"ko": cloud(3), "en": cloud(3, seed=1)})
    assert (found.languages, found.sentences) == (2, 3)

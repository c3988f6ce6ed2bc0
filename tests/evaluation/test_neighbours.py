"""Neighbours by exact search, against points on a circle worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from babelpress.evaluation.fidelity import neighbours
from babelpress.evaluation.fidelity.measures import closeness
from babelpress.evaluation.fidelity.neighbours import cosine_blocks, nearest, shared


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def ring(*, turned: float = 0) -> np.ndarray:
    """24 texts, 15 degrees apart: the ten nearest of each are five on either side."""
    return at(*(15 * np.arange(24) + turned))


def cloud(texts: int, dimensions: int = 16, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((texts, dimensions), dtype=np.float32)


def test_the_nearest_are_those_of_the_smallest_angles_and_never_the_text_itself():
    assert nearest(at(0, 10, 25, 90), at(0, 10, 25, 90), count=2).tolist() == [[1, 2], [0, 2], [0, 1], [1, 2]]


def test_queries_of_one_model_are_looked_for_among_texts_of_another():
    # the first query stands where the third text is; its own row is left out all the same
    assert nearest(at(88, 9, 30, 89), at(0, 10, 25, 90), count=1).tolist() == [[3], [0], [1], [2]]


def test_length_does_not_matter():
    lengths = np.geomspace(0.01, 1000, 24, dtype=np.float32)[:, None]
    assert np.array_equal(nearest(ring(), ring()), nearest(ring() * lengths, ring()))


def test_of_equally_near_texts_the_first_are_taken():
    assert nearest(at(0, 20, -20, 20, -20), at(0, 20, -20, 20, -20), count=2)[0].tolist() == [1, 2]
    same = np.ones((5, 3), dtype=np.float32)
    assert nearest(same, same, count=2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_cosines_that_agree_to_six_decimals_are_equal():
    # cos 1e-4 = 1 - 5e-9: nearer than cos 0.0005 = 1 - 1.25e-7 by less than counts
    small = at(0, np.degrees(0.0005), np.degrees(1e-4), 5)
    assert nearest(small, small, count=1)[0].tolist() == [1]


def test_equal_texts_are_neighbours_like_any_two():
    assert nearest(at(0, 40, 0, 41), at(0, 40, 0, 41), count=1).tolist() == [[2], [3], [0], [1]]


def test_an_embedding_of_zeros_has_neighbours():
    zeros = np.zeros((4, 2), dtype=np.float32)
    assert nearest(zeros, at(0, 1, 2, 3), count=2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_neighbours_are_those_that_scikit_learn_finds():
    points = cloud(300)
    library = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(points)
    expected = np.sort(library.kneighbors(points, return_distance=False)[:, 1:], axis=1)
    assert np.array_equal(nearest(points, points), expected)


@pytest.mark.parametrize("block", [1, 700, 1 << 22])
def test_the_size_of_a_block_changes_nothing(monkeypatch, block):
    points = np.repeat(cloud(50), 3, axis=0)  # ties, too
    expected = nearest(points, points)
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    assert np.array_equal(nearest(points, points), expected)


def test_memory_is_that_of_a_block_and_not_of_all_pairs(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 1 << 14)
    blocks = list(cosine_blocks(cloud(1000, 4), cloud(1000, 4)))
    assert max(cosines.size for _, cosines in blocks) <= 1 << 14
    assert [start for start, _ in blocks] == list(range(0, 1000, 16))
    assert all(cosines.dtype == np.float32 for _, cosines in blocks)


def test_the_share_is_of_true_neighbours_over_all_texts():
    assert shared(np.array([[1, 2], [0, 3]]), np.array([[2, 5], [3, 0]])) == 0.75


# --- closeness ----------------------------------------------------------------------------------


def test_a_model_that_is_its_teacher_is_close_in_every_way():
    found = closeness(ring(), ring())
    assert (found.texts, found.overlap, found.student_queries, found.teacher_queries) == (24, 1, 1, 1)
    assert found.cosine == pytest.approx(1)


def test_a_turned_space_has_the_same_neighbours_and_is_no_drop_in():
    # Turned by six places, text i stands at i + 6: found are i + 2 ... i + 10, of which i + 2 ... i + 5 are true ones,
    # and i + 1 or i + 11, equally far, whichever has the lower row. i + 1 has for i = 0 ... 12 and, as row 0, for 23.
    found = closeness(ring(turned=90), ring())
    assert found.overlap == 1
    assert found.student_queries == pytest.approx((14 * 5 + 10 * 4) / 240)
    # the other way round it is i - 6: true are i - 5 ... i - 2, and i - 1 where its row is lower than that of i - 11,
    # which it is for i = 1 ... 10 alone
    assert found.teacher_queries == pytest.approx((10 * 5 + 14 * 4) / 240)
    assert found.cosine == pytest.approx(0, abs=1e-6)


def test_permuted_dimensions_are_another_space_and_the_same_neighbours():
    points = cloud(400)
    found = closeness(np.roll(points, 1, axis=1), points)
    assert found.overlap == 1
    assert found.student_queries < 0.1
    assert found.teacher_queries < 0.1


def test_permuted_texts_have_neighbours_by_chance():
    points = cloud(1000)
    found = closeness(np.roll(points, 1, axis=0), points)
    # 10 of 999, over 10,000 places
    assert found.overlap == pytest.approx(10 / 999, abs=0.005)


def test_the_two_ways_of_dropping_in_are_those_of_sets_made_one_by_one():
    teacher, student = cloud(60), cloud(60) + 0.8 * cloud(60, seed=1)

    def ten(queries, index, row):
        angles = [float(np.dot(queries[row], other) / np.linalg.norm(other)) for other in index]
        return set(sorted((place for place in range(60) if place != row), key=lambda place: -angles[place])[:10])

    truth = [ten(teacher, teacher, row) for row in range(60)]
    found = closeness(student, teacher)
    pairs = {
        "overlap": (student, student),
        "student_queries": (student, teacher),
        "teacher_queries": (teacher, student),
    }
    for name, (queries, index) in pairs.items():
        expected = np.mean([len(ten(queries, index, row) & truth[row]) / 10 for row in range(60)])
        assert getattr(found, name) == pytest.approx(expected), name
    assert len({found.overlap, found.student_queries, found.teacher_queries}) == 3


def test_fewer_than_20_texts_have_no_figures_of_neighbours():
    few = closeness(ring()[:19], ring()[:19])
    assert (few.texts, few.overlap, few.student_queries, few.teacher_queries) == (19, None, None, None)
    assert few.cosine == pytest.approx(1)
    assert closeness(ring()[:20], ring()[:20]).overlap == 1

"""Kept rows moved towards those of dropped pieces, against hand-computed and directly solved least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from babelpress import load_run
from babelpress.architectures.bert import FAMILY
from babelpress.recipe import VocabularyMethod
from babelpress.stages.pipeline import bring_up
from babelpress.student import rows as module
from babelpress.student.rows import Spelling, fitted_rows
from babelpress.utils.files import read_json
from babelpress.vocabulary.choose import plan_vocabulary, spell_dropped
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES
from tests.distillation import write_recipe
from tests.families import tokenizer_config_of
from tests.tiny import make_teacher
from tests.vocabulary import counts_of, small_file, tokenizer_of

WORD_EMBEDDINGS = FAMILY.embeddings


def spelling(*pieces: tuple[float, list[int]], own: list[float]) -> Spelling:
    """Dropped pieces 100, 101, ...: their weights and the rows that spell them."""
    parts = [part for _, each in pieces for part in each]
    starts = np.cumsum([0, *(len(each) for _, each in pieces)])
    weights = np.array([weight for weight, _ in pieces])
    return Spelling(np.arange(100, 100 + len(pieces)), np.array(parts, dtype=np.int64), starts, weights, np.array(own))


def fitted(rows: np.ndarray, spelled: Spelling, targets: np.ndarray) -> np.ndarray:
    return fitted_rows(rows, spelled, lambda ids: targets[ids - 100])


# --- by hand --------------------------------------------------------------------------------------


def test_one_row_stands_between_its_own_place_and_the_dropped_one_by_hand(monkeypatch):
    # minimise 3 (x - 8)^2 + (1 + 0.5 x 3) x^2: x = 3 x 8 / (3 + 1 + 1.5)
    monkeypatch.setattr(module, "_HOLD", 0.5)
    found = fitted(np.zeros((1, 1), np.float32), spelling((3.0, [0]), own=[1.0]), np.array([[8.0]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[24 / 5.5]], rtol=1e-6)


def test_two_rows_share_the_way_by_hand(monkeypatch):
    # the mean of both should be 6; equal rows move alike by d: 2 (d - 6)^2 + 2 x 1 d^2 without hold, d = 3
    monkeypatch.setattr(module, "_HOLD", 0.0)
    found = fitted(np.zeros((2, 1), np.float32), spelling((2.0, [0, 1]), own=[1.0, 1.0]), np.array([[6.0]], np.float32))
    np.testing.assert_allclose(found, [[3.0], [3.0]], rtol=1e-6)


def test_bytes_have_their_share_of_a_mean_and_do_not_move():
    # of three parts two are bytes: the row counts a third, of a target that it can hardly reach
    one = fitted(np.zeros((1, 1), np.float32), spelling((3.0, [0, -1, -1]), own=[0.0]), np.array([[1.0]], np.float32))
    # weight 3, a = 1/3: x = 3 a / (3 a a + 0.3 x 3 a), a + 0.3 below
    np.testing.assert_allclose(one, [[1 / (1 / 3 + 0.3)]], rtol=1e-6)


def test_rows_that_spell_no_dropped_piece_stay_to_the_bit():
    rows = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    targets = np.ones((2, 8), np.float32)
    found = fitted(rows, spelling((3.0, [0, 2]), (1.0, [2, -1]), own=[1.0, 0.0, 2.0, 5.0]), targets)
    np.testing.assert_array_equal(found[[1, 3]], rows[[1, 3]])
    assert (found[[0, 2]] != rows[[0, 2]]).any(axis=1).all()


@pytest.mark.parametrize("pieces", [[], [(2.0, [-1, -1])]])
def test_nothing_to_fit_to_changes_nothing(pieces):
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    found = fitted(rows, spelling(*pieces, own=[1.0, 0.0, 2.0]), np.ones((len(pieces), 4), np.float32))
    np.testing.assert_array_equal(found, rows)


# --- against a direct solution ----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.floats(0.01, 10), st.lists(st.integers(-1, 5), min_size=1, max_size=5)), min_size=1, max_size=12
    ),
    own=st.lists(st.floats(0, 10), min_size=6, max_size=6),
    chunk=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_the_rows_are_the_least_squares_solution(pieces, own, chunk, seed):
    draw = np.random.default_rng(seed)
    rows, targets = (draw.standard_normal((count, 3)).astype(np.float32) for count in (6, len(pieces)))
    means = np.zeros((len(pieces), 6))
    for number, (_, parts) in enumerate(pieces):
        for part in parts:
            if part >= 0:
                means[number, part] += 1 / len(parts)
    weights = np.diag([weight for weight, _ in pieces])
    moved = means.sum(axis=0) > 0
    hold = np.array(own) + module._HOLD * (weights @ means).sum(axis=0)
    left = (means.T @ weights @ means + np.diag(hold))[np.ix_(moved, moved)]
    right = (means.T @ weights @ (targets - means @ rows))[moved]
    expected = rows.astype(np.float64)
    if moved.any():
        expected[moved] += np.linalg.solve(left, right)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        found = fitted(rows, spelling(*pieces, own=own), targets)
    np.testing.assert_allclose(found, expected, atol=2e-3)


# --- how dropped pieces are spelled -----------------------------------------------------------------


def test_the_spelling_of_dropped_pieces_by_hand():
    # kept: specials, ▁ 4, a 5, c 9, <mask>; student ids 4, 5, 6, 7. "▁ab" 7 (6 of 10) is ▁ a and a byte, "▁c" 10
    # (1 of 10) ▁ c, 한 has no piece at all here; a itself occurs 3 times of 10.
    kept = (0, 1, 2, 3, 4, 5, 9, 12)
    plan = VocabularyPlan(kept, BYTE_PIECES, {}, 0, 0, ())
    dropped, parts, starts, weights, own = spell_dropped(
        small_file(), plan, counts_of(en={5: 3, 7: 6, 10: 1}), language_exponent=1.0
    )
    assert (dropped.tolist(), parts.tolist(), starts.tolist()) == ([7, 10], [4, 5, -1, 4, 6], [0, 3, 5])
    np.testing.assert_allclose(weights, [0.6, 0.1])
    assert own.shape == (len(kept) + 256,)
    np.testing.assert_allclose(own[[4, 5, 6]], [0.0, 0.3, 0.0])


def test_a_plan_that_drops_no_counted_piece_spells_nothing():
    counts = counts_of(en={5: 3})
    plan = plan_vocabulary(small_file(), counts, method=VocabularyMethod.SEEN)
    dropped, parts, starts, weights, own = spell_dropped(small_file(), plan, counts, language_exponent=1.0)
    assert (len(dropped), len(parts), starts.tolist(), len(weights), len(own)) == (0, 0, [0], 0, plan.rows)


# --- in a run ---------------------------------------------------------------------------------------


def test_a_recipe_that_asks_for_it_gets_fitted_rows_and_every_other_the_teachers(tmp_path):
    found = {}
    folder = make_teacher(
        tmp_path / "bpe", tokenizer=tokenizer_of("bpe_bytelevel"), tokenizer_config=tokenizer_config_of("bpe_bytelevel")
    )
    recipe = write_recipe(tmp_path, folder)
    for way in ("teacher", "fitted"):
        overrides = [f"student.kept_rows={way}", "vocabulary.size=1200"]
        run = load_run(str(recipe), output=tmp_path / way, overrides=overrides)
        bring_up(run, ["pruned"])
        found[way] = load_file(run.path("pruned") / "model.safetensors")[WORD_EMBEDDINGS]
        plan = read_json(run.path("vocabulary") / "plan.json")
    teacher = load_file(folder / "model.safetensors")[WORD_EMBEDDINGS]
    kept = len(plan["kept"])
    np.testing.assert_array_equal(found["teacher"][:kept], teacher[plan["kept"]])
    assert found["fitted"].shape == found["teacher"].shape
    moved = (found["fitted"][:kept] != found["teacher"][:kept]).any(axis=1)
    assert 20 < moved.sum() < kept
    special = [plan["kept"].index(token["id"]) for token in tokenizer_of("bpe_bytelevel")["added_tokens"]
               if token["special"]]  # fmt: skip
    assert not moved[special].any()  # they spell nothing

"""What the embedding rows of new pieces start from. Every expected row is computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from babelpress.architectures.bert import FAMILY
from babelpress.recipe import NewRows
from babelpress.student.rows import dropped_rows, noise_rows
from babelpress.vocabulary.bytelevel import BYTE_CHARACTERS
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file
from tests.student import press
from tests.tiny import make_teacher, words

WORD_EMBEDDINGS = FAMILY.embeddings

KEPT = np.array([[1.0, -1.0], [3.0, 5.0]], dtype=np.float32)
# é is C3 A9, ê is C3 AA, q is 71
DROPPED = np.array([[8.0, 0.0], [0.0, 4.0], [1.0, 1.0]], dtype=np.float32)
TEXTS = ("é", "ê", "q")
SHARES = (0.5, 0.25, 0.25)


def rows_of(*pieces: str, seed: int = 0) -> np.ndarray:
    return dropped_rows(KEPT, pieces, dropped=DROPPED, texts=TEXTS, shares=SHARES, seed=seed)


# --- noise --------------------------------------------------------------------------------------


def test_noise_rows_lie_near_the_mean_of_the_kept_rows():
    rows = np.random.default_rng(1).normal(5.0, 2.0, (4000, 8)).astype(np.float32)
    made = noise_rows(rows, 3000, seed=0)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.mean(axis=0), rows.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(made.std(axis=0), 0.1 * rows.std(axis=0), rtol=0.1)


def test_noise_rows_follow_the_seed():
    rows = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(noise_rows(rows, 5, seed=3), noise_rows(rows, 5, seed=3))
    assert not np.array_equal(noise_rows(rows, 5, seed=3), noise_rows(rows, 5, seed=4))


def test_no_new_pieces_no_new_rows():
    assert noise_rows(np.eye(4, dtype=np.float32), 0, seed=0).shape == (0, 4)
    assert rows_of().shape == (0, 2)


# --- dropped characters ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (0xC3, (16 / 3, 4 / 3)),  # (0.5 x (8, 0) + 0.25 x (0, 4)) / 0.75
        (0xA9, (8.0, 0.0)),
        (0xAA, (0.0, 4.0)),
        (0x71, (1.0, 1.0)),
    ],
)
def test_a_byte_is_the_mean_of_the_characters_that_it_helps_to_spell(value, row):
    # the same in each way to write a byte: by name, as a stand-in, as one inside a word
    for piece in (f"<0x{value:02X}>", BYTE_CHARACTERS[value], "##" + BYTE_CHARACTERS[value]):
        np.testing.assert_allclose(rows_of(piece), [row], rtol=1e-6)


def test_a_byte_that_stands_twice_in_a_character_counts_twice():
    # ê C3 AA once with share 1; U+00AAAA is EA AA AA: 2 of 3 parts of AA's row are its
    made = dropped_rows(
        KEPT, ("<0xAA>",), dropped=DROPPED[:2], texts=("ê", "\uaaaa"), shares=(0.5, 0.5), seed=0
    )  # fmt: skip
    np.testing.assert_allclose(made, [[8 / 3, 8 / 3]], rtol=1e-6)


def test_a_byte_of_no_dropped_character_starts_from_the_same_noise_as_without_them():
    noise = noise_rows(KEPT, 3, seed=5)
    made = rows_of("<0x00>", "<0x71>", "<0xFF>", seed=5)
    np.testing.assert_array_equal(made[[0, 2]], noise[[0, 2]])
    np.testing.assert_allclose(made[1], [1.0, 1.0])


def test_a_new_piece_that_is_no_byte_starts_from_noise():
    np.testing.assert_array_equal(rows_of("<new>"), noise_rows(KEPT, 1, seed=0))


def test_a_dropped_piece_without_text_changes_nothing():
    made = dropped_rows(
        KEPT, ("<0x71>",), dropped=DROPPED[1:], texts=("", "q"), shares=(0.75, 0.25), seed=0
    )  # fmt: skip
    np.testing.assert_allclose(made, [[1.0, 1.0]])


def test_shares_that_do_not_fit_the_rows_are_no_silent_mistake():
    with pytest.raises(ValueError, match="zip"):
        dropped_rows(KEPT, ("<0x71>",), dropped=DROPPED, texts=TEXTS, shares=(1.0,), seed=0)


# --- in a student -----------------------------------------------------------------------------------


def test_a_students_byte_rows_are_those_of_the_rows_dropped_from_its_own_teacher(tmp_path):
    folder = make_teacher(tmp_path / "teacher", pieces=list(words(3000)))
    file = read_tokenizer_file(folder / "tokenizer.json")
    teacher = load_file(folder / "model.safetensors")[WORD_EMBEDDINGS]
    found = {}
    for way in NewRows:
        plan = press(folder, tmp_path / way, layers=(0,), size=1000, new_rows=way)
        found[way] = load_file(tmp_path / way / "model.safetensors")[WORD_EMBEDDINGS]
        np.testing.assert_array_equal(found[way][: len(plan.kept)], teacher[list(plan.kept)])
    np.testing.assert_array_equal(
        found[NewRows.NOISE][len(plan.kept) :], noise_rows(teacher[list(plan.kept)], 256, seed=0)
    )
    sums, weights = np.zeros((256, 16)), np.zeros(256)
    for number, share in zip(plan.dropped.ids, plan.dropped.shares, strict=True):
        for value in file.pieces[number].encode():
            sums[value] += share * teacher[number]
            weights[value] += share
    some = np.flatnonzero(weights)
    assert len(some) > 60
    made = found[NewRows.DROPPED][len(plan.kept) :]
    np.testing.assert_allclose(made[some], sums[some] / weights[some, None], rtol=1e-5, atol=1e-6)
    none = np.flatnonzero(weights == 0)
    np.testing.assert_array_equal(made[none], found[NewRows.NOISE][len(plan.kept) :][none])

"""Which pieces stay. Every expected id is computed by hand on the vocabulary in `tests/vocabulary/__init__.py`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.errors import PlanError
from babelpress.recipe import VocabularyMethod
from babelpress.schema.objectives import OBJECTIVES
from babelpress.vocabulary.choose import balanced_frequency, plan_vocabulary
from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.plan import DroppedCharacters, LanguageCoverage, VocabularyPlan
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, parse_tokenizer
from tests.tiny import SPECIAL, embedded_tokenizer
from tests.vocabulary import (
    LANGUAGES,
    MASK,
    SMALL,
    counts_of,
    embedded_plan,
    file_of,
    small_file,
    small_json,
)

SPECIAL_IDS = {0, 1, 2, 3, 4, MASK}  # the four, the bare "▁", and <mask>
# Frequency alone, without characters that stay for the sake of bytes.
PLAIN_ORDER = {"objective": "frequency", "character_share": 0.0}


def plan_small(counts: PieceCounts, kept: int, **options) -> VocabularyPlan:
    """A budget of `kept` teacher pieces beside the byte pieces."""
    return plan_vocabulary(small_file(), counts, method=VocabularyMethod.BUDGET, size=kept + 256, **options)


def chosen(counts: PieceCounts, kept: int, **options) -> set[int]:
    """The pieces that fill a budget beyond those that every plan keeps."""
    return set(plan_small(counts, kept, **options).kept) - SPECIAL_IDS


# --- budgets ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    kept=st.integers(6, 13),
    found=st.dictionaries(st.integers(4, 11), st.integers(0, 50)),
    exponent=st.floats(0, 1),
    min_count=st.integers(1, 20),
    objective=st.sampled_from(sorted(OBJECTIVES)),
    share=st.floats(0, 1),
)
def test_a_budget_is_met_to_the_row_whatever_the_counts(kept, found, exponent, min_count, objective, share):
    plan = plan_small(
        counts_of(en=found, ko={5: 1}), kept, language_exponent=exponent, min_count=min_count, objective=objective,
        character_share=share,
    )  # fmt: skip
    assert plan.rows == kept + 256
    assert len(set(plan.kept)) == kept
    assert set(plan.kept) >= SPECIAL_IDS


def test_the_reference_budget_is_met_on_real_pieces():
    assert embedded_plan(15_424).rows == 15_424
    assert len(embedded_plan(15_424).kept) == 15_168


def test_a_budget_below_special_tokens_and_alphabet_says_what_it_needs():
    with pytest.raises(PlanError, match=r"size is 263, but .* \(8\) and byte pieces \(256\) need 264"):
        plan_small(counts_of(en={5: 1}), 7, characters=["a", "b"])


def test_the_smallest_budget_holds_what_must_stay_and_nothing_else():
    plan = plan_small(counts_of(en={7: 100}), 8, characters=["a", "b"])
    assert plan.kept == (0, 1, 2, 3, 4, 5, 6, MASK)


def test_a_budget_larger_than_the_teacher_is_refused_not_cut():
    with pytest.raises(PlanError, match=r"size is 270, but the teacher has 13 pieces and 256 byte pieces"):
        plan_small(counts_of(en={5: 1}), 14)


def test_a_budget_of_the_whole_teacher_keeps_every_id_in_place():
    assert plan_small(counts_of(en={5: 1}), 13).kept == tuple(range(13))


def test_pieces_that_no_text_can_give_are_not_filled_in_but_refused_in_one_line():
    # "ab" costs 20, a + b cost 7: it is never used; 7 pieces can be, and the budget asks for 8
    unreachable = [("▁", -2.0), ("a", -3.0), ("ab", -20.0), ("b", -4.0)]
    counts = counts_of(9, en={5: 1})
    options = {"method": VocabularyMethod.BUDGET}
    assert plan_vocabulary(small_file(unreachable), counts, size=8 + 256, **options).kept == (0, 1, 2, 3, 4, 5, 7, 8)
    with pytest.raises(PlanError, match=r"room is 9, .* no more than 8 pieces; lower vocabulary\.size by 1"):
        plan_vocabulary(small_file(unreachable), counts, size=9 + 256, **options)


def test_a_budget_without_size_is_refused():
    with pytest.raises(PlanError, match=r"needs vocabulary\.size"):
        plan_vocabulary(small_file(), counts_of(en={5: 1}), method=VocabularyMethod.BUDGET, size=None)


def test_a_corpus_without_any_language_is_refused_in_one_line():
    with pytest.raises(PlanError, match="no piece to count"):
        plan_small(PieceCounts({}, {}), 8)


# --- who fills the room -------------------------------------------------------------------------


def test_frequent_pieces_come_before_rare_ones():
    # a 30, "ba" 2, c 1: three places
    assert chosen(counts_of(en={5: 30, 8: 2, 9: 1, 11: 0}), 9, **PLAIN_ORDER) == {5, 8, 9}
    assert chosen(counts_of(en={5: 30, 8: 2, 9: 1, 11: 0}), 8, **PLAIN_ORDER) == {5, 8}


def test_unseen_pieces_fill_the_rest_single_characters_first_then_by_score():
    # only "a" occurs. The five other places: b (-4), c (-7), d (-9) are single, then ▁ab (-5), ba (-6);
    # "▁c" (-8) is left out.
    plan = plan_small(counts_of(en={5: 1}), 12)
    assert set(plan.kept) - SPECIAL_IDS == {5, 6, 9, 11, 7, 8}
    assert plan.unseen == 11  # the six that must stay, and the five


def test_unseen_pieces_of_one_score_fill_by_the_lower_id():
    tied = [("▁", -2.0), ("aa", -5.0), ("bb", -5.0), ("cc", -5.0)]
    plan = plan_vocabulary(small_file(tied), counts_of(9, en={4: 1}), method=VocabularyMethod.BUDGET, size=8 + 256)
    assert plan.kept == (0, 1, 2, 3, 4, 5, 6, 8)


def test_min_count_takes_rare_pieces_for_unseen():
    # "▁c" occurs twice, d once: with min_count 2 only "▁c" counts; a (-3) and b (-4) fill the other two places
    assert chosen(counts_of(en={10: 2, 11: 1}), 9, min_count=2, **PLAIN_ORDER) == {10, 5, 6}


def test_seen_keeps_every_piece_that_occurs_and_no_other():
    plan = plan_vocabulary(small_file(), counts_of(en={7: 1}, ko={9: 3}), method=VocabularyMethod.SEEN)
    assert set(plan.kept) == SPECIAL_IDS | {7, 9}


def test_seen_respects_min_count_over_all_languages_together():
    plan = plan_vocabulary(
        small_file(), counts_of(en={7: 1, 9: 1}, ko={9: 1}), method=VocabularyMethod.SEEN, min_count=2
    )
    assert set(plan.kept) == SPECIAL_IDS | {9}


# --- languages ----------------------------------------------------------------------------------

UNEVEN = counts_of(en={7: 60, 8: 30}, ko={11: 10})  # 90 pieces against 10


@pytest.mark.parametrize(
    ("exponent", "english", "korean"),
    [(1.0, 0.9, 0.1), (0.5, 0.75, 0.25), (0.0, 0.5, 0.5)],  # 0.5: sqrt(0.9) : sqrt(0.1) = 3 : 1
)
def test_the_exponent_weighs_languages_by_their_share(exponent, english, korean):
    frequency = balanced_frequency(UNEVEN, exponent=exponent)
    expected = np.zeros(13)
    expected[7], expected[8], expected[11] = english * 2 / 3, english / 3, korean
    np.testing.assert_allclose(frequency, expected, rtol=1e-12)


def test_a_small_language_wins_its_place_only_with_a_low_exponent():
    # 2 places: en 0.6, 0.3 against ko 0.1; at 0: en 0.33, 0.17 against ko 0.5
    assert chosen(UNEVEN, 8, language_exponent=1.0, **PLAIN_ORDER) == {7, 8}
    assert chosen(UNEVEN, 8, language_exponent=0.0, **PLAIN_ORDER) == {11, 7}


def test_a_language_without_pieces_does_not_divide_by_zero():
    frequency = balanced_frequency(counts_of(en={7: 1}, ko={}), exponent=0.3)
    assert frequency[7] == 1.0
    assert frequency.sum() == 1.0
    assert plan_small(counts_of(en={7: 1}, ko={}), 8).languages["ko"].fertility == 0.0


# --- the alphabet -------------------------------------------------------------------------------


def test_the_alphabet_stays_without_a_single_occurrence():
    plan = plan_small(counts_of(en={7: 1}), 9, characters=["b", "d", "ж"])
    assert {6, 11} <= set(plan.kept)
    assert (plan.alphabet_kept, plan.alphabet_missing) == (2, ("ж",))


def test_a_character_that_only_starts_words_keeps_that_form():
    only_start = [("▁", -2.0), ("a", -3.0), ("▁q", -4.0)]
    plan = plan_vocabulary(
        small_file(only_start), counts_of(8, en={5: 9}), method=VocabularyMethod.BUDGET, size=7 + 256, characters=["q"]
    )
    assert 6 in plan.kept
    assert plan.alphabet_missing == ()


def test_no_printable_ascii_character_of_the_teacher_needs_bytes_a6():
    kept = {file_of("embedded").pieces[old] for old in embedded_plan().kept}
    have = {piece for piece, _ in embedded_tokenizer()["model"]["vocab"]}
    forms = [form for code in range(0x21, 0x7F) for form in (chr(code), "▁" + chr(code))]
    assert [form for form in forms if form in have and form not in kept] == []


# --- byte pieces of the teacher's own -------------------------------------------------------------


def with_bytes() -> dict:
    tokenizer = small_json([*SMALL, *((piece, -9.0) for piece in BYTE_PIECES)])
    tokenizer["model"]["byte_fallback"] = True
    return tokenizer


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_a_teachers_own_byte_pieces_all_stay_and_none_is_added_a4(byte_fallback):
    plan = plan_vocabulary(
        parse_tokenizer(with_bytes()), counts_of(269, en={5: 1, 100: 1}), method=VocabularyMethod.SEEN,
        byte_fallback=byte_fallback,
    )  # fmt: skip
    assert set(range(12, 268)) <= set(plan.kept)
    assert plan.new_pieces == ()


def test_without_byte_pieces_the_least_probable_piece_stays_for_the_unknown_score_a3():
    plan = plan_vocabulary(small_file(), counts_of(en={5: 1}), method=VocabularyMethod.SEEN, byte_fallback=False)
    assert set(plan.kept) == SPECIAL_IDS | {5, 11}


# --- figures --------------------------------------------------------------------------------------


def test_coverage_by_hand():
    # kept: specials, ▁, a, b. en: 6 of a, 3 of "▁ab" (dropped: ▁ a b, three tokens each), 1 of d (one byte):
    # 6 + 9 + 1 tokens for 10; one of the 16 is a byte. For fewer bytes, d would have to stay.
    plan = plan_small(counts_of(en={5: 6, 7: 3, 11: 1}), 8, characters=["a", "b"])
    assert plan.languages["en"] == LanguageCoverage(
        sentences=10, tokens_per_sentence=1.0, kept=0.6, fertility=1.6, byte_rate=0.0625, characters_more=1
    )


def test_a_character_of_several_bytes_is_as_many_tokens():
    # 한 is three bytes: 3 tokens for 1, all of them bytes
    plan = plan_vocabulary(
        small_file([("▁", -1.0), ("한", -2.0)]), counts_of(7, ko={5: 4}), method=VocabularyMethod.BUDGET, size=6 + 256
    )
    assert (plan.languages["ko"].fertility, plan.languages["ko"].byte_rate) == (3.0, 1.0)


def test_letters_of_special_tokens_spell_nothing():
    # <unk>, <pad> and <s> hold k, n, d and s, but no text can use them for that
    plan = plan_vocabulary(
        small_file([("▁", -1.0), ("d", -2.0)]), counts_of(7, en={5: 1}), method=VocabularyMethod.BUDGET, size=6 + 256
    )
    assert plan.languages["en"].byte_rate == 1.0


def test_dropped_characters_by_hand():
    # kept: specials, ▁, a. Weights: a 6/10, "ba" 3/10, d 1/10. b stands in "ba" (3), d alone (1), c nowhere:
    # as if once, as often as the rarest. 3 + 1 + 1 = 5.
    plan = plan_small(counts_of(en={5: 6, 8: 3, 11: 1}), 7, **PLAIN_ORDER)
    assert plan.kept == (0, 1, 2, 3, 4, 5, MASK)
    assert plan.dropped == DroppedCharacters((6, 9, 11), (0.6, 0.2, 0.2))


def test_nothing_is_spelled_in_bytes_without_byte_pieces():
    plan = plan_vocabulary(small_file(), counts_of(en={5: 6}), method=VocabularyMethod.SEEN, byte_fallback=False)
    assert plan.dropped == DroppedCharacters()


def test_every_language_of_the_corpus_is_covered_in_the_report():
    plan = embedded_plan()
    assert set(plan.languages) == set(LANGUAGES)
    assert all(0.5 < language.kept <= 1.0 <= language.fertility for language in plan.languages.values())


def test_the_special_tokens_are_the_first_and_the_last_of_the_kept():
    vocabulary = embedded_tokenizer()["model"]["vocab"]
    assert [vocabulary[old][0] for old in embedded_plan().kept[:4]] == SPECIAL
    assert vocabulary[embedded_plan().kept[-1]][0] == "<mask>"

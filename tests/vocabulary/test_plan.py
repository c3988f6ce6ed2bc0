"""Which pieces stay. Every expected id is computed by hand on the vocabulary in `tests/vocabulary/__init__.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.errors import PlanError, TeacherError
from babelpress.recipe import VocabularyMethod
from babelpress.vocabulary.count import PieceCounts, count_pieces, open_tokenizer
from babelpress.vocabulary.plan import (
    BYTE_PIECES,
    VocabularyPlan,
    balanced_frequency,
    coverage,
    plan_vocabulary,
    special_ids,
    unigram_vocabulary,
)
from tests.tiny import SPECIAL, embedded_tokenizer
from tests.vocabulary import (
    LANGUAGES,
    MASK,
    SMALL,
    counts_of,
    embedded_plan,
    small_json,
    teacher_counts,
    teacher_tokenizer,
)

SPECIAL_IDS = {0, 1, 2, 3, 4, MASK}  # the four, the bare "▁", and <mask>


def plan_small(counts: PieceCounts, kept: int, **options) -> VocabularyPlan:
    """A budget of `kept` teacher pieces beside the byte pieces."""
    return plan_vocabulary(small_json(), counts, method=VocabularyMethod.BUDGET, size=kept + 256, **options)


# --- budgets ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    kept=st.integers(6, 13),
    found=st.dictionaries(st.integers(4, 11), st.integers(0, 50)),
    exponent=st.floats(0, 1),
    min_count=st.integers(1, 20),
)
def test_a_budget_is_met_to_the_row_whatever_the_counts(kept, found, exponent, min_count):
    plan = plan_small(counts_of(en=found, ko={5: 1}), kept, language_exponent=exponent, min_count=min_count)
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


def test_a_budget_without_size_is_refused():
    with pytest.raises(PlanError, match=r"needs vocabulary\.size"):
        plan_vocabulary(small_json(), counts_of(en={5: 1}), method=VocabularyMethod.BUDGET, size=None)


def test_a_corpus_without_any_language_is_refused_in_one_line():
    with pytest.raises(PlanError, match="no piece to count"):
        plan_small(PieceCounts({}, {}), 8)


# --- order of ids -------------------------------------------------------------------------------


def test_specials_stay_at_0_to_3_and_mask_is_the_last_kept():
    plan = embedded_plan()
    vocabulary = embedded_tokenizer()["model"]["vocab"]
    assert [vocabulary[old][0] for old in plan.kept[:4]] == SPECIAL
    assert vocabulary[plan.kept[-1]][0] == "<mask>"


def test_kept_pieces_stay_in_the_teachers_order():
    assert list(embedded_plan().kept) == sorted(embedded_plan().kept)


def test_256_byte_pieces_come_last_in_the_order_of_their_values():
    plan = embedded_plan()
    assert len(BYTE_PIECES) == 256
    assert plan.new_pieces == BYTE_PIECES
    assert (plan.new_pieces[0], plan.new_pieces[10], plan.new_pieces[255]) == ("<0x00>", "<0x0A>", "<0xFF>")


def test_the_id_map_leads_from_teacher_to_student():
    assert plan_small(counts_of(en={11: 5}), 7).id_map == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 11: 5, MASK: 6}


# --- who fills the room -------------------------------------------------------------------------


def test_frequent_pieces_come_before_rare_ones():
    # 3 places: a third of them (1) for characters in use, by how often the corpus has them:
    # a 30 + 2 (of "ba"), b 2 (of "ba"), c 1; then "a" is in, and frequency brings 8 ("ba", 2) and 9 (1).
    plan = plan_small(counts_of(en={5: 30, 8: 2, 9: 1}), 9)
    assert set(plan.kept) - SPECIAL_IDS == {5, 8, 9}


def test_characters_in_use_take_a_third_of_the_room_although_only_longer_pieces_occur():
    # only "▁ab" (3) and "ba" (1) occur: a and b are used 4 times each; one place of three is theirs,
    # the tie goes to the lower id (a); the other two go by frequency.
    plan = plan_small(counts_of(en={7: 3, 8: 1}), 9)
    assert set(plan.kept) - SPECIAL_IDS == {5, 7, 8}


def test_unseen_pieces_fill_the_rest_single_characters_first_then_by_score():
    # only "a" occurs. The five other places: b (-4), c (-7), d (-9) are single, then ▁ab (-5), ba (-6);
    # "▁c" (-8) is left out.
    plan = plan_small(counts_of(en={5: 1}), 12)
    assert set(plan.kept) - SPECIAL_IDS == {5, 6, 9, 11, 7, 8}
    assert plan.unseen == 11  # the six that must stay, and the five


def test_unseen_pieces_of_one_score_fill_by_the_lower_id():
    tied = [("▁", -2.0), ("aa", -5.0), ("bb", -5.0), ("cc", -5.0)]
    plan = plan_vocabulary(small_json(tied), counts_of(9, en={4: 1}), method=VocabularyMethod.BUDGET, size=8 + 256)
    assert plan.kept == (0, 1, 2, 3, 4, 5, 6, 8)


def test_the_same_request_gives_the_same_plan():
    embedded_plan.cache_clear()
    first = embedded_plan()
    embedded_plan.cache_clear()
    assert embedded_plan().digest() == first.digest()


def test_min_count_takes_rare_pieces_for_unseen():
    # "▁c" occurs twice, d once: with min_count 2 only "▁c" counts, and of c's place by use (a third of 3 = 1).
    plan = plan_small(counts_of(en={10: 2, 11: 1}), 9, min_count=2)
    assert set(plan.kept) - SPECIAL_IDS == {10, 9, 5}


def test_seen_keeps_every_piece_that_occurs_and_no_other():
    plan = plan_vocabulary(small_json(), counts_of(en={7: 1}, ko={9: 3}), method=VocabularyMethod.SEEN, size=None)
    assert set(plan.kept) == SPECIAL_IDS | {7, 9}


def test_seen_respects_min_count_over_all_languages_together():
    plan = plan_vocabulary(
        small_json(), counts_of(en={7: 1, 9: 1}, ko={9: 1}), method=VocabularyMethod.SEEN, size=None, min_count=2
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
    # 2 places, none by use (2 // 3 = 0): en 0.6, 0.3 against ko 0.1; at 0: en 0.33, 0.17 against ko 0.5
    assert set(plan_small(UNEVEN, 8, language_exponent=1.0).kept) - SPECIAL_IDS == {7, 8}
    assert set(plan_small(UNEVEN, 8, language_exponent=0.0).kept) - SPECIAL_IDS == {11, 7}


def test_a_language_without_pieces_does_not_divide_by_zero():
    frequency = balanced_frequency(counts_of(en={7: 1}, ko={}), exponent=0.3)
    assert frequency[7] == 1.0
    assert frequency.sum() == 1.0


# --- the alphabet -------------------------------------------------------------------------------


def test_the_alphabet_stays_without_a_single_occurrence():
    plan = plan_small(counts_of(en={7: 1}), 9, characters=["b", "d", "ж"])
    assert {6, 11} <= set(plan.kept)
    assert (plan.alphabet_kept, plan.alphabet_missing) == (2, ("ж",))


def test_a_character_that_only_starts_words_keeps_that_form():
    only_start = [("▁", -2.0), ("a", -3.0), ("▁q", -4.0)]
    plan = plan_vocabulary(
        small_json(only_start), counts_of(8, en={5: 9}), method=VocabularyMethod.BUDGET, size=7 + 256, characters=["q"]
    )
    assert 6 in plan.kept
    assert plan.alphabet_missing == ()


def test_no_sixteen_language_character_of_the_teacher_needs_bytes_a6():
    spelled = {embedded_tokenizer()["model"]["vocab"][old][0] for old in embedded_plan().kept}
    have = {piece for piece, _ in embedded_tokenizer()["model"]["vocab"]}
    ascii_printable = [chr(code) for code in range(0x21, 0x7F)]
    assert [character for character in ascii_printable if character in have and character not in spelled] == []


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BPE", "WordPiece", "WordLevel"])
def test_other_tokenizer_kinds_are_refused_by_name(kind):
    with pytest.raises(TeacherError, match=f"a {kind} tokenizer is not supported yet.*supported: Unigram"):
        unigram_vocabulary({"model": {"type": kind, "vocab": {"a": 0}}})


def test_a_tokenizer_without_a_model_is_refused():
    with pytest.raises(TeacherError, match="not supported yet"):
        unigram_vocabulary({"version": "1.0"})


def test_a_doubled_piece_is_refused():
    with pytest.raises(TeacherError, match="lists a piece twice"):
        unigram_vocabulary(small_json([*SMALL, ("a", -3.0)]))


@pytest.mark.parametrize("unk", [None, -1, 13, "3"])
def test_an_unknown_id_that_is_no_piece_is_refused(unk):
    tokenizer = small_json()
    tokenizer["model"]["unk_id"] = unk
    with pytest.raises(TeacherError, match="unk_id"):
        unigram_vocabulary(tokenizer)


def test_added_tokens_behind_the_pieces_are_refused_a9():
    tokenizer = small_json()
    tokenizer["added_tokens"].append({"id": 13, "content": "<lang>"})
    with pytest.raises(TeacherError, match=r"added tokens \[13\] stand behind the model's 13 pieces"):
        special_ids(tokenizer)


def with_bytes() -> dict:
    tokenizer = small_json([*SMALL, *((piece, -9.0) for piece in BYTE_PIECES)])
    tokenizer["model"]["byte_fallback"] = True
    return tokenizer


def test_a_teacher_with_byte_pieces_is_not_given_them_twice():
    with pytest.raises(PlanError, match="already has byte pieces"):
        plan_vocabulary(with_bytes(), counts_of(269, en={5: 1}), method=VocabularyMethod.SEEN, size=None)


def test_a_teachers_own_byte_pieces_all_stay_a4():
    plan = plan_vocabulary(
        with_bytes(), counts_of(269, en={5: 1, 100: 1}), method=VocabularyMethod.SEEN, size=None, byte_fallback=False
    )
    assert set(range(12, 268)) <= set(plan.kept)
    assert plan.new_pieces == ()


def test_without_byte_pieces_the_least_probable_piece_stays_for_the_unknown_score_a3():
    plan = plan_vocabulary(
        small_json(), counts_of(en={5: 1}), method=VocabularyMethod.SEEN, size=None, byte_fallback=False
    )
    assert set(plan.kept) == SPECIAL_IDS | {5, 11}


# --- figures and files --------------------------------------------------------------------------


def test_coverage_by_hand():
    # kept: specials, ▁, a, b. en: 6 of a, 3 of "▁ab" (dropped, but spelled by ▁ a b), 1 of d (bytes).
    counts = counts_of(en={5: 6, 7: 3, 11: 1})
    found = coverage(counts, pieces=[piece for piece, _ in small_json()["model"]["vocab"]], kept=[0, 1, 2, 3, 4, 5, 6])
    assert vars(found["en"]) == {"sentences": 10, "tokens_per_sentence": 1.0, "kept": 0.6, "spelled_in_bytes": 0.1}


def test_letters_of_special_tokens_spell_nothing():
    # <unk>, <pad> and <s> hold k, n, d and s, but no text can use them for that
    counts = counts_of(6, en={5: 1})
    found = coverage(counts, pieces=[*SPECIAL, "▁", "d"], kept=[0, 1, 2, 3, 4])
    assert found["en"].spelled_in_bytes == 1.0


def test_every_language_of_the_corpus_is_covered_in_the_report():
    plan = embedded_plan()
    assert set(plan.languages) == set(LANGUAGES)
    assert all(0.5 < language.kept <= 1.0 for language in plan.languages.values())


def test_a_plan_comes_back_from_its_file(tmp_path: Path):
    plan = plan_small(counts_of(en={5: 6, 7: 3}), 9, characters=["a", "ж"])
    plan.save(tmp_path / "plan.json")
    assert VocabularyPlan.load(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["rows"] == plan.rows


def test_the_digest_follows_the_rows_alone():
    one, other = plan_small(counts_of(en={5: 6}), 9), plan_small(counts_of(en={5: 7}, ko={5: 1}), 9)
    assert one.digest() == other.digest()
    assert one.digest() != plan_small(counts_of(en={5: 6}), 10).digest()


# --- counts -------------------------------------------------------------------------------------


def test_counts_leave_out_special_tokens_and_add_up():
    tokenizer = teacher_tokenizer()
    counts = count_pieces(tokenizer, [(["the house", "집"], ["en", "ko"]), (["the"], ["en"])], ids=32_001)
    expected = tokenizer.encode("the house", add_special_tokens=False).ids
    expected += tokenizer.encode("the", add_special_tokens=False).ids
    np.testing.assert_array_equal(counts.pieces["en"], np.bincount(expected, minlength=32_001))
    assert counts.sentences == {"en": 2, "ko": 1}
    assert counts.total()[[0, 1, 2]].sum() == 0


def test_texts_that_are_no_language_are_not_counted():
    counts = count_pieces(teacher_tokenizer(), [(["the", "of"], ["zxx", "en"])], ids=32_001)
    assert counts.sentences == {"en": 1}


def test_counts_come_back_from_their_file(tmp_path: Path):
    teacher_counts().save(tmp_path / "counts.npz")
    found = PieceCounts.load(tmp_path / "counts.npz")
    assert found.sentences == teacher_counts().sentences
    np.testing.assert_array_equal(found.total(), teacher_counts().total())


def test_baked_truncation_and_padding_do_not_cut_counts_a13(tmp_path: Path):
    baked = json.loads(json.dumps(embedded_tokenizer()))
    baked["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    baked["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(baked), encoding="utf-8")
    text = "one two three four five six seven eight nine"
    assert open_tokenizer(tmp_path / "tokenizer.json").encode(text).ids == teacher_tokenizer().encode(text).ids


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TeacherError, match=r"tokenizer\.json is not a tokenizer"):
        open_tokenizer(tmp_path / "tokenizer.json")

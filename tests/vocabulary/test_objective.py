"""What a budget is spent on: short text, enough characters, every language. Expected ids are computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from babelpress.recipe import VocabularyMethod
from babelpress.schema.objectives import OBJECTIVES
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.lexicons import open_lexicon
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer
from tests.tokenizer_parts import added, assemble, bpe, wordpiece
from tests.vocabulary import MASK, counts_of, small_file

FREQUENCY, FERTILITY = "frequency", "fertility"
SPECIAL_IDS = {0, 1, 2, 3, 4, MASK}


def pieces_of(file: TokenizerFile, plan: VocabularyPlan) -> set[str]:
    """The plain pieces that a plan keeps."""
    return {file.pieces[number] for number in plan.kept if file.plain_ids[number]}


def chosen(file: TokenizerFile, counts: dict[str, int], kept: int, **options) -> set[str]:
    """The plain pieces of a budget of `kept` pieces, without pieces that stay for the sake of bytes."""
    numbers = {file.ids[piece]: times for piece, times in counts.items()}
    plan = plan_vocabulary(
        file, counts_of(len(file.pieces), en=numbers), method=VocabularyMethod.BUDGET,
        size=kept + len(open_lexicon(file).fallback()), **{"character_share": 0.0, **options},
    )  # fmt: skip
    assert len(plan.kept) == kept
    return pieces_of(file, plan)


# --- Unigram ------------------------------------------------------------------------------------

LETTERS = list("abcde")
AB_FAMILY = ["ab", "abc", "abd", "abe", "aba", "abb", "cd", "ce"]


def ab_file() -> TokenizerFile:
    """Letters at -5, longer pieces at -6: each is the best path of its own text, "abc" without itself is ab c."""
    letters = [(letter, -5.0) for letter in LETTERS]
    return small_file([("▁", -1.0), *letters, *((piece, -6.0) for piece in AB_FAMILY)])


def test_a_piece_that_spells_dropped_ones_stays_though_it_is_rare_itself():
    # Two places beyond the letters. By frequency: ce 5, cd 4. Five pieces of ab occur twice each; dropped, each of
    # them takes ab and a letter, so ab is used 3 + 10 times then, and its loss costs 13 tokens, that of cd 4.
    counts = {"ab": 3, **dict.fromkeys(["abc", "abd", "abe", "aba", "abb"], 2), "cd": 4, "ce": 5}
    always = {"▁", *LETTERS}
    kept = 5 + len(always) + 2
    assert chosen(ab_file(), counts, kept, characters=LETTERS, objective=FREQUENCY) == always | {"ce", "cd"}
    assert chosen(ab_file(), counts, kept, characters=LETTERS, objective=FERTILITY) == always | {"ce", "ab"}


def test_a_long_piece_is_worth_more_than_a_short_one_as_frequent():
    # "ab" 3 times: 3 tokens more without it; "abcde" twice: a b c d e, 4 more each, 8
    file = small_file([("▁", -1.0), *((letter, -5.0) for letter in LETTERS), ("ab", -6.0), ("abcde", -7.0)])
    kept = 5 + 6 + 1
    always = {"▁", *LETTERS}
    counts = {"ab": 3, "abcde": 2}
    assert chosen(file, counts, kept, characters=LETTERS, objective=FREQUENCY) == always | {"ab"}
    assert chosen(file, counts, kept, characters=LETTERS, objective=FERTILITY) == always | {"abcde"}


# --- BPE ----------------------------------------------------------------------------------------


def chain_file() -> TokenizerFile:
    """a b c d, ab, abc, abcd one from the other, and cd."""
    ids = {piece: number for number, piece in enumerate(["a", "b", "c", "d", "ab", "abc", "cd", "abcd", "<unk>"])}
    merges = [["a", "b"], ["ab", "c"], ["c", "d"], ["abc", "d"]]
    return parse_tokenizer(assemble(bpe(ids, merges, unk_token="<unk>"), [added("<unk>", 8)]))


CHAIN_LETTERS = {"a", "b", "c", "d"}


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_a_frequent_piece_costs_the_pieces_on_the_way_to_it_a12(objective):
    # abcd needs ab and abc, which text never shows: three rows for one piece.
    options = {"characters": sorted(CHAIN_LETTERS), "objective": objective}
    assert chosen(chain_file(), {"abcd": 10, "cd": 3}, 5 + 3, **options) == CHAIN_LETTERS | {"ab", "abc", "abcd"}


def test_a_frequent_piece_whose_way_does_not_fit_is_left_out_a12():
    # Two rows. By frequency, abcd would need three, so cd is next, and ab fills the last row.
    options = {"characters": sorted(CHAIN_LETTERS)}
    counts = {"abcd": 10, "cd": 3}
    assert chosen(chain_file(), counts, 5 + 2, **options, objective=FREQUENCY) == CHAIN_LETTERS | {"cd", "ab"}
    # For short text: cd (3) is given up first, then abcd (10) for its two parts: abc d.
    assert chosen(chain_file(), counts, 5 + 2, **options, objective=FERTILITY) == CHAIN_LETTERS | {"ab", "abc"}


def test_an_unused_piece_on_the_way_is_dropped_with_what_needs_it():
    # One row: abcd, then abc are given up; ab carries the use of both.
    counts = {"abcd": 10, "cd": 3}
    assert chosen(chain_file(), counts, 5 + 1, characters=sorted(CHAIN_LETTERS)) == CHAIN_LETTERS | {"ab"}


def test_coverage_and_seen_close_the_set_too_a12():
    file = chain_file()
    counts = counts_of(9, en={file.ids["abcd"]: 10, file.ids["cd"]: 1})
    options = {"characters": sorted(CHAIN_LETTERS)}
    plan = plan_vocabulary(file, counts, method=VocabularyMethod.SEEN, **options)
    assert pieces_of(file, plan) == {*CHAIN_LETTERS, "ab", "abc", "abcd", "cd"}
    plan = plan_vocabulary(file, counts, method=VocabularyMethod.COVERAGE, coverage=0.9, **options)
    assert pieces_of(file, plan) == {*CHAIN_LETTERS, "ab", "abc", "abcd"}


# --- WordPiece ----------------------------------------------------------------------------------


def test_a_wordpiece_that_spares_more_tokens_stays_by_hand():
    # One place beyond the letters: pal 5 times, play 4 times. Without pal, p ##a ##l, 10 tokens more; without play,
    # p ##l ##a ##y, 12 more.
    letters = ["p", "l", "a", "y", "##p", "##l", "##a", "##y", "##i", "##n", "##g", "##e", "##d", "##r"]
    words = ["play", "playing", "played", "player", "pal"]
    ids = {piece: number for number, piece in enumerate(["[UNK]", *letters, *words])}
    file = parse_tokenizer(assemble(wordpiece(ids), [added("[UNK]", 0)]))
    counts = {"play": 4, "playing": 1, "played": 1, "player": 1, "pal": 5}
    options = {"characters": [letter[-1] for letter in letters]}
    assert chosen(file, counts, 15 + 1, **options, objective=FREQUENCY) == {*letters, "pal"}
    assert chosen(file, counts, 15 + 1, **options, objective=FERTILITY) == {*letters, "play"}


# --- coverage -----------------------------------------------------------------------------------


def covered(counts: PieceCounts, share: float) -> set[int]:
    plan = plan_vocabulary(small_file(), counts, method=VocabularyMethod.COVERAGE, coverage=share)
    return set(plan.kept) - SPECIAL_IDS


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.5, {5, 7}), (0.6, {5, 7}), (0.61, {5, 6, 7}), (0.9, {5, 6, 7}), (0.91, {5, 6, 7, 8}), (1.0, {5, 6, 7, 8, 11})],
)
def test_coverage_keeps_the_fewest_pieces_per_language_by_hand(share, kept):
    # en: a 6, b 3, ba 1 of ten; ko: "▁ab" 10 and, of 1000, d once: all but the last thousandth is "▁ab"
    assert covered(counts_of(en={5: 6, 6: 3, 8: 1}, ko={7: 999, 11: 1}), share) == kept


def test_none_of_the_covering_pieces_can_be_left_out():
    found = np.array([50, 20, 15, 10, 5])
    counts = counts_of(en=dict(zip(range(5, 10), found.tolist(), strict=True)))
    for share in (0.3, 0.5, 0.51, 0.7, 0.85, 0.95, 0.96):
        kept = covered(counts, share)
        assert sum(found[number - 5] for number in kept) >= share * 100
        assert sum(found[number - 5] for number in kept) - min(found[number - 5] for number in kept) < share * 100


# --- characters ---------------------------------------------------------------------------------

# Letters in them: a and b 990 each, c 6, d 4, of 1000 tokens
BYTES = counts_of(en={7: 980, 8: 10, 9: 6, 11: 4})


def kept_for(rate: float, share: float, counts: PieceCounts = BYTES) -> tuple[set[int], int]:
    """Of four places, the pieces kept by frequency and for a byte rate, and how many characters are missing."""
    plan = plan_vocabulary(
        small_file(), counts, method=VocabularyMethod.BUDGET, size=10 + 256, objective=FREQUENCY, byte_rate=rate,
        character_share=share,
    )  # fmt: skip
    return set(plan.kept) - SPECIAL_IDS, plan.languages["en"].characters_more


def test_characters_stay_until_the_byte_rate_is_met_by_hand():
    # with a, b and c kept, the 4 of d are bytes: 0.4 %
    assert kept_for(0.004, 1.0) == ({5, 6, 9, 7}, 0)
    assert kept_for(0.0039, 1.0) == ({5, 6, 9, 11}, 0)
    # with a and b, 10 are bytes; two places are left for "▁ab" 980 and "ba" 10
    assert kept_for(0.01, 1.0) == ({5, 6, 7, 8}, 0)


def test_characters_more_says_how_many_the_share_of_the_room_left_out():
    # half of four places: a and b; c is wanted, too, but frequency has the rest
    assert kept_for(0.004, 0.5) == ({5, 6, 7, 8}, 1)
    assert kept_for(0.0039, 0.5) == ({5, 6, 7, 8}, 2)
    # a quarter: a or b (990 both; the lower id); without any share, none
    assert kept_for(0.004, 0.25)[0] >= {5, 7, 8}
    assert kept_for(0.004, 0.0) == ({7, 8, 9, 11}, 2)


def test_a_character_of_three_bytes_counts_three_times():
    # 한 twice (6 bytes) comes before d four times (4 bytes)
    file = small_file([("▁", -1.0), ("d", -2.0), ("한", -3.0), ("▁한d", -4.0)])
    counts = counts_of(9, en={5: 4, 6: 2, 7: 0, 4: 94})
    plan = plan_vocabulary(
        file, counts, method=VocabularyMethod.BUDGET, size=7 + 256, objective=FREQUENCY, byte_rate=0.04,
        character_share=1.0,
    )  # fmt: skip
    assert set(plan.kept) - {0, 1, 2, 3, 4, 8} == {6}


# --- languages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_the_objective_weighs_languages_alike(objective):
    # Two places. en: "▁ab" and "ba" 500 each, ko: "▁c" 10. With exponent 0, "▁c" is half of all, the others a quarter
    # each; "▁ab" comes first of those, by its number and because it spares two tokens instead of one.
    counts = counts_of(en={7: 500, 8: 500}, ko={10: 10})
    options = {"method": VocabularyMethod.BUDGET, "size": 8 + 256, "character_share": 0.0, "objective": objective}
    found = {
        exponent: set(plan_vocabulary(small_file(), counts, language_exponent=exponent, **options).kept) - SPECIAL_IDS
        for exponent in (0.0, 1.0)
    }
    assert found == {0.0: {7, 10}, 1.0: {7, 8}}

"""What holds of every family's choice: exact budgets, pieces within reach, short text, no language left behind."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from babelpress.errors import PlanError
from babelpress.recipe import VocabularyMethod
from babelpress.schema.objectives import OBJECTIVES
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.fertility import measure_fertility
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer, student_pieces
from babelpress.vocabulary.tokenizer_file import Family, parse_tokenizer
from tests.families import FAMILIES
from tests.vocabulary import counts_for, file_of, ids_of, meanings, new_pieces, plan_of, student_json

FREQUENCY, FERTILITY = "frequency", "fertility"


def refused(name: str, size: int, pattern: str, **options) -> int:
    """Return the number that a refusal tells."""
    with pytest.raises(PlanError, match=pattern) as caught:
        plan_of(name, size, **options)
    return int(re.search(pattern, str(caught.value))[1])


def most_rows(name: str) -> int:
    """Return the largest budget: all pieces, or what the refusal of those says."""
    every = len(file_of(name).pieces) + new_pieces(name)
    try:
        return plan_of(name, every).rows
    except PlanError as error:
        return every - int(re.search(r"lower vocabulary\.size by (\d+)", str(error))[1])


# --- budgets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_budgets_of_all_sizes_are_met_to_the_row(name, objective):
    least, most = refused(name, 1, r"need (\d+)"), most_rows(name)
    for size in (least, least + 1, least + 7, (2 * least + most) // 3, (least + most) // 2, most - 1, most):
        plan = plan_of(name, size, objective=objective)
        assert plan.rows == size
        assert len(set(plan.kept)) == len(plan.kept)
        assert len(rewrite_tokenizer(file_of(name), plan)["model"]["vocab"]) == size


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_less_than_the_least_and_one_more_than_the_most_are_refused(name):
    least, most = refused(name, 1, r"need (\d+)"), most_rows(name)
    assert refused(name, least - 1, r"need (\d+)") == least
    assert refused(name, most + 1, r"(?:lower vocabulary\.size by |the teacher has )(\d+)") >= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_special_tokens_and_what_the_frame_uses_stay_at_the_least_budget_a9(name):
    file = file_of(name)
    plan = plan_of(name, refused(name, 1, r"need (\d+)"))
    special = {token["id"] for token in file.raw["added_tokens"] if token["special"]}
    assert special | ({file.unk_id} - {None}) | file.named_ids <= set(plan.kept)


# --- reach --------------------------------------------------------------------------------------


def unreached(name: str, plan: VocabularyPlan) -> list[str]:
    """Return the kept pieces of text that the student's model does not make of their own text."""
    file, raw = file_of(name), rewrite_tokenizer(file_of(name), plan)
    pieces = student_pieces(file, plan)
    plain = [pieces[new] for new, old in enumerate(plan.kept) if file.plain_ids[old]]
    suffix = raw["model"].get("end_of_word_suffix") or ""
    inside = load_tokenizer({**raw, "model": {**raw["model"], "end_of_word_suffix": None}}) if suffix else None
    student = load_tokenizer(raw)

    def cut(piece: str) -> list[str]:
        ends = not suffix or piece.endswith(suffix)
        tokenizer = student if ends or inside is None else inside
        return [token.value for token in tokenizer.model.tokenize(piece.removesuffix(suffix) if ends else piece)]

    if file.family is Family.WORDPIECE:  # an inner piece, behind a start that nothing goes on from
        return [piece for piece in plain if not piece.startswith("##") and cut(piece) != [piece]]
    return [piece for piece in plain if cut(piece) != [piece]]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_every_kept_piece_is_within_reach_a12(name, objective):
    least, most = refused(name, 1, r"need (\d+)"), most_rows(name)
    for size in ((3 * least + most) // 4, (least + most) // 2, most):
        assert unreached(name, plan_of(name, size, objective=objective)) == []


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("bpe")])
@pytest.mark.parametrize(
    "options",
    [{"objective": FREQUENCY}, {"objective": FERTILITY}, {"method": VocabularyMethod.SEEN, "min_count": 5},
     {"method": VocabularyMethod.COVERAGE, "coverage": 0.7}],
)  # fmt: skip
def test_every_kept_piece_has_a_merge_of_kept_pieces_a12(name, options):
    file, plan = file_of(name), plan_of(name, **options)
    kept = {file.pieces[number] for number in plan.kept}
    made = {left + right for left, right in file.merges if left in kept and right in kept}
    able = {left + right for left, right in file.merges}
    assert sorted((kept & able) - made) == []


def test_dropping_intermediate_pieces_would_put_others_out_of_reach_a12():
    """The trap is real: the most frequent pieces alone are not closed under merges."""
    file, counts = file_of("bpe_bytelevel"), counts_for("bpe_bytelevel").total()
    single = {number for number, piece in enumerate(file.pieces) if len(piece) == 1}
    often = single | set(np.argsort(-counts, kind="stable")[:600].tolist())
    plan = VocabularyPlan(tuple(sorted(often | file.named_ids)), (), {}, 0, 0, ())
    assert len(unreached("bpe_bytelevel", plan)) > 5


# --- length -------------------------------------------------------------------------------------


def tokens(name: str, plan: VocabularyPlan) -> int:
    """Return how many tokens the student makes of the sentences that were counted."""
    student = parse_tokenizer(rewrite_tokenizer(file_of(name), plan))
    return int(count_pieces(student, meanings()).total().sum())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("share", [0.4])
def test_text_is_not_longer_than_with_the_most_frequent_pieces(name, share):
    least, most = refused(name, 1, r"need (\d+)"), most_rows(name)
    options = {"size": int(least + share * (most - least)), "language_exponent": 1.0, "character_share": 0.0}
    ours, others = (tokens(name, plan_of(name, objective=objective, **options)) for objective in (FERTILITY, FREQUENCY))
    assert ours <= others


@pytest.mark.parametrize("name", FAMILIES)
def test_the_plan_tells_how_long_text_becomes(name):
    """Pieces are recut one by one for the plan, so that it is close to and not quite what text gives.

    It knows nothing of characters that the teacher itself does not know.
    """
    plan = plan_of(name)
    student = parse_tokenizer(rewrite_tokenizer(file_of(name), plan))
    for code, figures in measure_fertility(file_of(name), student, meanings()).items():
        if figures.unknown_to_teacher < 0.002:
            assert plan.languages[code].fertility == pytest.approx(figures.ratio, abs=0.02), code


# --- coverage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_every_language_reaches_its_share(name, share):
    plan = plan_of(name, method=VocabularyMethod.COVERAGE, coverage=share)
    plain = file_of(name).plain_ids
    for code, counts in counts_for(name).pieces.items():
        own = counts * plain
        assert own[list(plan.kept)].sum() >= share * own.sum(), code


# --- languages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["embedded", "unigram_xlmr", "bpe_bytelevel", "bpe_gemma", "wordpiece_bert"])
def test_a_language_with_a_hundredth_of_the_text_is_not_left_behind_at_exponent_0(name):
    pieces, sentences = counts_for(name).pieces, counts_for(name).sentences
    large, small = "de", "pl"
    counts = PieceCounts({large: 100 * pieces[large], small: pieces[small]}, {large: 1, small: 1})
    # room for a third of what the two use
    used = int(((counts.total() > 0) & file_of(name).plain_ids).sum())
    least = refused(name, 1, r"need (\d+)")
    options = {
        "method": VocabularyMethod.BUDGET, "size": least + used // 3, "characters": [chr(c) for c in range(0x21, 0x7F)],
        "character_share": 0.0,
    }  # fmt: skip
    gap = {}
    for exponent in (0.0, 1.0):
        plan = plan_vocabulary(file_of(name), counts, language_exponent=exponent, **options)
        gap[exponent] = plan.languages[small].fertility - plan.languages[large].fertility
    assert abs(gap[0.0]) < 0.1
    assert gap[1.0] > gap[0.0] + 0.1
    assert sentences[small] == sentences[large]


# --- characters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["embedded", "unigram_xlmr", "unigram_gemma", "bpe_gemma", "bpe_suffix"])
def test_a_plan_that_misses_no_character_meets_the_byte_rate_in_every_language(name):
    """Bytes of the teacher's own are not in its hand."""
    plan, counts = plan_of(name, most_rows(name) - 50, byte_rate=0.002, character_share=1.0), counts_for(name)
    for code, language in plan.languages.items():
        own = counts.pieces[code][list(file_of(name).byte_ids)].sum() / counts.pieces[code].sum()
        assert language.characters_more == 0, code
        assert language.byte_rate <= 0.002 + own, code


@pytest.mark.parametrize("name", ["embedded", "unigram_xlmr", "bpe_gemma", "wordpiece_bert"])
def test_more_room_for_characters_means_fewer_missing_ones(name):
    least = refused(name, 1, r"need (\d+)")
    size = (4 * least + most_rows(name)) // 5
    missing = [
        sum(language.characters_more for language in plan_of(name, size, character_share=share).languages.values())
        for share in (0.0, 0.5, 1.0)
    ]
    assert missing == sorted(missing, reverse=True)
    assert missing[0] > missing[-1]


def test_the_student_is_read_by_the_library_in_the_order_of_its_plan():
    for name in FAMILIES:
        tokenizer = Tokenizer.from_str(json.dumps(student_json(name)))
        pieces = student_pieces(file_of(name), plan_of(name))
        assert [tokenizer.id_to_token(number) for number in range(len(pieces))] == pieces
        assert ids_of(tokenizer, ["a"])

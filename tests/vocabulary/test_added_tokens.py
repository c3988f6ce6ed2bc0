"""Added tokens that are no pieces of the teacher's model are none of the student's: their text is text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.recipe import VocabularyMethod
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import count_pieces
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer
from babelpress.vocabulary.tokenizer_file import parse_tokenizer
from tests.vocabulary import meanings
from tests.vocabulary.counting import with_token

NAMES = ["unigram_xlmr", "unigram_mt5", "bpe_roberta", "wordpiece_bert"]
TEXTS = [
    "york",
    "a york b",
    "ayork",
    "yorks",
    "ｙｏｒｋ",
    "york york",
    "York",
    "한국 york",
    "yorkyork",
    "no such thing",
]


def pressed(name):
    """Return a teacher with a token behind its vocabulary that matches whole words alone, and its student."""
    raw = with_token(name, "york", special=False, single_word=True)
    teacher = parse_tokenizer(raw)
    counts = count_pieces(teacher, [*meanings()[:60], (TEXTS, ["en"] * len(TEXTS))])
    plan = plan_vocabulary(teacher, counts, method=VocabularyMethod.SEEN)
    return teacher, load_tokenizer(raw), plan, rewrite_tokenizer(teacher, plan)


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    teacher, library, plan, raw = pressed(request.param)
    return teacher, library, plan, load_tokenizer(raw), parse_tokenizer(raw)


def test_the_token_stands_behind_all_pieces(case):
    teacher, _, plan, _, student = case
    assert (plan.behind, student.ids["york"]) == (1, plan.rows - 1)
    assert plan.id_map[teacher.ids["york"]] == plan.rows - 1
    assert "york" not in dict(student.model["vocab"])
    assert len(student.pieces) == plan.rows


def test_it_is_found_where_the_teacher_finds_it_and_nowhere_else(case):
    teacher, library, plan, own, student = case
    for text in TEXTS:
        theirs = library.encode(text, add_special_tokens=False).ids
        found = own.encode(text, add_special_tokens=False).ids
        assert found.count(student.ids["york"]) == theirs.count(teacher.ids["york"]), text
        if set(theirs) <= set(plan.kept) and teacher.unk_id not in theirs:
            assert found == [plan.id_map[number] for number in theirs], text


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from(["york", "a", " ", "s", "ｙｏｒｋ", "-", "한국"]), max_size=8).map("".join))
def test_whatever_stands_around_it(case, text):
    teacher, library, plan, own, _ = case
    theirs = library.encode(text, add_special_tokens=False).ids
    if set(theirs) <= set(plan.kept) and teacher.unk_id not in theirs:
        assert own.encode(text, add_special_tokens=False).ids == [plan.id_map[number] for number in theirs]


def test_a_saved_tokenizer_keeps_it_there(case):
    own, student = case[3], case[4]
    again = load_tokenizer(json.loads(own.to_str()))
    assert again.encode("a york ayork").ids == own.encode("a york ayork").ids
    assert again.token_to_id("york") == student.ids["york"]


def test_a_plan_with_it_is_read_back(tmp_path):
    plan = pressed("unigram_xlmr")[2]
    plan.save(tmp_path / "plan.json")
    again = VocabularyPlan.load(tmp_path / "plan.json")
    assert (again.behind, again.id_map, again.digest()) == (plan.behind, plan.id_map, plan.digest())


def test_without_byte_fallback_mt5s_own_byte_pieces_are_not_made_one():
    """mT5 has byte pieces that its model does not fall back to."""
    teacher = pressed("unigram_mt5")[0]
    counts = count_pieces(teacher, meanings()[:20])
    plan = plan_vocabulary(teacher, counts, method=VocabularyMethod.SEEN, byte_fallback=False)
    assert not rewrite_tokenizer(teacher, plan)["model"].get("byte_fallback")
    assert not plan.new_pieces

"""Vocabularies of real size: 250,002, 150,006 and 120,000 pieces to the reference's 15,424 rows."""

from __future__ import annotations

import pytest

from tests.families import BIG
from tests.vocabulary import file_of, ids_of, meanings, student_json, student_of, unknown_of, usual_plan
from tests.vocabulary.test_restriction import qualifying
from tests.vocabulary.texts import composed, scalar_values


@pytest.mark.parametrize("name", BIG)
def test_the_reference_budget_is_met_to_the_row(name):
    plan = usual_plan(name)
    assert plan.rows == 15_424
    assert len(student_json(name)["model"]["vocab"]) == 15_424
    assert student_of(name).get_vocab_size() == 15_424
    assert file_of(name).named_ids <= set(plan.kept)


@pytest.mark.parametrize("name", BIG)
def test_text_of_kept_pieces_is_cut_as_the_teacher_cuts_it_a3(name):
    texts = [*composed(name, 600), *(text for texts, _ in meanings()[::6] for text in texts)]
    found = qualifying(name, texts, usual_plan(name))
    assert len(found) > 300
    assert ids_of(student_of(name), [text for text, _ in found]) == [expected for _, expected in found]


@pytest.mark.parametrize("name", BIG)
def test_no_character_is_unknown(name):
    texts = [form.format(character) for form in ("{}", "ab{}cd") for character in scalar_values(997)]
    bad = [text for text, ids in zip(texts, ids_of(student_of(name), texts), strict=True)
           if unknown_of(name) in ids or max(ids, default=0) >= 15_424]  # fmt: skip
    assert bad == []

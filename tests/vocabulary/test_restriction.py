"""Text whose teacher pieces were all kept is cut exactly as the teacher cuts it, in every family (pitfalls A)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from babelpress.recipe import VocabularyMethod
from babelpress.schema.objectives import OBJECTIVES
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer
from babelpress.vocabulary.tokenizer_file import Family
from tests.families import FAMILIES
from tests.vocabulary import counts_for, file_of, ids_of, meanings, plan_of, student_of, teacher_of
from tests.vocabulary.texts import BYTE_NAME, composed, mixed_text

WORDPIECE_LIMIT = 100  # longer words are unknown to the teacher, not to the student


def qualifying(name: str, texts: list[str], plan: VocabularyPlan) -> list[tuple[str, list[int]]]:
    """Return the texts whose teacher pieces are all kept, with the student ids that are then expected.

    Byte names are cut apart on purpose (A2), and the unknown piece is no piece of the text.
    """
    file, teacher = file_of(name), teacher_of(name)
    known = set(plan.kept) - {file.unk_id}
    normal = teacher.normalizer.normalize_str if teacher.normalizer else str
    found = []
    for text, ids in zip(texts, ids_of(teacher, texts), strict=True):
        too_long = file.family is Family.WORDPIECE and max(map(len, text.split()), default=0) > WORDPIECE_LIMIT
        if set(ids) <= known and not too_long and not BYTE_NAME.search(normal(text)):
            found.append((text, [plan.id_map[number] for number in ids]))
    return found


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_text_of_kept_pieces_is_cut_as_the_teacher_cuts_it_a3(name, data):
    texts = data.draw(st.lists(mixed_text(name), min_size=1, max_size=5))
    for text, expected in qualifying(name, texts, plan_of(name)):
        assert ids_of(student_of(name), [text]) == [expected], text


@pytest.mark.parametrize("name", FAMILIES)
def test_most_texts_put_together_of_kept_pieces_qualify(name):
    """Otherwise the test above would hold for want of texts."""
    assert len(qualifying(name, list(composed(name)), plan_of(name))) > 0.4 * len(composed(name))


@pytest.mark.parametrize("name", FAMILIES)
def test_sentences_of_kept_pieces_are_cut_as_the_teacher_cuts_them_a3(name):
    every = [text for texts, _ in meanings() for text in texts]
    found = qualifying(name, every, plan_of(name))
    assert len(found) > 200
    assert ids_of(student_of(name), [text for text, _ in found]) == [expected for _, expected in found]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("objective", list(OBJECTIVES))
@pytest.mark.parametrize("method", [VocabularyMethod.SEEN, VocabularyMethod.COVERAGE])
def test_other_ways_of_choosing_restrict_the_teacher_alike_a3(name, objective, method):
    share = {"coverage": 0.8} if method is VocabularyMethod.COVERAGE else {}
    plan = plan_of(name, method=method, objective=objective, **share)
    student = load_tokenizer(rewrite_tokenizer(file_of(name), plan))
    texts = [text for texts, _ in meanings()[::5] for text in texts] + list(composed(name))
    found = qualifying(name, texts, plan)
    assert len(found) > 100
    assert ids_of(student, [text for text, _ in found]) == [expected for _, expected in found]


@pytest.mark.parametrize("name", FAMILIES)
def test_without_byte_fallback_kept_text_is_cut_as_the_teacher_cuts_it_a3(name):
    options = {"method": VocabularyMethod.SEEN, "min_count": 3, "byte_fallback": False, "characters": None}
    plan = plan_vocabulary(file_of(name), counts_for(name), **options)
    student = load_tokenizer(rewrite_tokenizer(file_of(name), plan))
    found = qualifying(name, [text for texts, _ in meanings()[::2] for text in texts], plan)
    assert len(found) > 150
    assert ids_of(student, [text for text, _ in found]) == [expected for _, expected in found]


@settings(max_examples=100, deadline=None)
@given(text=mixed_text("embedded"))
@example(text="the of and 안녕하세요")
@example(text="a𐎀b 𐎀𐎁 c")
def test_unknown_characters_between_kept_pieces_do_not_change_the_cut_a3(text):
    """Each run of byte pieces folded into one unknown piece, the student's pieces are the teacher's."""
    file, plan = file_of("embedded"), plan_of("embedded")
    if BYTE_NAME.search(teacher_of("embedded").normalizer.normalize_str(text)):
        return
    expected = ids_of(teacher_of("embedded"), [text])[0]
    if not set(expected) <= set(plan.kept):
        return
    folded: list[int] = []
    for number in ids_of(student_of("embedded"), [text])[0]:
        old = plan.kept[number] if number < len(plan.kept) else file.unk_id
        if not (old == file.unk_id and number >= len(plan.kept) and folded[-1:] == [old]):
            folded.append(old)
    assert folded == expected

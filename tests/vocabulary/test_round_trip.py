"""Each character, all white space that a family keeps, and special tokens as plain text come back (pitfalls A5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from babelpress.recipe import SpecialText
from tests.families import FAMILIES
from tests.vocabulary import file_of, ids_of, student_of, teacher_of
from tests.vocabulary.texts import scalar_values

EVERY = ["embedded", *FAMILIES]
JOINED = ("embedded", "unigram_xlmr", "unigram_mt5")  # WhitespaceSplit and Metaspace: words, one space between
SPACED = ("unigram_gemma", "bpe_gemma", "bpe_bytelevel", "bpe_roberta")  # every space is kept
BARE = ("wordpiece_bert", "bpe_suffix")  # where a space was is not known


def normal_of(name: str, text: str) -> str:
    """The text as the teacher's model would see it, `▁` for a space taken back."""
    normalizer = teacher_of(name).normalizer
    normal = normalizer.normalize_str(text) if normalizer else text
    return normal if name not in ("unigram_gemma", "bpe_gemma") else normal.replace("▁", " ")


def by_rule(name: str, text: str) -> str:
    """A text without the white space that the family does not keep."""
    if name in SPACED:
        return text
    return (" " if name in JOINED else "").join(text.split())


def is_special(name: str, text: str) -> bool:
    """Tell whether a text spells what stands for something else: `▁`, or a special token."""
    texts = (text, normal_of(name, text))
    return "▁" in text or any(token in part for token in file_of(name).added for part in texts)


def decoded(name: str, texts: list[str], **options: Any) -> list[str]:
    student = student_of(name, **options)
    return [student.decode(ids) for ids in ids_of(student, texts)]


def check(name: str, texts: list[str], **options: Any) -> None:
    for text, found in zip(texts, decoded(name, texts, **options), strict=True):
        # BARE decoders put spaces in, and WordPiece's tidies them
        got = by_rule(name, found) if name in BARE else found
        assert got == by_rule(name, normal_of(name, text)), text


def test_every_family_has_a_rule():
    assert {*JOINED, *SPACED, *BARE} == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("form", ["{}", "ab{}cd", "a {} b"])
def test_every_sampled_character_comes_back_a5(name, form):
    texts = [form.format(character) for character in scalar_values(197)[::3]]
    check(name, [text for text in texts if not is_special(name, text)])


@pytest.mark.parametrize("name", SPACED)
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from(" \t\n\r\u00a0\u3000\u2028ab.가"), max_size=20))
@example(text="   ")
@example(text=" a")
@example(text="a  b \n\n\n c ")
def test_white_space_comes_back_as_it_was(name, text):
    check(name, [text])


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_special_tokens_that_are_plain_text_come_back(name, data):
    part = st.sampled_from([*file_of(name).added, "a", " ", "가", "𐎀", "<", ">"])
    check(name, [data.draw(st.lists(part, max_size=8).map("".join))], special_text=SpecialText.PLAIN)

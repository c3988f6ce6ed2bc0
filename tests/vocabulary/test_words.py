"""The kernel's distinct words are those that Python's own `split` finds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.vocabulary.words import LETTER, LONG_LETTER, MARK, OTHER, distinct_words

KINDS = np.full(0x10000, OTHER, dtype=np.uint8)
KINDS[[ord(each) for each in "ab"]] = LETTER
KINDS[ord("ก")] = LONG_LETTER
KINDS[ord("ั")] = MARK
TEXTS = st.text(st.sampled_from("ab กั\n-😵\U0010ffff"), max_size=40)


def words_of(text: str, *, keep_space: bool) -> tuple[Counter[str], dict[str, bool]]:
    """Return how often each word stands, and which are plain."""
    text = "\n" + text
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.int32)
    begins, ends, times, plain = distinct_words(points, keep_space, KINDS)
    words = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
    assert len(set(words)) == len(words)
    return Counter(dict(zip(words, times.tolist(), strict=True))), dict(zip(words, plain.tolist(), strict=True))


@settings(deadline=None)
@given(text=TEXTS)
def test_words_between_spaces_and_newlines(text):
    assert words_of(text, keep_space=False)[0] == Counter(text.split())


@settings(deadline=None)
@given(text=TEXTS)
def test_words_with_the_space_before_them(text):
    assert words_of(text, keep_space=True)[0] == Counter(regex.findall(r"(?<=\n|^)[^ \n]+| [^ \n]*", text))


@settings(deadline=None)
@given(text=TEXTS)
def test_words_of_letters_and_of_marks_behind_long_ones_are_plain(text):
    for word, plain in words_of(text, keep_space=False)[1].items():
        assert plain == bool(regex.fullmatch("(?:[abก]|(?<=[กั])ั)+", word)), word


def test_ten_thousand_words_and_their_places_in_the_table():
    text = " ".join(str(number % 10_000) for number in range(30_000))
    found, _ = words_of(text, keep_space=False)
    assert found == Counter({str(number): 3 for number in range(10_000)})


def test_no_text_no_words():
    assert words_of("", keep_space=False) == (Counter(), {})

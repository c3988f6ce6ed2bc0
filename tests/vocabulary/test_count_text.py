"""Counts are those of the tokenizers library's own encoding, to the piece, whatever the text."""

from __future__ import annotations

from itertools import chain

import pytest
import regex
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from babelpress.vocabulary import cuts
from tests.families import FAMILIES
from tests.vocabulary import meanings
from tests.vocabulary.counting import VARIANTS, assert_counts_are_the_librarys

NAMES = [*FAMILIES, "embedded"]


# --- real text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_the_embedded_sentences_are_counted_as_the_library_cuts_them(name):
    found = assert_counts_are_the_librarys(name, meanings()[::4])
    assert len(found.pieces) == 16
    assert found.total().sum() > 10_000


@pytest.mark.full
def test_the_embedded_sentences_are_counted_as_the_library_cuts_them_at_the_real_size():
    assert_counts_are_the_librarys("big_unigram", meanings())


def test_some_hundred_sentences_at_the_real_size():
    assert_counts_are_the_librarys("big_unigram", meanings()[:20])


# --- nasty text -----------------------------------------------------------------------------------

MARKS = "\uff9e\u0eb3\u0301\u0308\u0327\u20dd\u0e33\u0e31\u093c\u0941\u3099\u200d\ufe0f\U0001f3fd\u0604\u0d4e"
PIECES = [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\xa0", "\u3000", "\u2003", "\u200b", "\xad", "\ufeff", "\x1c",
    "\x1f", "\x85", "\x00", "\u2028", "a", "b", "York", "new york", "new", "york", "ｙｏｒｋ", "kg", "㎏", "ﬁ",
    "ß", "Σ", "ος", "İ", "é", "e\u0301", "ж", "ж\u0301", "é\u0301", "ñ", "n\u0303", "한국",
    "\u1112\u1161\u11ab", "\u1112", "\u11ab", "가\u11a8", "日本", "は\u3099", "ｶﾞ", "Ａ１", "，", "กำ",
    "ก\u0e33", "น้ำ", "\u0958", "क\u093c", "ड\u093c", "क्ष", "\u200c", "👩\u200d👩\u200d👧", "👍🏽", "🇰🇷", "🇰",
    "1️⃣", "2026", "3.5", "¨", "´", "½", "…", "\ufdfa", "▁", "▁▁", "▁a", "</s>", "<s>", "<mask>", "＜mask＞",
    "<unk>", "<pad>", "[MASK]", "[UNK]", "[unused1]", "##a", "<|endoftext|>", "<tool_call>", "<bos>", "<0x41>",
    "<extra_id_3>", "</w>", "Ġ", "Ċ", "\u0378", "\U000e0fff", "\U0010ffff", "𐎀", "😵", "don't", "'s", "a-b",
    "...", "?!", "£", *MARKS,
]  # fmt: skip
NASTY = st.lists(
    st.one_of(st.sampled_from(PIECES), st.sampled_from([" ", " ", "a"]), st.characters(exclude_categories=["Cs"])),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(NASTY, min_size=1, max_size=6))
@example(
    texts=[
        "",
        " ",
        "  ",
        "a",
        " a",
        "a ",
        " a ",
        "a  b",
        "a\tb",
        "a\u00a0b",
        "a\u3000b",
        "a \u0301b",
        "\u0301b",
        "a \u0301",
    ]
)
@example(
    texts=[
        f"{before}{mark}{after}" for mark in MARKS for before in ("", "a", "é", "日", "a ", "▁") for after in ("", "b")
    ]
)
@example(
    texts=[f"{before}{piece}{after}" for piece in PIECES for before in ("", "a", "a ") for after in ("", "b", " b")]
)
@example(texts=[f"{before}{mark}{more}" for mark in MARKS for before in (" ", "a ") for more in "\u0301\u0e31\u200d"])
@example(texts=["a ¨ b", "a´ b", "a\u200b b", "\u200b", "a \u200bb", "\ufdfa a", "x\xad y", "a \xad b", "1 ½"])
def test_nasty_text_is_counted_as_the_library_cuts_it(name, texts):
    assert_counts_are_the_librarys(name, [(texts, ["en"] * len(texts))])


@pytest.mark.parametrize(
    "name", ["unigram_xlmr", "xlmr, metaspace alone", "bpe_roberta", "bpe_suffix", "wordpiece_bert"]
)
def test_every_character_after_a_space_and_after_letters_of_each_length(name):
    """In the words of one text and of many, so that none hides behind another."""
    every = [chr(code) for code in chain(range(0x3100), range(0xA000, 0xD800, 7), range(0xF900, 0x1F700, 5))
             if not 0xD800 <= code <= 0xDFFF]  # fmt: skip
    texts = [f"{before}{one}{after}" for one in every for before, after in (("", ""), ("a ", "b"), ("b", " c"))]
    if name == "unigram_xlmr":
        texts += [f"{letter}{one}" for one in every for letter in "éж日한क"]
    assert_counts_are_the_librarys(name, [(texts, ["en"] * len(texts))])


def test_every_character_that_makes_a_grapheme_with_a_space_before_it_is_known_to():
    """A charsmap looks at whole graphemes (Unicode Standard Annex 29)."""
    joins = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
    every = (chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    assert [one for one in every if joins.fullmatch(one) and not cuts.joins(one)] == []

from __future__ import annotations

import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus import clean as clean_module
from babelpress.corpus.clean import Rejected, clean, comparison_key

EVERYTHING = st.text(st.characters(exclude_categories=()), max_size=40)  # lone surrogates too


def cleaned(text: str) -> str:
    return clean(text, min_chars=1, max_chars=4000)


def faults(text: str) -> list[str]:
    """What is wrong with a text that came out of clean(), told apart without its own tables."""
    found = [
        f"U+{ord(character):04X}"
        for character in text
        if unicodedata.category(character) in {"Cc", "Cs"}
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
        or character == "\ufeff"
        or (character.isspace() and character != " ")
    ]
    found += [] if unicodedata.is_normalized("NFC", text) else ["not NFC"]
    found += [] if text.splitlines() == [text] else ["more than one line"]
    found += ["doubled or outer spaces"] if text != " ".join(text.split()) else []
    return found


@settings(max_examples=400, deadline=None)
@given(EVERYTHING)
def test_no_text_crashes_clean_or_leaves_it_dirty(text: str):
    try:
        result = cleaned(text)
    except Rejected as reason:
        assert str(reason) == "empty"
        return
    assert faults(result) == []
    assert cleaned(result) == result


def test_every_code_point_comes_out_clean():
    for start in range(0, 0x110000, 256):
        text = "a" + "".join(f"{chr(code)}b" for code in range(start, start + 256))
        result = cleaned(text)
        assert faults(result) == [], hex(start)
        assert cleaned(result) == result, hex(start)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=40))
def test_no_letter_or_digit_of_any_script_is_lost(text: str):
    assert cleaned(text) == unicodedata.normalize("NFC", text)


def test_decomposed_letters_are_composed():
    assert cleaned("cafe\u0301 \u1112\u1161\u11ab") == "café 한"


@pytest.mark.parametrize("character", ["\0", "\ufeff", "\ud800"])
def test_a_dropped_character_does_not_keep_a_letter_from_its_accent(character: str):
    assert cleaned(f"cafe{character}\u0301") == "café"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\t", "\u00a0", "\u3000"])
def test_a_line_end_of_any_kind_becomes_one_space(end: str):
    assert cleaned(f"a{end}b{end}") == "a b"


@pytest.mark.parametrize(
    "character", ["\0", "\x07", "\x1b", "\x7f", "\x9f", "\ufeff", "\ud800", "\uffff", "\U0001fffe"]
)
def test_control_characters_and_non_characters_vanish(character: str):
    assert cleaned(f"{character}a{character}b") == "ab"


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧"])
def test_joiners_that_spelling_needs_stay(text: str):
    assert cleaned(text) == text


@pytest.mark.parametrize("text", ["", "  ", "\ufeff", "\0\0\0", "\u3000\r\n"])
def test_nothing_but_spaces_and_controls_is_empty(text: str):
    with pytest.raises(Rejected, match=r"^empty$"):
        cleaned(text)


def test_length_is_counted_after_cleaning():
    assert clean(" e\u0301e\u0301e\u0301\0\n", min_chars=3, max_chars=3) == "ééé"
    with pytest.raises(Rejected, match=r"^too short$"):
        clean(" e\u0301e\u0301\0\n", min_chars=3, max_chars=3)
    with pytest.raises(Rejected, match=r"^too long$"):
        clean("éééé", min_chars=3, max_chars=3)


def test_a_megabyte_is_refused_before_any_work_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clean_module, "unicodedata", SimpleNamespace())  # normalising would raise
    with pytest.raises(Rejected, match=r"^too long$"):
        cleaned("x" * (1 << 20))


@pytest.mark.parametrize(
    "disguise",
    [
        "WHERE IS THE CAFÉ AT 10?",
        "where is the café at 10",
        "Where  is\u00a0the\u200b café — at 10?!",
        "«Where is the cafe\u0301, at 10…»",
        "Ｗｈｅｒｅ ｉｓ ｔｈｅ ｃａｆé ａｔ １０？",
        "Where is the café at 10? ❤\ufe0f",
    ],
)
def test_case_width_punctuation_and_emoji_do_not_hide_a_sentence(disguise: str):
    assert comparison_key(disguise) == comparison_key("Where is the café at 10?") == "whereisthecaféat10"


@pytest.mark.parametrize("other", ["Where is the cafe at 10?", "Where is the café at 11?", "Where is a café at 10?"])
def test_another_word_number_or_accent_is_another_sentence(other: str):
    assert comparison_key(other) != comparison_key("Where is the café at 10?")


def test_capitals_are_the_same_letters_in_every_script():
    hidden = [
        chr(code)
        for code in range(0x110000)
        if chr(code).upper() != chr(code) and comparison_key(chr(code)) != comparison_key(chr(code).upper())
    ]
    assert hidden == ["ı"]  # dotless i: another letter than i, with the same capital


def test_punctuation_alone_has_no_key():
    assert comparison_key(" ¿?!… «» 。\ufe0f\u200d\n") == ""

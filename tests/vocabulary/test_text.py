"""Text comes back from its ids, and no text can spell a byte piece (docs/pitfalls.md, A2, A5)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META
from tests.families import FAMILIES
from tests.vocabulary import byte_ids_of, ids_of, meanings, student_of, teacher_of, tokenizer_of
from tests.vocabulary.texts import literal_mixtures, mixed_text, nasty_text

EVERY = ["embedded", *FAMILIES]
# How a family treats white space; a mark that is spelled out in text cannot be told from a space.
WORDS = ("embedded", "unigram_xlmr", "unigram_mt5")
EXACT = ("unigram_gemma", "bpe_gemma", "bpe_bytelevel", "bpe_roberta")


def normal(name: str, text: str) -> str:
    normalizer = teacher_of(name).normalizer
    if name in ("unigram_gemma", "bpe_gemma") or normalizer is None:  # theirs writes a mark for each space
        return text
    return normalizer.normalize_str(text)


def comparable(name: str, text: str) -> str:
    """Return what of a text a family keeps."""
    if name in EXACT:
        return text
    return (" " if name in WORDS else "").join(text.split())


def is_ambiguous(name: str, text: str) -> bool:
    """Tell whether a text spells marks or special tokens, which are not text to the teacher."""
    marks = [token["content"] for token in tokenizer_of(name)["added_tokens"]] + [META, "</w>"]
    return any(mark in form for mark in marks for form in (text, normal(name, text)))


def there_and_back(name: str, text: str) -> str:
    return student_of(name).decode(ids_of(student_of(name), [text], special=True)[0])


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_decoding_gives_the_text_back_a5(name, data):
    text = data.draw(mixed_text(name) | nasty_text(name))
    if not is_ambiguous(name, text):
        assert comparable(name, there_and_back(name, text)) == comparable(name, normal(name, text))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("text", ["😀", "a😀𐎀b ц𐎀", "𐎀 𐎁", "Ã©Ġ ĉ", "don't do not . , ' s", "##a # b", "\u0378x"])
def test_decoding_gives_bytes_and_signs_back_a5(name, text):
    assert comparable(name, there_and_back(name, text)) == comparable(name, normal(name, text))


@pytest.mark.parametrize("name", EVERY)
def test_decoding_gives_every_sentence_back_a5(name):
    every = [text for texts, _ in meanings()[::3] for text in texts]
    ids = ids_of(student_of(name), every, special=True)
    for text, found in zip(every, student_of(name).decode_batch(ids), strict=True):
        assert comparable(name, found) == comparable(name, normal(name, text))


# --- literals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("form", ["{}", "ab{}cd", "x {} y", "가{}", "{0}{0}", "<{}>", " {}"])
def test_no_byte_name_in_text_becomes_a_byte_piece_a2(name, form):
    """Not one of the 256: their characters are all kept, so no byte piece at all is to be seen."""
    texts, own = [form.format(piece) for piece in BYTE_PIECES], byte_ids_of(name)
    found = ids_of(student_of(name), texts)
    assert [text for text, ids in zip(texts, found, strict=True) if own & set(ids)] == []
    decoded = student_of(name).decode_batch(found)
    assert [comparable(name, text) for text in decoded] == [comparable(name, text) for text in texts]


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=40, deadline=None)
@given(text=literal_mixtures())
@example(text="<0x41")
@example(text="<0xF0><0x9F><0x98><0x80>")
def test_no_mixture_of_literals_makes_a_byte_piece_a2(name, text):
    assert not byte_ids_of(name) & set(ids_of(student_of(name), [text])[0])


def test_the_trap_is_real_a2():
    """A teacher of which the bytes are ordinary vocabulary takes the literal for the byte."""
    teacher = teacher_of("unigram_mt5")
    assert teacher.token_to_id("<0x41>") in teacher.encode("<0x41>").ids


@pytest.mark.parametrize("name", ["bpe_bytelevel", "bpe_roberta", "wordpiece_bert"])
def test_stand_ins_of_bytes_are_letters_in_text_a2(name):
    # U+00C3 is the stand-in of byte C3; as a letter it is the bytes C3 83
    student = student_of(name)
    ids = ids_of(student, ["Ã", "ã"])
    assert [student.decode(found) for found in ids] == ["Ã", "ã"]
    assert ids[0] != [student.token_to_id("Ã")]


def test_single_bytes_are_there_at_all():
    """Otherwise the tests above would hold for want of byte pieces."""
    with_bytes = {name for name in EVERY if len(byte_ids_of(name)) == 256}
    assert with_bytes == {"embedded", "unigram_xlmr", "unigram_mt5", "unigram_gemma", "bpe_gemma", "bpe_suffix"}

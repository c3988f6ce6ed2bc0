"""Text that spells a byte piece is none; text that spells a special token is as the recipe says (pitfalls A2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from babelpress.recipe import SpecialText
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES
from tests.families import FAMILIES
from tests.vocabulary import byte_ids_of, file_of, ids_of, plan_of, student_of, teacher_of
from tests.vocabulary.conftest import Pressed
from tests.vocabulary.texts import literal_mixtures

EVERY = ["embedded", *FAMILIES]
WITH_BYTES = ["embedded", "unigram_xlmr", "unigram_mt5", "unigram_gemma", "bpe_gemma", "bpe_suffix"]
NORMALISED = ["embedded", "unigram_xlmr", "unigram_mt5"]  # full-width letters become ASCII
FRAMES = ["{}", "a{}b", "{0}{0}", "a {} b", "가{}나", "<{}>"]
PLAIN = SpecialText.PLAIN


def full_width(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


# --- byte names -----------------------------------------------------------------------------------


def injected(name: str, texts: list[str], **options: Any) -> list[str]:
    """Return the texts in which there is a byte piece."""
    own = byte_ids_of(name)
    found = ids_of(student_of(name, **options), texts)
    return [text for text, ids in zip(texts, found, strict=True) if own & set(ids)]


@pytest.mark.parametrize("name", NORMALISED)
def test_no_byte_name_in_full_width_is_a_byte_a2(name):
    assert injected(name, [full_width(piece) for piece in BYTE_PIECES]) == []


@pytest.mark.parametrize("name", WITH_BYTES)
@settings(max_examples=60, deadline=None)
@given(text=literal_mixtures())
@example(text="<<0x41>>")
@example(text="<0xF0><0x9F>")
@example(text="<0x41")
def test_no_mixture_of_byte_names_makes_a_byte_a2(name, text):
    for special_text in SpecialText:
        assert injected(name, [text.replace("가", "b").replace("▁", "c")], special_text=special_text) == []


@pytest.mark.parametrize("name", WITH_BYTES)
@pytest.mark.parametrize("text", ["<0x41>𐎀", "𐎀<0x41>", "<0xF0>𐎀<0x80>"])
def test_real_bytes_beside_a_literal_are_still_bytes_a2(name, text):
    ids = ids_of(student_of(name), [text])[0]
    names = [student_of(name).id_to_token(number) for number in ids if number in byte_ids_of(name)]
    names = names[: names.index("<0x80>") + 1]  # BPE with a suffix spells that too
    assert names == [f"<0x{value:02X}>" for value in "𐎀".encode()]


# --- special tokens -------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def special(name: str) -> dict[str, int]:
    """The special tokens' texts and their ids in the student."""
    tokens = file_of(name).raw["added_tokens"]
    return {token["content"]: plan_of(name).id_map[token["id"]] for token in tokens if token["special"]}


def spelled(name: str) -> list[str]:
    """Every special token in every frame, in full width too where that becomes ASCII."""
    texts = [*special(name), *(full_width(text) for text in special(name) if name in NORMALISED and text.isascii())]
    return [frame.format(text) for frame in FRAMES for text in texts]


def made_special(name: str, texts: list[str], encoded: list[list[int]]) -> list[str]:
    return [text for text, ids in zip(texts, encoded, strict=True) if set(special(name).values()) & set(ids)]


@pytest.mark.parametrize("name", EVERY)
def test_special_text_is_as_with_the_teacher_unless_asked_otherwise(name):
    # Two unknown pieces that the normaliser made are one run, which the teacher folds and the student spells in bytes.
    texts = [text for text in spelled(name) if full_width("<unk>") * 2 not in text]
    own = set(special(name).values())
    expected = ids_of(teacher_of(name), texts)
    id_map = plan_of(name).id_map
    for text, old, new in zip(texts, expected, ids_of(student_of(name), texts), strict=True):
        mapped = [id_map.get(number, -1) for number in old]
        assert [number for number in new if number in own] == [number for number in mapped if number in own], text
        assert -1 in mapped or new == mapped, text
        assert own & set(new) or full_width("<")[0] in text, text


@pytest.mark.parametrize("name", EVERY)
def test_plain_special_text_is_never_special(name):
    texts = spelled(name)
    assert made_special(name, texts, ids_of(student_of(name, PLAIN), texts)) == []


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_mixture_of_special_texts_is_special_when_plain(name, data):
    tokens = list(special(name))
    parts = [*tokens, *(token[:-1] for token in tokens), *(token[1:] for token in tokens), "a", " ", "▁", "<", "["]
    text = data.draw(st.lists(st.sampled_from(parts), max_size=8).map("".join))
    assert made_special(name, [text], ids_of(student_of(name, PLAIN), [text])) == []


@pytest.mark.parametrize("name", EVERY)
def test_plain_students_cut_other_text_as_the_others_do(name):
    texts = ["Hello, how are you?", "안녕하세요 a<b [c] <|d|> </e>", "2 < 3 > 1 <0x41> 𐎀", "  two  spaces\n"]
    assert ids_of(student_of(name, PLAIN), texts) == ids_of(student_of(name), texts)


@pytest.mark.parametrize("name", EVERY)
def test_plain_students_are_still_framed_by_special_tokens(name):
    texts = ["Hello, how are you?", "a"]
    framed = ids_of(student_of(name, PLAIN), texts, special=True)
    assert framed == ids_of(student_of(name), texts, special=True)
    assert all(set(special(name).values()) & set(ids) for ids in framed)
    pair = [student_of(name, text).encode("a", "b") for text in SpecialText]
    assert (pair[0].ids, pair[0].type_ids) == (pair[1].ids, pair[1].type_ids)


@pytest.mark.parametrize("name", FAMILIES)
def test_plain_special_text_is_never_special_in_the_libraries(name, pressed: Pressed):
    folder = pressed(name, PLAIN)
    auto, model = AutoTokenizer.from_pretrained(folder), SentenceTransformer(str(folder), device="cpu")
    texts = spelled(name)
    raw = ids_of(student_of(name, PLAIN), texts)
    for tokenizer in (auto, model.tokenizer):
        assert tokenizer(texts, add_special_tokens=False)["input_ids"] == raw
    framed = ids_of(student_of(name, PLAIN), texts, special=True)
    assert auto(texts)["input_ids"] == framed
    features = model.preprocess(texts)
    rows = zip(features["input_ids"].tolist(), features["attention_mask"].bool().tolist(), strict=True)
    assert [[number for number, real in zip(*row, strict=True) if real] for row in rows] == framed


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_still_drops_the_frame_of_a_plain_student_when_decoding(name, pressed: Pressed):
    auto = AutoTokenizer.from_pretrained(pressed(name, PLAIN))
    texts = ["hello, how are you?", "a b </s> c [SEP] d <|endoftext|>"]
    for text, ids in zip(texts, auto(texts)["input_ids"], strict=True):
        assert set(special(name).values()) & set(ids)
        assert auto.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_lists_the_same_special_ids_for_both(name, pressed: Pressed):
    folders = (pressed(name), pressed(name, PLAIN))
    given_ids, plain_ids = (set(AutoTokenizer.from_pretrained(folder).all_special_ids) for folder in folders)
    assert plain_ids == set(special(name).values()) >= given_ids

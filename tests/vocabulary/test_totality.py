"""No text is unknown: in every family and in every library that reads the folder (docs/pitfalls.md, A1, A4, A10)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from babelpress.utils.tokenizer import open_tokenizer
from tests.families import FAMILIES
from tests.vocabulary import ids_of, plan_of, student_of, teacher_of, unknown_of
from tests.vocabulary.conftest import Pressed
from tests.vocabulary.texts import mixed_text, nasty_text, scalar_values

Encode = Callable[[list[str]], list[list[int]]]
FORMS = ("{}", "ab{}cd")
BATCH = 50_000


def bad_among(name: str, encode: Encode, texts: list[str]) -> list[str]:
    """Return the texts that hold an unknown piece or an id without a row."""
    unk, rows = unknown_of(name), plan_of(name).rows
    found = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        found += [
            text for text, ids in zip(batch, encode(batch), strict=True) if unk in ids or max(ids, default=0) >= rows
        ]
    return found


def raw(folder: Path) -> Encode:
    tokenizer = open_tokenizer(folder / "tokenizer.json")  # without the padding that a library's save bakes in
    return lambda texts: ids_of(tokenizer, texts)


def transformers(folder: Path) -> Encode:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


def sentence_transformers(folder: Path) -> Encode:
    tokenizer = SentenceTransformer(str(folder), device="cpu").tokenizer
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


def saved_by_transformers(folder: Path, target: Path) -> Path:
    AutoTokenizer.from_pretrained(folder).save_pretrained(target)
    return target


def saved_by_sentence_transformers(folder: Path, target: Path) -> Path:
    model = SentenceTransformer(str(folder), device="cpu")
    model.encode(["some text", "longer text than that"])
    model.save_pretrained(str(target), create_model_card=False)
    return target


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("form", FORMS)
def test_no_unicode_scalar_value_is_unknown(name, form):
    texts = [form.format(character) for character in scalar_values(97)]
    assert bad_among(name, lambda batch: ids_of(student_of(name), batch), texts) == []


@pytest.mark.full
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("form", FORMS)
def test_no_unicode_scalar_value_at_all_is_unknown(name, form):
    texts = [form.format(character) for character in scalar_values(1)]
    assert len(texts) == 1_112_064
    assert bad_among(name, lambda batch: ids_of(student_of(name), batch), texts) == []


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_text_is_unknown(name, data):
    """Save text that says `<unk>` itself, which is what it is with the teacher."""
    normalizer = teacher_of(name).normalizer
    text = data.draw(mixed_text(name) | nasty_text(name))
    normal = normalizer.normalize_str(text) if normalizer else text
    if not any(unknown in part for part in (text, normal) for unknown in ("<unk>", "[UNK]")):
        assert bad_among(name, lambda batch: ids_of(student_of(name), batch), [text]) == []


READERS: dict[str, Any] = {"AutoTokenizer": transformers, "SentenceTransformer": sentence_transformers}
SAVERS: dict[str, Any] = {
    "AutoTokenizer": saved_by_transformers, "SentenceTransformer": saved_by_sentence_transformers,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("reader", READERS)
def test_no_unicode_scalar_value_is_unknown_in_a_library_nor_after_it_saved_a1(name, reader, pressed, tmp_path):
    texts = [form.format(character) for form in FORMS for character in scalar_values(97)[::9]]
    expected = raw(pressed(name))(texts)
    assert bad_among(name, lambda batch: expected, texts) == []
    assert READERS[reader](pressed(name))(texts) == expected
    again = SAVERS[reader](pressed(name), tmp_path / "again")
    assert READERS[reader](again)(texts) == expected
    assert raw(again)(texts) == expected


@pytest.mark.full
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("reader", READERS)
def test_no_unicode_scalar_value_at_all_is_unknown_in_a_library_a1(name, reader, pressed: Pressed):
    encode = READERS[reader](pressed(name))
    assert bad_among(name, encode, [f"ab{character}cd" for character in scalar_values(1)]) == []

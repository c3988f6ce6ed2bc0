"""How much longer text becomes. Every figure is computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.fertility import (
    LanguageFertility,
    byte_tokens,
    compare_counts,
    load_fertility,
    measure_fertility,
    save_fertility,
)
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, TokenizerFile, parse_tokenizer
from tests.families import FAMILIES
from tests.tiny import tokenizer_json
from tests.tokenizer_parts import assemble, bpe, byte_level
from tests.vocabulary import SMALL, file_of, meanings, student_json


def teacher() -> TokenizerFile:
    # ids: ▁ 4, a 5, b 6, ▁ab 7, ba 8, c 9, ▁c 10, d 11, <mask> 12
    return parse_tokenizer(tokenizer_json(SMALL))


def student(*dropped: int) -> TokenizerFile:
    kept = tuple(number for number in range(13) if number not in dropped)
    return parse_tokenizer(rewrite_tokenizer(teacher(), VocabularyPlan(kept, BYTE_PIECES, {}, 0, 0, ())))


# --- measured -------------------------------------------------------------------------------------


def test_the_tokens_of_two_languages_by_hand():
    # en: "ab c" is ▁ab ▁c; without ▁ab it is ▁ a b ▁c. "d" is ▁ d in both.
    # ko: "ab ab" is 2 and becomes 6.
    texts = [(["ab c", "d", "ab ab"], ["en", "en", "ko"])]
    assert measure_fertility(teacher(), student(7), texts) == {
        "en": LanguageFertility(2, 2.0, 3.0, 1.5, 0.0, 0.0),
        "ko": LanguageFertility(1, 2.0, 6.0, 3.0, 0.0, 0.0),
    }


def test_bytes_and_what_the_teacher_did_not_know_by_hand():
    # "d" is ▁ d and becomes ▁ <0x64>; "é" is ▁ <unk> and becomes ▁ <0xC3> <0xA9>; "éé" one <unk> and four bytes
    texts = [(["d", "é", "éé"], ["en", "fr", "fr"])]
    assert measure_fertility(teacher(), student(11), texts) == {
        "en": LanguageFertility(1, 2.0, 2.0, 1.0, 0.5, 0.0),
        "fr": LanguageFertility(2, 2.0, 4.0, 2.0, 0.75, 0.5),
    }


@pytest.mark.parametrize("name", [*FAMILIES, "embedded"])
def test_a_teacher_beside_itself_is_as_long(name):
    for figures in measure_fertility(file_of(name), file_of(name), meanings()[::8]).values():
        assert figures.ratio == 1.0
        assert figures.teacher == figures.student


def test_an_iterator_is_read_for_both():
    texts = iter([(["ab"], ["en"])])
    assert measure_fertility(teacher(), student(7), texts)["en"].ratio == 3.0


def test_texts_of_no_language_and_no_texts_are_measured_as_nothing():
    assert measure_fertility(teacher(), student(7), [(["ab"], ["zxx"])]) == {}
    assert measure_fertility(teacher(), student(7), []) == {}


def test_empty_texts_do_not_divide_by_zero():
    found = measure_fertility(teacher(), student(7), [(["", ""], ["en", "en"])])
    assert found == {"en": LanguageFertility(2, 0.0, 0.0, 0.0, 0.0, 0.0)}


def test_counts_are_compared_by_hand():
    zeros = np.zeros(13, dtype=np.int64)
    before, after = zeros.copy(), np.zeros(13 + 255, dtype=np.int64)
    before[[5, 3]] = 9, 1  # a, <unk>
    after[[5, 12]] = 8, 12  # a, <0x00>
    found = compare_counts(
        PieceCounts({"en": before}, {"en": 4}), PieceCounts({"en": after}, {"en": 4}), teacher=teacher(),
        student=student(11),
    )  # fmt: skip
    assert found == {"en": LanguageFertility(4, 2.5, 5.0, 2.0, 0.6, 0.1)}


# --- which pieces are bytes -----------------------------------------------------------------------


def test_the_new_pieces_are_the_bytes():
    assert np.flatnonzero(byte_tokens(student(11))).tolist() == list(range(12, 268))
    assert not byte_tokens(teacher()).any()


def test_a_byte_level_piece_is_a_byte_unless_it_is_whole_characters():
    # é is Ã©; Ã alone is its first byte, ©t its second with a letter; Ġ is a space, A itself
    pieces = ["A", "Ã", "©", "Ã©", "©t", "Ġ", "ĠÃ©", "ĠÃ", "í", "ķ", "ľ", "íķľ", "íķ"]
    merges = [["Ã", "©"], ["Ġ", "Ã©"], ["Ġ", "Ã"], ["í", "ķ"], ["íķ", "ľ"]]
    file = parse_tokenizer(
        assemble(bpe({piece: n for n, piece in enumerate([*pieces, "t"])}, merges), pre_tokenizer=byte_level())
    )
    found = {piece for piece, is_byte in zip(file.pieces, byte_tokens(file), strict=True) if is_byte}
    assert found == {"Ã", "©", "©t", "ĠÃ", "í", "ķ", "ľ", "íķ"}


def test_a_wordpiece_in_bytes_has_its_prefix_taken_off_first():
    file = parse_tokenizer(student_json("wordpiece_bert"))
    found = {piece for piece, is_byte in zip(file.pieces, byte_tokens(file), strict=True) if is_byte}
    assert {"##©", "Ã", "##Ã", "##ķ"} <= found
    assert not found & {"a", "##a", "##Ã©", "[UNK]", "[CLS]", "##ing"}
    # the 51 first bytes at the start, and they and the 64 followers inside
    assert len(found) >= 51 + 51 + 64


@pytest.mark.parametrize("name", FAMILIES)
def test_special_tokens_are_no_bytes(name):
    file = parse_tokenizer(student_json(name))
    assert not byte_tokens(file)[list(file.named_ids)].any()


# --- kept -----------------------------------------------------------------------------------------


def test_figures_are_read_back_as_they_were_written(tmp_path):
    figures = {
        "en": LanguageFertility(2, 2.0, 3.0, 1.5, 0.25, 0.125),
        "zh-CN": LanguageFertility(1, 1.5, 1.5, 1.0, 0, 0),
    }
    save_fertility(tmp_path / "fertility.json", figures)
    assert load_fertility(tmp_path / "fertility.json") == figures
    assert json.loads((tmp_path / "fertility.json").read_text())["en"]["byte_rate"] == 0.25

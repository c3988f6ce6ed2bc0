"""Texts are cut up to be counted once each: where, in which order, and what becomes of the counts."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.errors import TeacherError
from babelpress.utils.tokenizer import load_tokenizer, open_tokenizer
from babelpress.vocabulary import count
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.cuts import Cut, cut_of
from babelpress.vocabulary.tokenizer_file import parse_tokenizer
from tests.families import FAMILIES
from tests.vocabulary import file_of, meanings, small_json, tokenizer_of
from tests.vocabulary.counting import METASPACE, assert_counts_are_the_librarys, changed, opened

NAMES = [*FAMILIES, "embedded"]


# --- how it is done -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("unigram_xlmr", Cut.SPACES),
        ("unigram_mt5", Cut.SPACES),
        ("unigram_gemma", Cut.NOWHERE),
        ("bpe_bytelevel", Cut.BEFORE_SPACES),
        ("bpe_roberta", Cut.BEFORE_SPACES),
        ("bpe_gemma", Cut.NOWHERE),
        ("bpe_suffix", Cut.SPACES),
        ("wordpiece_bert", Cut.SPACES),
        ("embedded", Cut.SPACES),
        ("xlmr, metaspace alone", Cut.LONE_SPACES),
        ("xlmr, metaspace unsplit", Cut.NOWHERE),
        ("xlmr, metaspace first", Cut.NOWHERE),
        ("xlmr, stripped", Cut.NOWHERE),
        ("xlmr, metaspace alone, stripped", Cut.NOWHERE),
        ("qwen, stripped", Cut.NOWHERE),
        ("roberta, a whole word that takes its spaces", Cut.NOWHERE),
        ("roberta, prefix space", Cut.NOWHERE),
        ("xlmr, a token with a space", Cut.NOWHERE),
    ],
)
def test_where_a_familys_text_is_cut(name, cut):
    assert cut_of(opened(name)[0]) is cut


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "_"}},
        {"normalizer": {"type": "Prepend", "prepend": "▁"}},
        {"pre_tokenizer": {"type": "UnicodeScripts"}},
        {"pre_tokenizer": None},
        {
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": r"\s?\w+\s?"},
                "behavior": "Isolated",
                "invert": False,
            }
        },
    ],
)
def test_what_is_not_known_to_fall_apart_at_spaces_is_counted_whole(part):
    assert cut_of(parse_tokenizer(changed("unigram_xlmr", **part))) is Cut.NOWHERE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("characters", [0, 700, 8000])
def test_flushing_the_buffer_many_times_changes_nothing(monkeypatch, name, characters):
    expected = count_pieces(file_of(name), meanings()[:24])
    monkeypatch.setattr(count, "_CHARACTERS", characters)
    monkeypatch.setattr(count, "_ENCODE", 7)
    found = count_pieces(file_of(name), meanings()[:24])
    assert found.sentences == expected.sentences
    for code in expected.pieces:
        np.testing.assert_array_equal(found.pieces[code], expected.pieces[code])


def test_a_text_longer_than_the_buffer_is_counted_whole(monkeypatch):
    monkeypatch.setattr(count, "_CHARACTERS", 100)
    long = " ".join(meanings()[0][0]) * 20
    assert_counts_are_the_librarys("unigram_xlmr", [([long, "a", long], ["en", "ko", "ko"])] * 3)


def test_a_fault_while_counting_is_raised_and_not_lost_on_the_other_core(monkeypatch):
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(count, "_CHARACTERS", 0)
    monkeypatch.setattr(count.WordCounter, "count", broken)
    with pytest.raises(ZeroDivisionError):
        count_pieces(file_of("unigram_xlmr"), meanings()[:3])


def test_texts_that_are_no_language_are_left_out():
    found = count_pieces(file_of("embedded"), [(["a b", "c"], ["zxx", "en"]), (["d"], ["zxx"])])
    assert (list(found.pieces), found.sentences) == (["en"], {"en": 1})


def test_a_language_of_empty_texts_has_counts_of_nothing():
    found = count_pieces(file_of("embedded"), [(["", ""], ["en", "en"])])
    assert (found.pieces["en"].sum(), found.sentences) == (0, {"en": 2})


def test_no_text_no_counts():
    found = count_pieces(file_of("embedded"), [])
    assert (found.pieces, found.sentences) == ({}, {})


def test_batches_are_read_once_and_one_by_one():
    """A corpus does not fit into memory."""
    read = iter(meanings())
    count_pieces(file_of("unigram_xlmr"), islice(read, 3))
    assert len(list(read)) == len(meanings()) - 3


@pytest.mark.parametrize("name", NAMES)
def test_truncation_and_padding_of_the_file_do_not_reach_the_counts_a13(name):
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0,
           "pad_token": "<pad>"}  # fmt: skip
    file = parse_tokenizer({**tokenizer_of(name), "truncation": cut, "padding": pad})
    expected = count_pieces(file_of(name), meanings()[:3])
    for code, counts in count_pieces(file, meanings()[:3]).pieces.items():
        np.testing.assert_array_equal(counts, expected.pieces[code])


@pytest.mark.parametrize("before", ["\t", "  ", "\u3000", " "])
@pytest.mark.parametrize("name", ["unigram_xlmr", "xlmr, metaspace alone", "xlmr, metaspace first"])
def test_a_special_token_that_takes_the_spaces_before_it_is_counted(name, before):
    file = opened(name)[0]
    found = assert_counts_are_the_librarys(name, [([f"a{before}<mask> b"], ["en"])])
    assert found.pieces["en"][file.ids["<mask>"]] == 1


def test_an_added_token_behind_the_vocabulary_is_no_piece_of_other_words():
    file = opened("xlmr, a whole word that takes its spaces")[0]
    found = count_pieces(file, [(["ayork", "york", "ｙｏｒｋ"], ["en", "ko", "ja"])])
    assert [int(found.pieces[code][file.ids["york"]]) for code in ("en", "ko", "ja")] == [0, 1, 0]


def test_counts_by_hand():
    # ids: ▁ 4, a 5, b 6, ▁ab 7, ba 8, c 9, ▁c 10, d 11, <mask> 12, <unk> 3; cut at white space
    raw = small_json()
    split = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    raw |= {"version": "1.0", "pre_tokenizer": split, "normalizer": None, "post_processor": None, "decoder": None,
            "added_tokens": [{**token, **flags} for token in raw["added_tokens"]]}  # fmt: skip
    found = count_pieces(parse_tokenizer(raw), [(["ab ab c", "xyb", "<mask>"], ["en", "en", "ko"])])
    # "▁ab" twice, "▁c" once; "▁xyb": ▁, one unknown for the run xy, b
    assert {number: times for number, times in enumerate(found.pieces["en"].tolist()) if times} == {
        7: 2, 10: 1, 4: 1, 3: 1, 6: 1,
    }  # fmt: skip
    assert np.flatnonzero(found.pieces["ko"]).tolist() == [12]


# --- keeping counts -------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    counts=st.dictionaries(
        st.sampled_from(["en", "ko", "zh-CN"]), st.lists(st.integers(0, 2**62), min_size=3, max_size=3)
    )
)
def test_counts_are_read_back_as_they_were_written(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("counts") / "counts.npz"
    before = PieceCounts(
        {code: np.array(each, dtype=np.int64) for code, each in counts.items()}, dict.fromkeys(counts, 7)
    )
    before.save(path)
    after = PieceCounts.load(path)
    assert after.sentences == before.sentences
    assert {code: each.tolist() for code, each in after.pieces.items()} == counts
    assert all(each.dtype == np.int64 for each in after.pieces.values())


def test_counts_of_parts_add_up_to_those_of_the_whole():
    whole = count_pieces(file_of("unigram_xlmr"), meanings()[:20])
    parts = [count_pieces(file_of("unigram_xlmr"), meanings()[start:20:3]) for start in range(3)]
    before = [part.pieces["en"].copy() for part in parts]
    added_up = PieceCounts.sum(parts)
    assert added_up.sentences == whole.sentences
    for code, counts in whole.pieces.items():
        np.testing.assert_array_equal(added_up.pieces[code], counts)
    for part, counts in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part.pieces["en"], counts)  # the parts stay as they were


def test_a_language_that_only_one_part_has_is_not_lost():
    one, two = (PieceCounts({code: np.array([1, 2])}, {code: 3}) for code in ("ko", "en"))
    found = PieceCounts.sum([one, two])
    assert list(found.pieces) == ["en", "ko"]
    assert found.total().tolist() == [2, 4]


# --- opening --------------------------------------------------------------------------------------


def test_a_file_that_the_library_cannot_read_is_refused_by_name(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}', encoding="utf-8")
    with pytest.raises(TeacherError, match=r"tokenizer\.json is not a tokenizer"):
        open_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(TeacherError, match="library refuses this tokenizer"):
        load_tokenizer({"model": {"type": "Unigram"}})


def test_an_opened_tokenizer_neither_cuts_nor_pads_a13(tmp_path):
    raw = {**tokenizer_of("embedded"), "truncation": {
        "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0,
    }}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    assert len(open_tokenizer(tmp_path / "tokenizer.json").encode("a b c d e f g").ids) > 7

"""Counts are those of the tokenizers library's own encoding, to the piece, however a text is cut up for speed."""

from __future__ import annotations

import copy
import json
from collections import Counter
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from babelpress.errors import TeacherError
from babelpress.vocabulary import count
from babelpress.vocabulary.count import Cut, PieceCounts, count_pieces, cut_of, load_tokenizer, open_tokenizer
from babelpress.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer
from tests.families import FAMILIES
from tests.tiny import embedded_tokenizer
from tests.tokenizer_parts import added, byte_level
from tests.vocabulary import file_of, meanings, small_json, teacher_of, tokenizer_of

NAMES = [*FAMILIES, "embedded"]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


# --- variants of the families ---------------------------------------------------------------------


def changed(name: str, **parts: Any) -> dict:
    return {**copy.deepcopy(tokenizer_of(name)), **parts}


def with_token(name: str, content: str, **flags: bool) -> dict:
    tokenizer = copy.deepcopy(tokenizer_of(name))
    token = added(content, len(file_of(name).pieces), **flags)
    return {**tokenizer, "added_tokens": [*tokenizer["added_tokens"], token]}


def sequence(*normalizers: dict) -> dict:
    return {"type": "Sequence", "normalizers": list(normalizers)}


CHARSMAP, COLLAPSE = embedded_tokenizer()["normalizer"]["normalizers"]
VARIANTS = {
    "xlmr, metaspace alone": lambda: changed("unigram_xlmr", pre_tokenizer=METASPACE),
    "xlmr, metaspace alone, runs of spaces": lambda: changed(
        "unigram_xlmr", pre_tokenizer=METASPACE, normalizer=CHARSMAP
    ),
    "xlmr, metaspace unsplit": lambda: changed("unigram_xlmr", pre_tokenizer={**METASPACE, "split": False}),
    "xlmr, metaspace first": lambda: changed("unigram_xlmr", pre_tokenizer={**METASPACE, "prepend_scheme": "first"}),
    "xlmr, NFKC": lambda: changed("unigram_xlmr", normalizer=sequence({"type": "NFKC"}, {"type": "Lowercase"})),
    "xlmr, NFD without accents": lambda: changed(
        "unigram_xlmr", normalizer=sequence({"type": "NFD"}, {"type": "StripAccents"})
    ),
    "xlmr, stripped": lambda: changed(
        "unigram_xlmr", normalizer=sequence({"type": "Strip", "strip_left": True, "strip_right": True}, CHARSMAP)
    ),
    "xlmr, metaspace alone, stripped": lambda: changed(
        "unigram_xlmr", pre_tokenizer=METASPACE,
        normalizer=sequence(CHARSMAP, COLLAPSE, {"type": "Strip", "strip_left": False, "strip_right": True}),
    ),
    "xlmr, no normalizer": lambda: changed("unigram_xlmr", normalizer=None),
    "xlmr, fallback": lambda: {
        **tokenizer_of("unigram_mt5"), "model": {**tokenizer_of("unigram_mt5")["model"], "byte_fallback": True},
    },
    "qwen, NFKC": lambda: changed("bpe_bytelevel", normalizer={"type": "NFKC"}),
    "qwen, stripped": lambda: changed(
        "bpe_bytelevel", normalizer={"type": "Strip", "strip_left": True, "strip_right": True}
    ),
    "roberta, prefix space": lambda: changed("bpe_roberta", pre_tokenizer=byte_level(add_prefix_space=True)),
    "roberta, lower case": lambda: changed("bpe_roberta", normalizer={"type": "Lowercase"}),
    "roberta, charsmap": lambda: changed("bpe_roberta", normalizer=CHARSMAP),
    "bert, lower case": lambda: changed(
        "wordpiece_bert", normalizer={**tokenizer_of("wordpiece_bert")["normalizer"], "lowercase": True}
    ),
    "xlmr, a token with a space": lambda: with_token("unigram_xlmr", "new york", special=False),
    "bert, a token with a space": lambda: with_token("wordpiece_bert", "new york", special=False),
    "roberta, a token with a space": lambda: with_token("bpe_roberta", "new york", special=False),
    "xlmr, a whole word that takes its spaces": lambda: with_token(
        "unigram_xlmr", "york", special=False, single_word=True, lstrip=True, rstrip=True
    ),
    "roberta, a whole word that takes its spaces": lambda: with_token(
        "bpe_roberta", "york", special=False, single_word=True, lstrip=True, rstrip=True
    ),
    "xlmr, a token of the normalised text": lambda: with_token("unigram_xlmr", "kg", special=False, normalized=True),
}  # fmt: skip


@lru_cache(maxsize=64)
def opened(name: str) -> tuple[TokenizerFile, Tokenizer]:
    if name not in VARIANTS:
        return file_of(name), teacher_of(name)
    raw = VARIANTS[name]()
    return parse_tokenizer(raw), load_tokenizer(raw)


def plain_counts(tokenizer: Tokenizer, texts: list[str], ids: int) -> np.ndarray:
    """What the library itself finds, special tokens that are not in the text left out."""
    found = Counter(
        number for each in tokenizer.encode_batch_fast(texts, add_special_tokens=False) for number in each.ids
    )
    counts = np.zeros(ids, dtype=np.int64)
    counts[list(found)] = list(found.values())
    return counts


def assert_counts_are_the_librarys(name: str, batches: list[tuple[list[str], list[str]]]) -> PieceCounts:
    file, tokenizer = opened(name)
    found = count_pieces(file, batches)
    by_language: dict[str, list[str]] = {}
    for text, language in chain.from_iterable(zip(*batch, strict=True) for batch in batches):
        by_language.setdefault(language, []).append(text)
    assert found.sentences == {code: len(texts) for code, texts in sorted(by_language.items())}
    assert list(found.pieces) == sorted(by_language)
    for code, texts in by_language.items():
        expected = plain_counts(tokenizer, texts, len(file.pieces))
        wrong = np.flatnonzero(found.pieces[code] != expected)
        told = {file.pieces[each]: (int(found.pieces[code][each]), int(expected[each])) for each in wrong[:5]}
        assert not len(wrong), (code, told)
    return found


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

MARKS = "\u0301\u0308\u0327\u20dd\u0e33\u0e31\u093c\u0941\u3099\u200d\ufe0f\U0001f3fd\u0604\u0d4e"
PIECES = [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\xa0", "\u3000", "\u2003", "\u200b", "\xad", "\ufeff", "\x1c", "\x1f", "\x85",
    "\x00", "\u2028", "a", "b", "York", "new york", "new", "york", "ｙｏｒｋ", "kg", "㎏", "ﬁ", "ß", "Σ", "ος", "İ", "é",
    "e\u0301", "ж", "ж\u0301", "é\u0301", "ñ", "n\u0303", "한국", "\u1112\u1161\u11ab", "\u1112", "\u11ab", "가\u11a8", "日本",
    "は\u3099", "ｶﾞ", "Ａ１", "，", "กำ", "ก\u0e33", "น้ำ", "\u0958", "क\u093c", "ड\u093c", "क्ष", "\u200c",
    "👩\u200d👩\u200d👧", "👍🏽", "🇰🇷", "🇰", "1️⃣", "2026", "3.5", "¨", "´", "½", "…", "\ufdfa", "▁", "▁▁", "▁a", "</s>", "<s>",
    "<mask>", "＜mask＞", "<unk>", "<pad>", "[MASK]", "[UNK]", "[unused1]", "##a", "<|endoftext|>", "<tool_call>", "<bos>",
    "<0x41>", "<extra_id_3>", "</w>", "Ġ", "Ċ", "\u0378", "\U000e0fff", "\U0010ffff", "𐎀", "😵", "don't", "'s", "a-b", "...",
    "?!", "£", *MARKS,
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
    monkeypatch.setattr(count.WordCounter, "count_words", broken)
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

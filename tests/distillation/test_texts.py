"""The texts to learn from: rules that hang on a row's number alone, and cuts that say what they cover."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus.build import read_texts
from babelpress.corpus.sentence import Split
from babelpress.distillation import texts as module
from babelpress.distillation.texts import TextRules, TextShard, cut_shard, cut_texts, make_shard, read_shards
from babelpress.teacher import read_teacher
from babelpress.utils.tokenizer import open_tokenizer
from tests.distillation import section, write_corpus
from tests.tiny import tokenizer_json

ROWS = np.arange(40_000)
LONG = TextRules(max_length=16, long_length=80, long_share=0.2)
SENTENCE = "The doctor will see you after lunch."  # <s> The doctor will see you after lunch . </s>


@pytest.fixture(scope="module")
def tokenizer_path():
    return read_teacher("bundled").folder / "tokenizer.json"


@pytest.fixture
def tokenizer(tokenizer_path):
    """Opened for each test: cutting changes its truncation."""
    return open_tokenizer(tokenizer_path)


def numbered(count, *, languages=("en", "ko", "hi"), first=0):
    """Texts that name their row and its language, and these languages, in turns."""
    codes = [languages[row % len(languages)] for row in range(first, first + count)]
    return [f"{code} {row}" for row, code in enumerate(codes, start=first)], codes


def shards_of(corpus, rules):
    """Return what is read of a corpus, as values that can be compared."""
    shards = read_shards(corpus, Split.TRAIN, rules)
    return [(shard.number, shard.texts, shard.limits.tolist()) for shard in shards]


# --- limits -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_where_a_row_is_cut_does_not_depend_on_the_rows_beside_it(rows, share):
    rules = TextRules(max_length=16, long_length=80, long_share=share)
    together = rules.limits(np.array(rows)).tolist()
    assert together == [rules.limits(np.array([row])).item() for row in rows]


def test_without_long_texts_all_are_cut_alike():
    assert TextRules(max_length=48).limits(np.arange(5)).tolist() == [48] * 5
    assert TextRules(max_length=48).longest == 48


@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
def test_the_share_of_long_rows_is_the_one_that_was_asked_for(share):
    limits = TextRules(max_length=16, long_length=80, long_share=share).limits(ROWS)
    spread = np.sqrt(share * (1 - share) / len(ROWS))
    assert np.mean(limits > 16) == pytest.approx(share, abs=4 * spread)


def test_long_rows_are_spread_evenly_up_to_the_longest():
    lengths, counts = np.unique(LONG.limits(ROWS), return_counts=True)
    assert lengths.tolist() == [16, 24, 32, 40, 48, 56, 64, 72, 80]
    expected = 0.2 * len(ROWS) / 8
    assert np.abs(counts[1:] - expected).max() < 4 * np.sqrt(expected)
    assert LONG.longest == 80


def test_long_rows_are_not_neighbours_more_often_than_by_chance():
    long = LONG.limits(ROWS) > 16
    assert np.mean(long[1:] & long[:-1]) == pytest.approx(0.2**2, abs=4 * 0.2 / np.sqrt(len(ROWS)))


@given(st.integers(4, 600), st.integers(8, 600))
@settings(max_examples=60, deadline=None)
def test_no_row_is_cut_beyond_the_limits_of_the_recipe(max_length, more):
    rules = TextRules(max_length=max_length, long_length=max_length + more, long_share=0.5)
    limits = rules.limits(np.arange(500))
    long = limits[limits != max_length]
    assert 200 < len(long) < 300
    assert max_length < long.min() <= long.max() == max_length + more


@pytest.mark.parametrize("more", [1, 2, 7])
def test_a_long_length_just_above_the_usual_one_still_has_its_share(more):
    """Steps of less than a token must not fall back to the usual length, where texts are not joined."""
    limits = TextRules(max_length=16, long_length=16 + more, long_share=0.5).limits(ROWS)
    assert np.mean(limits > 16) == pytest.approx(0.5, abs=0.01)


def test_rules_are_those_of_the_recipe():
    settings_ = section(prompts=("query: ", "passage: "), max_length=20, long_length=60, long_share=0.25)
    assert TextRules.of(settings_) == TextRules(("query: ", "passage: "), 20, 60, 0.25)
    assert TextRules.of(section(max_length=20)) == TextRules(max_length=20)


def test_every_rule_is_part_of_the_key(monkeypatch):
    """Targets of other texts under the same key would be taken for these."""
    every = [
        TextRules(), TextRules(prompts=("query: ",)), TextRules(prompts=("query: ", "")), TextRules(max_length=65),
        TextRules(long_length=128, long_share=0.1), TextRules(long_length=128, long_share=0.2),
        TextRules(long_length=129, long_share=0.1),
    ]  # fmt: skip
    keys = [json.dumps(rules.key()) for rules in every]
    monkeypatch.setattr(module, "SHARD_ROWS", 5)  # neighbours are joined inside a shard
    assert len({*keys, json.dumps(TextRules().key())}) == len(every) + 1


# --- making texts -------------------------------------------------------------------------------


def test_prompts_take_turns_by_row_through_all_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)
    rules = TextRules(prompts=("query: ", "passage: ", ""))
    assert make_shard(0, list("abcd"), ["en"] * 4, rules).texts == ["query: a", "passage: b", "c", "query: d"]
    assert make_shard(1, list("efg"), ["en"] * 3, rules).texts == ["passage: e", "f", "query: g"]


def test_texts_without_rules_are_the_corpus():
    texts, languages = numbered(20)
    shard = make_shard(3, texts, languages, TextRules(max_length=30))
    assert (shard.number, shard.texts, shard.limits.tolist()) == (3, texts, [30] * 20)


def test_a_long_text_is_joined_with_texts_of_its_own_language():
    texts, languages = numbered(300)
    shard = make_shard(0, texts, languages, LONG)
    long = np.flatnonzero(shard.limits > 16)
    assert len(long) > 40
    for row in long:
        code = languages[row]
        assert shard.texts[row].startswith(texts[row])
        words = shard.texts[row].split()
        assert words[::2] == [code] * (len(words) // 2)
        # the row itself and those of its language behind it, from the shard's end on to its beginning
        own = [number for number in range(300) if languages[number] == code]
        place = own.index(row)
        expected = [*own[place:], *own[:place]][: len(words) // 2]
        assert [int(word) for word in words[1::2]] == expected


@pytest.mark.parametrize("number", [0, 1, 7])
def test_rows_that_are_not_long_are_left_as_they_are(monkeypatch, number):
    """Which they are hangs on the row's number in the corpus, not in its shard."""
    monkeypatch.setattr(module, "SHARD_ROWS", 300)
    texts, languages = numbered(300)
    shard = make_shard(number, texts, languages, LONG)
    assert {row for row in range(300) if shard.texts[row] != texts[row]} == set(np.flatnonzero(shard.limits > 16))
    assert shard.limits.tolist() == LONG.limits(300 * number + np.arange(300)).tolist()


def test_a_joined_text_has_enough_characters_for_its_tokens_and_not_many_more():
    texts = ["x" * 29] * 200  # 30 with the space behind
    shard = make_shard(0, texts, ["en"] * 200, LONG)
    for row in np.flatnonzero(shard.limits > 16):
        # 8 characters a token, filled up with whole sentences
        assert len(shard.texts[row]) == (8 * shard.limits[row] // 30 + 1) * 30 - 1


def test_a_text_that_is_long_by_itself_is_not_joined():
    texts = ["x" * 1000] * 50
    assert make_shard(0, texts, ["en"] * 50, LONG).texts == texts


def test_the_only_text_of_a_language_stays_alone():
    texts, languages = numbered(300)
    long = int(np.flatnonzero(LONG.limits(np.arange(300)) > 16)[0])
    languages[long] = "qu"
    assert make_shard(0, texts, languages, LONG).texts[long] == texts[long]


def test_a_prompt_stands_once_before_a_joined_text():
    texts, languages = numbered(300)
    plain = make_shard(0, texts, languages, LONG)
    rules = TextRules(("query: ",), LONG.max_length, LONG.long_length, LONG.long_share)
    assert make_shard(0, texts, languages, rules).texts == ["query: " + text for text in plain.texts]


# --- reading ------------------------------------------------------------------------------------


def test_a_corpus_is_read_in_shards_of_their_full_size(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)
    texts, _ = numbered(10)
    corpus = write_corpus(tmp_path, languages=("en", "ko", "hi"), train=texts, validation=["other"])
    shards = list(read_shards(corpus, Split.TRAIN, TextRules()))
    assert [(shard.number, shard.texts) for shard in shards] == [(0, texts[:4]), (1, texts[4:8]), (2, texts[8:])]
    assert [len(shard.limits) for shard in shards] == [4, 4, 2]


@pytest.mark.parametrize(("rows", "sizes"), [(0, []), (3, [3]), (4, [4]), (8, [4, 4])])
def test_a_corpus_that_ends_with_a_shard_has_no_empty_one(tmp_path, monkeypatch, rows, sizes):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)
    corpus = write_corpus(tmp_path, train=["a text"] * rows)
    assert [len(shard.texts) for shard in read_shards(corpus, Split.TRAIN, TextRules())] == sizes


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_texts_do_not_depend_on_how_the_corpus_is_read(tmp_path, monkeypatch, batch_size):
    monkeypatch.setattr(module, "SHARD_ROWS", 100)
    rules = TextRules(("query: ", ""), LONG.max_length, LONG.long_length, LONG.long_share)
    texts, languages = numbered(250)
    corpus = write_corpus(tmp_path / "one", languages=("en", "ko", "hi"), train=texts)
    expected = []
    for number, part in enumerate((slice(0, 100), slice(100, 200), slice(200, 250))):
        shard = make_shard(number, texts[part], languages[part], rules)
        expected.append((number, shard.texts, shard.limits.tolist()))
    monkeypatch.setattr(module, "read_texts", partial(read_texts, batch_size=batch_size))
    assert shards_of(corpus, rules) == expected
    (tmp_path / "several").mkdir()
    for number, part in enumerate((slice(0, 120), slice(120, 130), slice(130, 250))):
        table = pa.table({"text": texts[part], "language": languages[part]})
        pq.write_table(table, tmp_path / "several" / f"train-{number:05d}.parquet")
    assert shards_of(tmp_path / "several", rules) == expected


# --- cutting ------------------------------------------------------------------------------------


def ends(tokenizer, text, limits):
    shard = TextShard(0, [text] * len(limits), np.array(limits))
    return [text[: cut.end] for cut in cut_shard(tokenizer, shard)]


def test_a_cut_covers_the_characters_of_the_tokens_that_are_left(tokenizer):
    # two tokens are <s> and </s>, the others words and the full stop
    assert ends(tokenizer, SENTENCE, [4, 6, 9, 10, 11]) == [
        "The doctor", "The doctor will see", "The doctor will see you after lunch", SENTENCE, SENTENCE,
    ]  # fmt: skip
    # न म स्त े together are one word
    assert ends(tokenizer, "नमस्ते दोस्त।", [4, 5, 7, 8]) == ["नम", "नमस्त", "नमस्ते दोस्त", "नमस्ते दोस्त।"]


def test_a_space_that_is_a_token_does_not_take_the_character_behind_it(tmp_path):
    """A lone ▁ claims the next character for itself, which belongs to the token that was cut off."""
    pieces = [("▁", -2.0), ("a", -3.0), ("b", -3.0), ("▁b", -9.0)]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json(pieces)), encoding="utf-8")
    tokenizer = open_tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.encode("a b").tokens == ["<s>", "▁", "a", "▁", "b", "</s>"]
    assert ends(tokenizer, "a b", [4, 5, 6]) == ["a", "a ", "a b"]


def test_every_text_is_cut_at_its_own_limit(tokenizer, tokenizer_path):
    """Texts are tokenized by limit, not in their order; each must come back to its place."""
    texts = [f"{number} trains and {SENTENCE} {SENTENCE}" for number in range(40)]
    shard = TextShard(0, texts, np.random.default_rng(0).choice([5, 8, 13, 20, 64], 40))
    cuts = cut_shard(tokenizer, shard)
    own = open_tokenizer(tokenizer_path)
    for text, limit, found in zip(texts, shard.limits.tolist(), cuts, strict=True):
        whole = own.encode(text)
        ids = whole.ids if len(whole.ids) <= limit else [*whole.ids[: limit - 1], whole.ids[-1]]
        assert found.ids == ids
        assert found.end == (len(text) if ids == whole.ids else whole.offsets[limit - 2][1])


def test_a_text_that_is_joined_fills_its_limit(tokenizer):
    texts = [f"{SENTENCE} {number}" for number in range(60)]
    shard = make_shard(0, texts, ["en"] * 60, LONG)
    lengths = np.array([len(cut.ids) for cut in cut_shard(tokenizer, shard)])
    assert (shard.limits > 16).sum() > 5
    assert (lengths[shard.limits > 16] == shard.limits[shard.limits > 16]).all()
    assert lengths.max() <= LONG.longest


@pytest.mark.parametrize("limit", [4, 7, 12, 30])
def test_what_a_cut_covers_gives_the_same_tokens_again(tokenizer, limit):
    """The student gets these characters alone."""
    texts = [
        SENTENCE,
        "안녕하세요, 오늘 날씨가 좋네요.",
        "query: Où est la gare?",
        "नमस्ते दोस्त।",
        "a",
        "東京に行きます。",
    ]
    tokenizer.enable_truncation(limit)
    cuts = cut_texts(tokenizer, texts)
    covered = [text[: cut.end] for text, cut in zip(texts, cuts, strict=True)]
    assert [cut.ids for cut in cut_texts(tokenizer, covered)] == [cut.ids for cut in cuts]

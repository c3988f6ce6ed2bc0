"""The student's tokens: of exactly the text that the teacher saw, in shards beside the targets' ones."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
import torch

from babelpress.architectures.packed import Group
from babelpress.corpus.sentence import Split
from babelpress.distillation import tokens as module
from babelpress.distillation.shards import facts_of, write_shard
from babelpress.distillation.targets import Targets
from babelpress.distillation.texts import TextRules, read_shards
from babelpress.distillation.tokens import TokenStore, build_token_store
from babelpress.errors import TrainingError
from babelpress.teacher import read_teacher
from babelpress.utils.tokenizer import open_tokenizer
from tests.distillation.examples import (
    EVERY,
    HELD_OUT,
    LONG,
    TEXTS,
    compute,
    contents,
    killed_while_writing,
    spec_of,
    stamps,
)
from tests.tiny import invented_words, make_teacher, tokenizer_json

RULES = TextRules(max_length=32)
NAMES = [f"train-{number:05d}.safetensors" for number in range(3)]


def letters():
    """Pieces of one character each."""
    characters = sorted({character for text in [*TEXTS, *HELD_OUT, "query:"] for character in text if character != " "})
    return [("▁", -2.0)] + [(character, -3.0) for character in characters]


def with_words():
    """Pieces of one character each, and every word of the texts, which is likelier."""
    found = sorted({word for text in TEXTS for word in text.split()})
    return [*letters(), *(("▁" + word, -1.0) for word in found)]


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    """A student that spells."""
    return make_teacher(tmp_path_factory.mktemp("student") / "speller", pieces=letters())


def build(student, corpus, folder, targets, *, rules=RULES, key="key", max_length=126) -> TokenStore:
    return build_token_store(
        student, corpus, folder, split=Split.TRAIN, targets=targets, rules=rules, key=key, max_length=max_length
    )


def whole_ends(*rows: int) -> Targets:
    """Targets of so many rows a shard whose texts are not cut."""
    return Targets(tuple({"embeddings": torch.zeros(n, 2), "ends": torch.full((n,), 999)} for n in rows))


# --- the same text ------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_the_student_sees_the_text_that_the_teacher_saw(corpus, speller, tmp_path):
    """The student's pieces may be longer or shorter: it gets the same characters, not as many tokens."""
    teacher = read_teacher(str(make_teacher(tmp_path / "teacher", pieces=with_words())))
    targets = compute(spec_of(teacher, corpus, max_length=10), tmp_path / "targets")
    ends = np.concatenate([targets.ends(number) for number in range(3)])
    store = build(speller, corpus, tmp_path / "tokens", targets, rules=TextRules(max_length=10))
    whole = open_tokenizer(teacher.folder / "tokenizer.json")
    whole.enable_truncation(10)
    own = open_tokenizer(speller / "tokenizer.json")
    for row, text in enumerate(TEXTS):
        seen = text[: ends[row]]
        assert whole.encode(seen).ids == whole.encode(text).ids
        assert store.sentence(row) == own.encode(seen).ids
    assert LONG[: ends[2]] == "The doctor will see you after lunch, and"  # eight words between <s> and </s>
    assert len(store.sentence(2)) == 2 + len(LONG[: ends[2]].replace(" ", "▁")) + 1
    assert ends[1] == len("Hello.")


def test_prompts_count_when_texts_are_cut_and_reach_the_student_too(teacher, corpus, tmp_path):
    rules = {"max_length": 20, "prompts": ("query: ",)}
    targets = compute(spec_of(teacher, corpus, **rules), tmp_path / "targets")
    store = build(teacher.folder, corpus, tmp_path / "tokens", targets, rules=TextRules(**rules))
    own = open_tokenizer(teacher.folder / "tokenizer.json")
    own.enable_truncation(20)
    ends = targets.ends(0)
    assert ends[2] < len(LONG)
    assert ends[1] == len("query: Hello.")
    for row, text in enumerate(TEXTS):
        seen = own.encode("query: " + text).ids
        cut_behind_a_space = ends[row] < len("query: " + text) and seen[-2] == own.token_to_id("▁")
        assert store.sentence(row) == (seen[:-2] + seen[-1:] if cut_behind_a_space else seen)


@pytest.mark.usefixtures("small_shards")
def test_texts_that_are_joined_to_be_long_reach_the_student_joined(teacher, corpus, tmp_path):
    rules = TextRules(max_length=8, long_length=100, long_share=0.5)
    spec = spec_of(teacher, corpus, max_length=8, long_length=100, long_share=0.5)
    targets = compute(spec, tmp_path / "targets")
    store = build(teacher.folder, corpus, tmp_path / "tokens", targets, rules=rules)
    own = open_tokenizer(teacher.folder / "tokenizer.json")
    texts = [text for shard in read_shards(corpus, Split.TRAIN, rules) for text in shard.texts]
    assert any(text not in TEXTS for text in texts)
    for row, text in enumerate(texts):
        end = targets.ends(row // 4)[row % 4]
        assert store.sentence(row) == own.encode(text[:end]).ids
    assert 8 < max(store.lengths(EVERY)) <= 100


def test_the_student_never_gets_more_tokens_than_it_has_positions(teacher, corpus, speller, tmp_path):
    targets = compute(spec_of(teacher, corpus, max_length=64), tmp_path / "targets")
    store = build(speller, corpus, tmp_path / "tokens", targets, max_length=40)
    assert max(store.lengths(EVERY)) == 40


# --- what the store gives -----------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_packed_sentences_are_the_sentences(corpus, speller, tmp_path):
    store = build(speller, corpus, tmp_path, whole_ends(4, 4, 2))
    lengths = store.lengths(EVERY)
    assert lengths.tolist() == [len(store.sentence(row)) for row in range(10)]
    assert (store.rows, store.tokens) == (10, lengths.sum())
    rows = np.concatenate([EVERY, [4, 9]])  # also some of them twice
    rows = rows[np.argsort(store.lengths(rows), kind="stable")]
    packed = store.pack(rows)
    assert packed.ids.dtype is torch.int64
    assert packed.ids.tolist() == [token for row in rows for token in store.sentence(row)]
    assert np.repeat(*np.array(packed.groups)[:, ::-1].T).tolist() == store.lengths(rows).tolist()
    assert store.pack(np.array([4, 4])).groups == (Group(2, len(store.sentence(4))),)


def test_sentences_out_of_order_are_not_packed_into_something_wrong(corpus, speller, tmp_path):
    store = build(speller, corpus, tmp_path, whole_ends(10))
    with pytest.raises(ValueError, match="in order of their length"):
        store.pack(np.array([2, 1, 2]))


def test_a_small_vocabulary_takes_two_bytes_a_token(corpus, speller, tmp_path):
    store = build(speller, corpus, tmp_path, whole_ends(10))
    assert store.shards[0]["ids"].dtype is torch.uint16


def test_a_large_vocabulary_keeps_its_high_ids(corpus, tmp_path):
    """65,536 ids fit into two bytes, one more does not."""
    many = [*letters(), *(("▁" + word, -9.0) for word in islice(invented_words(), 66_000))]
    pieces = [*many, ("▁Hello.", -1.0)]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json(pieces)), encoding="utf-8")
    store = build(tmp_path, corpus, tmp_path / "tokens", whole_ends(10))
    number = 4 + len(many)
    assert number > 1 << 16
    assert store.sentence(1) == [0, number, 2]
    assert store.pack(np.array([1])).ids.tolist() == [0, number, 2]


# --- shards -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_a_token_store_that_is_there_is_not_built_again(corpus, speller, tmp_path):
    first = build(speller, corpus, tmp_path, whole_ends(4, 4, 2))
    before = stamps(tmp_path)
    assert list(before) == NAMES
    second = build(speller, corpus, tmp_path, whole_ends(4, 4, 2))
    assert stamps(tmp_path) == before
    assert [first.sentence(row) for row in range(10)] == [second.sentence(row) for row in range(10)]


@pytest.mark.usefixtures("small_shards")
def test_a_killed_store_keeps_its_whole_shards(corpus, speller, tmp_path, monkeypatch):
    with killed_while_writing(monkeypatch, module, NAMES[1]):
        build(speller, corpus, tmp_path / "killed", whole_ends(4, 4, 2))
    before = stamps(tmp_path / "killed")
    assert list(before) == NAMES[:1]
    build(speller, corpus, tmp_path / "killed", whole_ends(4, 4, 2))
    assert stamps(tmp_path / "killed")[NAMES[0]] == before[NAMES[0]]
    build(speller, corpus, tmp_path / "whole", whole_ends(4, 4, 2))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("small_shards")
def test_a_damaged_shard_of_tokens_is_made_again_alone(corpus, speller, tmp_path):
    build(speller, corpus, tmp_path, whole_ends(4, 4, 2))
    whole, before = contents(tmp_path), stamps(tmp_path)
    damaged = bytearray((tmp_path / NAMES[1]).read_bytes())
    damaged[-3] ^= 1
    (tmp_path / NAMES[1]).write_bytes(bytes(damaged))
    build(speller, corpus, tmp_path, whole_ends(4, 4, 2))
    assert contents(tmp_path) == whole
    assert {name for name, stamp in stamps(tmp_path).items() if stamp != before[name]} == {NAMES[1]}


def test_tokens_of_another_student_or_other_targets_are_made_again(corpus, speller, teacher, tmp_path):
    build(speller, corpus, tmp_path, whole_ends(10), key="of the speller")
    store = build(teacher.folder, corpus, tmp_path, whole_ends(10), key="of the teacher", max_length=999)
    own = open_tokenizer(teacher.folder / "tokenizer.json")
    assert [store.sentence(row) for row in range(10)] == [own.encode(text).ids for text in TEXTS]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("rows", [(4, 4, 1), (4, 4, 3), (4, 3), (4, 4, 4, 1), (4, 4, 2, 4)])
def test_targets_of_another_corpus_are_refused_not_trained_on(corpus, speller, tmp_path, rows):
    with pytest.raises(TrainingError, match=rf"the targets cover {sum(rows)} sentences, the corpus has .* or more"):
        build(speller, corpus, tmp_path, whole_ends(*rows))


@pytest.mark.usefixtures("small_shards")
def test_targets_of_the_first_shards_alone_give_tokens_of_these_and_read_no_further(
    corpus, speller, tmp_path, monkeypatch
):
    whole = build(speller, corpus, tmp_path / "whole", whole_ends(4, 4, 2))
    read = []
    monkeypatch.setattr(
        module, "read_shards", lambda *given: (read.append(shard.number) or shard for shard in read_shards(*given))
    )
    store = build(speller, corpus, tmp_path / "first", whole_ends(4, 4))
    assert read == [0, 1]
    assert store.rows == 8
    assert [store.sentence(row) for row in range(8)] == [whole.sentence(row) for row in range(8)]
    assert list(stamps(tmp_path / "first")) == NAMES[:2]


def test_a_shard_of_other_rows_is_not_taken_for_whole(corpus, speller, tmp_path):
    whole = build(speller, corpus, tmp_path / "whole", whole_ends(10))
    short = {"ids": torch.zeros(4, dtype=torch.uint16), "offsets": torch.tensor([0, 4])}
    (tmp_path / "short").mkdir()
    write_shard(tmp_path / "short" / NAMES[0], short, key=facts_of(tmp_path / "whole" / NAMES[0])["key"], rows=1)
    store = build(speller, corpus, tmp_path / "short", whole_ends(10))
    assert [store.sentence(row) for row in range(10)] == [whole.sentence(row) for row in range(10)]

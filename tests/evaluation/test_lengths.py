"""Texts of exactly so many tokens, counted by the tokenizers library, and figures over them by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import load_meanings
from babelpress.evaluation.fidelity.lengths import LENGTHS, at_lengths, long_texts
from babelpress.evaluation.fidelity.text_encoder import TextEncoder
from babelpress.teacher import read_teacher
from babelpress.utils.tokenizer import load_tokenizer, open_tokenizer
from tests.families import FAMILIES

LANGUAGES = ("en", "ko", "ja", "th", "hi")


def no_embeddings(texts: list[str]) -> np.ndarray:
    raise AssertionError("nothing has to be embedded to make texts")


def reader(tokenizer: Tokenizer, **settings) -> TextEncoder:
    return TextEncoder(no_embeddings, tokenizer, **settings)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_tokenizer(read_teacher("bundled").folder / "tokenizer.json")


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return {code: [meaning.texts[code] for meaning in load_meanings()] for code in LANGUAGES}


@pytest.fixture(scope="module")
def made(tokenizer, texts) -> dict[int, list[str]]:
    return long_texts(reader(tokenizer), texts)


def test_every_text_has_exactly_so_many_tokens_special_ones_included(made, tokenizer):
    assert tuple(made) == LENGTHS
    for tokens, cut in made.items():
        assert {len(tokenizer.encode(text).ids) for text in cut} == {tokens}


def test_there_are_64_of_each_length_while_lines_last_and_none_twice(made):
    counts = {tokens: len(set(cut)) for tokens, cut in made.items()}
    assert counts.pop(512) >= 40, "five languages of 360 lines do not have many more"
    assert counts == dict.fromkeys(LENGTHS[:-1], 64)
    assert all(len(cut) == len(set(cut)) for cut in made.values())


def test_languages_give_alike(made, texts):
    joined = {code: ("" if code in {"ja", "th"} else " ").join(lines) for code, lines in texts.items()}
    for tokens in LENGTHS[:-1]:
        counts = [sum(text in whole for text in made[tokens]) for whole in joined.values()]
        assert sorted(counts) == [12, 13, 13, 13, 13], "each text is a run of one language's lines, joined as it joins"


def test_a_text_begins_with_a_line_and_no_line_is_used_twice(made, texts):
    for cut in made.values():
        for code, gap in (("en", " "), ("ja", "")):
            starts, position = {}, 0
            for row, line in enumerate(texts[code]):
                starts[position] = row
                position += len(line) + len(gap)
            whole = gap.join(texts[code])
            own = [text for text in cut if text in whole]
            ends = [(whole.index(text), whole.index(text) + len(text)) for text in own]
            assert all(start in starts for start, _ in ends)
            assert all(end <= start for (_, end), (start, _) in pairwise(ends))


def test_texts_are_spread_over_the_lines(made, texts):
    short = [text for text in made[8] if any(line.startswith(text) for line in texts["en"])]
    rows = [next(row for row, line in enumerate(texts["en"]) if line.startswith(text)) for text in short]
    assert len(rows) == 12
    assert np.allclose(np.diff(rows), len(texts["en"]) / 12, atol=2)


def test_the_tokenizer_that_is_given_is_left_as_it_was(tokenizer, texts):
    before = tokenizer.to_str()
    long_texts(reader(tokenizer), texts, lengths=(8,))
    assert tokenizer.to_str() == before


def test_lengths_beyond_the_teachers_own_are_left_out(tokenizer, texts):
    assert tuple(long_texts(reader(tokenizer, max_length=128), texts)) == (8, 16, 32, 64, 128)
    assert tuple(long_texts(reader(tokenizer, max_length=127), texts)) == (8, 16, 32, 64)


def test_a_prompt_is_counted_and_is_no_part_of_the_text(tokenizer, texts):
    found = long_texts(reader(tokenizer, prompt="query: "), texts, lengths=(16,))[16]
    assert {len(tokenizer.encode("query: " + text).ids) for text in found} == {16}
    assert not any(text.startswith("query: ") for text in found)


def test_a_language_whose_lines_are_too_few_gives_less(tokenizer, texts):
    few = {"en": texts["en"], "ko": texts["ko"][:3]}
    found = long_texts(reader(tokenizer), few, lengths=(16, 256), count=20)
    assert sum(any("가" <= character <= "힣" for character in text) for text in found[16]) == 3
    assert len(found[256]) == 17
    assert all(any(line in text for line in texts["en"]) for text in found[256])


def test_a_length_of_fewer_than_8_texts_is_left_out(tokenizer, texts):
    lines = {"en": texts["en"][:40]}
    sizes = {tokens: len(cut) for tokens, cut in long_texts(reader(tokenizer), lines).items()}
    assert min(sizes.values()) >= 8
    assert 8 in sizes
    assert 512 not in sizes
    assert long_texts(reader(tokenizer), {"en": ["too short"] * 3}) == {}


def test_without_a_tokenizer_there_are_no_lengths(texts):
    assert long_texts(TextEncoder(no_embeddings), texts) == {}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_texts_of_every_family_have_exactly_so_many_tokens(family, texts):
    tokenizer = load_tokenizer(FAMILIES[family]())
    found = long_texts(reader(tokenizer), texts, lengths=(16, 64))
    assert found
    for tokens, cut in found.items():
        assert {len(tokenizer.encode(text).ids) for text in cut} == {tokens}


# --- what a model reads -------------------------------------------------------------------------


def test_a_model_reads_all_tokens_of_its_longest_text(tiny_teacher, texts):
    model = load_encoder(tiny_teacher)
    teacher = TextEncoder.of(model, batch_size=8)
    assert teacher.max_length == 128
    found = long_texts(teacher, texts)
    assert tuple(found) == (8, 16, 32, 64, 128)
    for tokens, cut in found.items():
        assert set(model.preprocess(cut)["attention_mask"].sum(dim=1).tolist()) == {tokens}
        assert all(teacher.reads_whole(cut))


def test_texts_that_a_model_cuts_are_told(tiny_teacher):
    model = load_encoder(tiny_teacher)
    model.max_seq_length = 5
    short, long = "a", "a b c d e f g"
    reads = TextEncoder.of(model, batch_size=8).reads_whole([short, long])
    uncut = model.tokenizer([short, long], truncation=False)["input_ids"]
    assert reads == [len(ids) <= 5 for ids in uncut] == [True, False]


def test_figures_are_over_the_texts_that_are_read_whole():
    teacher = {8: np.array([[1, 0], [1, 0], [1, 0]], dtype=np.float32)}
    model = {8: np.array([[1, 0], [0.6, 0.8], [-1, 0]], dtype=np.float32)}
    (at,) = at_lengths(model, teacher, {8: [True, True, False]})
    assert (at.tokens, at.texts) == (8, 2)
    assert at.cosine == pytest.approx(0.8)
    assert at.cosine_p5 == pytest.approx(0.62)  # 5 % of the way from 0.6 to 1

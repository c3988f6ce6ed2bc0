"""The fixtures of every tokenizer family: they load, they cut and rejoin text, and their pieces are reached."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.families import BIG, BYTES, FAMILIES, tokenizer_config_of
from tests.tiny import id_count, make_teacher
from tests.tokenizer_parts import sentences

TEXTS = sentences()[:96]  # six meanings in sixteen languages
LATIN = ("Well, look who finally made it back.", "Xin chào các bạn", "Привет, как дела?")
LOSSLESS = ("unigram_gemma", "bpe_bytelevel", "bpe_roberta", "bpe_gemma")
EVERY = [*FAMILIES, *BIG]


def family(name: str) -> dict:
    return (FAMILIES | BIG)[name]()


@lru_cache(maxsize=16)
def loaded(name: str) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(family(name)))


def ordinary(tokenizer: dict) -> list[str]:
    """The pieces of a vocabulary that text is cut into; bytes and added or reserved tokens are not."""
    others = {*BYTES, *(token["content"] for token in tokenizer["added_tokens"])}
    return [piece for piece in tokenizer["model"]["vocab"] if piece not in others]


def unreached(name: str) -> list[str]:
    """The pieces of a BPE vocabulary that its merges do not make of their own characters."""
    tokenizer = family(name)
    suffix = tokenizer["model"]["end_of_word_suffix"] or ""
    unmarked = Tokenizer.from_str(
        json.dumps({**tokenizer, "model": {**tokenizer["model"], "end_of_word_suffix": None}})
    )

    def cut(piece: str) -> list[str]:
        marked = suffix and piece.endswith(suffix)
        found = loaded(name).model.tokenize(piece.removesuffix(suffix)) if marked else unmarked.model.tokenize(piece)
        return [token.value for token in found]

    return [piece for piece in ordinary(tokenizer) if cut(piece) != [piece]]


@pytest.mark.parametrize("name", FAMILIES)
def test_there_are_pieces_to_drop_and_special_tokens_are_where_they_say(name):
    tokenizer = family(name)
    assert 1500 <= len(tokenizer["model"]["vocab"]) <= 3000
    assert loaded(name).get_vocab_size() == id_count(tokenizer)
    for token in tokenizer["added_tokens"]:
        assert loaded(name).token_to_id(token["content"]) == token["id"]
    roles = {role: token for role, token in tokenizer_config_of(name).items() if role.endswith("_token")}
    assert "pad_token" in roles
    assert set(roles.values()) <= {token["content"] for token in tokenizer["added_tokens"]}


@pytest.mark.parametrize("name", EVERY)
def test_text_is_cut_into_more_than_unknown_pieces_and_rejoined(name):
    tokenizer = loaded(name)
    exact = name in (*LOSSLESS, "big_bpe")
    for text in TEXTS if exact else LATIN:
        found = tokenizer.decode(tokenizer.encode(text).ids)
        assert found == text if exact else found.replace(" ", "") == text.replace(" ", ""), text
    unknown = {"<unk>", "[UNK]"}
    pieces = [piece for encoding in tokenizer.encode_batch(list(TEXTS)) for piece in encoding.tokens]
    assert sum(piece in unknown for piece in pieces) < 0.1 * len(pieces)
    assert len(pieces) < 0.7 * sum(map(len, TEXTS))


@pytest.mark.parametrize("name", ["bpe_bytelevel", "bpe_roberta", "bpe_gemma", "bpe_suffix", "big_bpe"])
def test_merges_reach_the_pieces(name):
    missing = unreached(name)
    assert len(missing) <= 0.05 * len(ordinary(family(name))), missing[:10]


def test_a_converted_vocabulary_has_more_merges_than_pieces():
    model = family("bpe_gemma")["model"]
    made = {left + right for left, right in model["merges"]}
    ranks = [model["vocab"][left + right] for left, right in model["merges"]]
    assert ranks == sorted(ranks)
    assert len(model["merges"]) > 1.2 * len(made)


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_cuts_text_alike_in_a_tiny_teacher(name, tmp_path):
    config = tokenizer_config_of(name)
    folder = make_teacher(tmp_path / name, layers=1, tokenizer=family(name), tokenizer_config=config)
    texts = list(TEXTS[:32])
    expected = [encoding.ids for encoding in loaded(name).encode_batch(texts)]
    plain = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    rebuilt = AutoTokenizer.from_pretrained(folder)
    assert [plain(texts)["input_ids"], rebuilt(texts)["input_ids"]] == [expected, expected]
    assert len(rebuilt) == id_count(family(name))
    assert rebuilt.pad_token == config["pad_token"]


def test_the_big_ones_have_real_sizes():
    assert {name: len(build()["model"]["vocab"]) for name, build in BIG.items()} == {
        "big_unigram": 250_002, "big_bpe": 150_000, "big_wordpiece": 120_000,
    }  # fmt: skip

"""Tokenizers that are cut at spaces in one way or another, and the counts that the library itself finds."""

from __future__ import annotations

import copy
from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer
from tests.tiny import embedded_tokenizer
from tests.tokenizer_parts import added, byte_level
from tests.vocabulary import file_of, teacher_of, tokenizer_of

METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


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

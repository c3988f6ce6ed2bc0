"""What the vocabulary tests share: a vocabulary small enough to compute with by hand, and the embedded one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from babelpress.corpus.bundled import load_meanings
from babelpress.recipe import VocabularyMethod
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.plan import VocabularyPlan, plan_vocabulary
from tests.tiny import SPECIAL, embedded_tokenizer

LANGUAGES = ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl")

# ids:      4           5            6            7              8            9            10            11
SMALL = [("▁", -2.0), ("a", -3.0), ("b", -4.0), ("▁ab", -5.0), ("ba", -6.0), ("c", -7.0), ("▁c", -8.0), ("d", -9.0)]
MASK = 12


def small_json(pieces: list[tuple[str, float]] | None = None) -> dict[str, Any]:
    """The parts of a tokenizer.json that a plan reads."""
    vocabulary = [[piece, 0.0] for piece in SPECIAL] + [list(pair) for pair in pieces or SMALL] + [["<mask>", 0.0]]
    places = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    return {
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary},
        "added_tokens": [{"id": places[piece], "content": piece} for piece in [*SPECIAL, "<mask>"]],
    }


def counts_of(ids: int = 13, **languages: dict[int, int]) -> PieceCounts:
    """Counts from {id: occurrences} per language; ten sentences each."""
    pieces = {}
    for code, found in sorted(languages.items()):
        pieces[code] = np.zeros(ids, dtype=np.int64)
        for number, times in found.items():
            pieces[code][number] = times
    return PieceCounts(pieces, dict.fromkeys(pieces, 10))


@lru_cache(maxsize=1)
def teacher_tokenizer() -> Tokenizer:
    import json

    return Tokenizer.from_str(json.dumps(embedded_tokenizer(), ensure_ascii=False))


@lru_cache(maxsize=1)
def teacher_counts() -> PieceCounts:
    """The embedded teacher's pieces in the embedded sentences."""
    batches = ((list(meaning.texts.values()), list(meaning.texts)) for meaning in load_meanings())
    return count_pieces(teacher_tokenizer(), batches, ids=len(embedded_tokenizer()["model"]["vocab"]))


@lru_cache(maxsize=4)
def embedded_plan(size: int = 9000) -> VocabularyPlan:
    """A budget of the embedded teacher that drops most of its pieces."""
    return plan_vocabulary(
        embedded_tokenizer(), teacher_counts(), method=VocabularyMethod.BUDGET, size=size,
        characters=alphabet(LANGUAGES, teacher_tokenizer().normalizer),
    )  # fmt: skip

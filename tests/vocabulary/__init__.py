"""What the vocabulary tests share: a vocabulary to compute with by hand, and pressed ones of every family."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from babelpress.corpus.bundled import load_meanings
from babelpress.recipe import SpecialText, VocabularyMethod
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.lexicons import open_lexicon
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surface import surface_of
from babelpress.vocabulary.surgery import rewrite_tokenizer, without_special_text
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, Family, TokenizerFile, parse_tokenizer
from tests.families import BIG, FAMILIES
from tests.tiny import SPECIAL, embedded_tokenizer

LANGUAGES = ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl")

# ids:      4           5            6            7              8            9            10            11
SMALL = [("▁", -2.0), ("a", -3.0), ("b", -4.0), ("▁ab", -5.0), ("ba", -6.0), ("c", -7.0), ("▁c", -8.0), ("d", -9.0)]
MASK = 12
ASCII = [chr(code) for code in range(0x21, 0x7F)]


def small_json(pieces: list[tuple[str, float]] | None = None) -> dict[str, Any]:
    """The parts of a tokenizer.json that a plan reads."""
    vocabulary = [[piece, 0.0] for piece in SPECIAL] + [list(pair) for pair in pieces or SMALL] + [["<mask>", 0.0]]
    places = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    return {
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary},
        "added_tokens": [{"id": places[piece], "content": piece} for piece in [*SPECIAL, "<mask>"]],
    }


def small_file(pieces: list[tuple[str, float]] | None = None) -> TokenizerFile:
    return parse_tokenizer(small_json(pieces))


def counts_of(ids: int = 13, **languages: dict[int, int]) -> PieceCounts:
    """Counts from {id: occurrences} per language; ten sentences each."""
    pieces = {}
    for code, found in sorted(languages.items()):
        pieces[code] = np.zeros(ids, dtype=np.int64)
        for number, times in found.items():
            pieces[code][number] = times
    return PieceCounts(pieces, dict.fromkeys(pieces, 10))


# --- every family ---------------------------------------------------------------------------------


def tokenizer_of(name: str) -> dict[str, Any]:
    """A family's tokenizer.json by its name; "embedded" is the teacher's that is shipped."""
    return embedded_tokenizer() if name == "embedded" else (FAMILIES | BIG)[name]()


@lru_cache(maxsize=16)
def file_of(name: str) -> TokenizerFile:
    return parse_tokenizer(tokenizer_of(name), origin=name)


@lru_cache(maxsize=16)
def teacher_of(name: str) -> Tokenizer:
    return load_tokenizer(tokenizer_of(name))


def meanings() -> list[tuple[list[str], list[str]]]:
    """The embedded sentences as batches of texts and languages."""
    return [(list(meaning.texts.values()), list(meaning.texts)) for meaning in load_meanings()]


@lru_cache(maxsize=16)
def counts_for(name: str) -> PieceCounts:
    """A family's pieces in the embedded sentences."""
    return count_pieces(file_of(name), meanings())


def new_pieces(name: str) -> int:
    return len(open_lexicon(file_of(name)).fallback())


@lru_cache(maxsize=256)
def plan_of(name: str, size: int | None = None, **options: Any) -> VocabularyPlan:
    """A budget with all of ASCII; unless a size is given, one that drops a quarter of the teacher's pieces."""
    size = new_pieces(name) + 3 * len(file_of(name).pieces) // 4 if size is None else size
    options = {"method": VocabularyMethod.BUDGET, "size": size, "characters": ASCII, **options}
    return plan_vocabulary(file_of(name), counts_for(name), **options)


@lru_cache(maxsize=8)
def plan_with_alphabet(name: str, size: int) -> VocabularyPlan:
    listed = alphabet(LANGUAGES, file_of(name))
    return plan_vocabulary(
        file_of(name), counts_for(name), method=VocabularyMethod.BUDGET, size=size, characters=listed
    )


def usual_plan(name: str) -> VocabularyPlan:
    """The plan of the students below; of real sizes it is the reference's."""
    return plan_of(name) if name not in BIG else plan_with_alphabet(name, 15_424)


@lru_cache(maxsize=32)
def student_json(name: str, special_text: SpecialText = SpecialText.AS_TEACHER) -> dict[str, Any]:
    rewritten = rewrite_tokenizer(file_of(name), usual_plan(name))
    return without_special_text(rewritten) if special_text is SpecialText.PLAIN else rewritten


@lru_cache(maxsize=32)
def student_of(name: str, special_text: SpecialText = SpecialText.AS_TEACHER) -> Tokenizer:
    return load_tokenizer(student_json(name, special_text))


def unknown_of(name: str) -> int | None:
    """The student's id for what it cannot spell."""
    unk = file_of(name).unk_id
    return None if unk is None else usual_plan(name).id_map[unk]


@lru_cache(maxsize=16)
def byte_ids_of(name: str) -> set[int]:
    """The ids of byte pieces in a student; of byte-level ones none, because text may spell those."""
    ids = student_of(name).get_vocab()
    return {ids[piece] for piece in BYTE_PIECES if piece in ids}


def ids_of(tokenizer: Tokenizer, texts: list[str], *, special: bool = False) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=special)]


@lru_cache(maxsize=16)
def kept_surfaces(name: str) -> tuple[str, ...]:
    """The texts of the kept pieces; a space before those that begin a word, byte names and special tokens left out."""
    file, plan = file_of(name), usual_plan(name)
    surface, plain = surface_of(file), file.plain_ids
    prefix = file.model.get("continuing_subword_prefix") or "" if file.family is Family.WORDPIECE else ""
    found = []
    for number in plan.kept:
        piece, text = file.pieces[number], surface(file.pieces[number])
        if plain[number] and text:
            begins = piece[0] in "▁Ġ" or (prefix and not piece.startswith(prefix))
            found.append(f" {text}" if begins else text)
    random.Random(0).shuffle(found)
    return tuple(found)


# --- the embedded teacher -------------------------------------------------------------------------


def teacher_tokenizer() -> Tokenizer:
    return teacher_of("embedded")


def teacher_counts() -> PieceCounts:
    return counts_for("embedded")


def embedded_plan(size: int = 9000) -> VocabularyPlan:
    """A budget of the embedded teacher that drops most of its pieces."""
    return plan_with_alphabet("embedded", size)

"""What the tokenizer.json files of `tests.families` are put together of, and the text they are learnt from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from tokenizers import Tokenizer

from babelpress.corpus.bundled import load_meanings


def byte_level(**options: bool) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **options}


def added(content: str, number: int, **flags: bool) -> dict:
    """An added token; special, and not touched by the normaliser, unless the flags say otherwise."""
    return {
        "id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": True, **flags,
    }  # fmt: skip


def template(single: str, pair: str, ids: dict[str, int]) -> dict:
    """A TemplateProcessing in short: `<s> $A </s>`; `$B:1` puts the second text into segment 1."""

    def part(word: str) -> dict:
        name, _, segment = word.partition(":")
        kind = "Sequence" if name.startswith("$") else "SpecialToken"
        return {kind: {"id": name.removeprefix("$"), "type_id": int(segment or 0)}}

    special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ids.items()}
    parts = {"single": [part(word) for word in single.split()], "pair": [part(word) for word in pair.split()]}
    return {"type": "TemplateProcessing", **parts, "special_tokens": special}


def assemble(model: dict, added_tokens: Iterable[dict] = (), **parts: dict | None) -> dict:
    """A whole tokenizer.json; the parts that are not named are null."""
    names = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens),
        **{name: parts.get(name) for name in names}, "model": model,
    }  # fmt: skip


def bpe(vocabulary: dict[str, int], merges: list, **options: object) -> dict:
    return {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        **options, "vocab": vocabulary, "merges": merges,
    }  # fmt: skip


def wordpiece(vocabulary: dict[str, int]) -> dict:
    options = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    return {"type": "WordPiece", **options, "vocab": vocabulary}


def numbered(*groups: Iterable[str]) -> dict[str, int]:
    """Piece → id, in order, each piece once."""
    return {piece: number for number, piece in enumerate(dict.fromkeys(piece for group in groups for piece in group))}


# --- text, counted and learnt from ----------------------------------------------------------------


@lru_cache(maxsize=1)
def sentences() -> tuple[str, ...]:
    return tuple(text for meaning in load_meanings() for text in meaning.texts.values())


@lru_cache(maxsize=4)
def common_characters(count: int) -> tuple[str, ...]:
    """The most frequent characters, all of printable ASCII among them, in code point order."""
    seen = Counter(character for text in sentences() for character in text if character.isprintable())
    seen.update(dict.fromkeys(map(chr, range(0x21, 0x7F)), 1_000_000))
    del seen[" "]
    return tuple(sorted(sorted(seen, key=lambda character: (-seen[character], character))[:count]))


@lru_cache(maxsize=4)
def common_text(count: int) -> tuple[str, ...]:
    """The sentences with a space in place of every other character, so that an alphabet stays small."""
    known = set(common_characters(count))
    return tuple("".join(c if c in known else " " for c in text) for text in sentences())


def trained(trainer: object, texts: Iterable[str], model: dict, **parts: dict | None) -> dict:
    """The model that a trainer of the tokenizers library makes of texts cut by these parts."""
    tokenizer = Tokenizer.from_str(json.dumps(assemble(model, **parts)))
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]

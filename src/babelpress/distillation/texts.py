"""What the teacher and the student read: the same text, cut once (docs/pitfalls.md, C2, C4).

A row of the corpus becomes a training text by rules that hang on its number alone: which prompt stands
before it, how many of the teacher's tokens it may have, and whether its neighbours are joined to it, so that
the student meets long texts even where the corpus has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from babelpress.corpus.build import read_texts
from babelpress.corpus.sentence import Split
from babelpress.distillation.batches import mix
from babelpress.recipe import DistillationSection

SHARD_ROWS = 1 << 16
_LEVELS = 8  # lengths that long texts are cut at; each is one pass of the tokenizer
_CHARACTERS_PER_TOKEN = 8  # enough for any script; what is too much is cut


@dataclass(frozen=True)
class TextRules:
    """How rows become texts. Lengths are in teacher tokens, special tokens included."""

    prompts: tuple[str, ...] = ("",)
    max_length: int = 64
    long_length: int | None = None
    long_share: float = 0.0

    @classmethod
    def of(cls, settings: DistillationSection) -> TextRules:
        """Take the rules from a recipe's section."""
        return cls(settings.prompts, settings.max_length, settings.long_length, settings.long_share)

    @property
    def longest(self) -> int:
        """Return the longest text in tokens."""
        return self.long_length or self.max_length

    def key(self) -> dict[str, Any]:
        """Return what the texts depend on besides the corpus."""
        return {**asdict(self), "shard_rows": SHARD_ROWS, "levels": _LEVELS}

    def limits(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where each row's text is cut: `max_length`, or for a share of them evenly up to `long_length`."""
        limits = np.full(len(rows), self.max_length, dtype=np.int64)
        if self.long_length is not None:
            drawn = mix(rows.astype(np.uint64) ^ np.uint64(0x5BD1E995)).astype(np.float64) / 2.0**32
            level = mix(rows.astype(np.uint64) + np.uint64(0x27D4EB2F)).astype(np.int64) % _LEVELS + 1
            longer = self.max_length - -(self.long_length - self.max_length) * level // _LEVELS
            limits = np.where(drawn < self.long_share, longer, limits)
        return limits


@dataclass(frozen=True)
class TextShard:
    """The texts of rows `number * SHARD_ROWS` and on, prompts included, and where each is to be cut."""

    number: int
    texts: list[str]
    limits: NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """A text's teacher tokens, special tokens included, and how many of its characters they cover."""

    ids: list[int]
    end: int


def read_shards(corpus: Path, split: Split, rules: TextRules) -> Iterator[TextShard]:
    """Yield the training texts of a split, shard by shard."""
    texts: list[str] = []
    languages: list[str] = []
    number = 0
    for more, of in read_texts(corpus, split):
        texts += more
        languages += of
        while len(texts) >= SHARD_ROWS:
            yield make_shard(number, texts[:SHARD_ROWS], languages[:SHARD_ROWS], rules)
            del texts[:SHARD_ROWS], languages[:SHARD_ROWS]
            number += 1
    if texts:
        yield make_shard(number, texts, languages, rules)


def make_shard(number: int, texts: list[str], languages: list[str], rules: TextRules) -> TextShard:
    """Apply the rules to the corpus rows of a shard; neighbours of the same language are joined inside it."""
    first = number * SHARD_ROWS
    limits = rules.limits(np.arange(first, first + len(texts)))
    made = list(texts)
    of_language: dict[str, list[int]] = {}
    place: list[int] = []
    for row, language in enumerate(languages):
        rows = of_language.setdefault(language, [])
        place.append(len(rows))
        rows.append(row)
    for row in np.flatnonzero(limits > rules.max_length).tolist():
        rows = of_language[languages[row]]
        made[row] = _joined(texts, [*rows[place[row] :], *rows[: place[row]]], int(limits[row]))
    prompts = rules.prompts
    if prompts != ("",):
        made = [prompts[(first + row) % len(prompts)] + text for row, text in enumerate(made)]
    return TextShard(number, made, limits)


def _joined(texts: list[str], rows: list[int], limit: int) -> str:
    parts: list[str] = []
    room = _CHARACTERS_PER_TOKEN * limit
    for row in rows:
        parts.append(texts[row])
        room -= len(texts[row]) + 1
        if room < 0:
            break
    return " ".join(parts)


def cut_shard(tokenizer: Tokenizer, shard: TextShard) -> list[Cut]:
    """Tokenize a shard's texts, each cut at its limit. The tokenizer's truncation is changed."""
    cuts: list[Cut] = [Cut([], 0)] * len(shard.texts)
    for limit in np.unique(shard.limits).tolist():
        rows = np.flatnonzero(shard.limits == limit).tolist()
        tokenizer.enable_truncation(limit)
        for row, cut in zip(rows, cut_texts(tokenizer, [shard.texts[row] for row in rows]), strict=True):
            cuts[row] = cut
    return cuts


def cut_texts(tokenizer: Tokenizer, texts: list[str]) -> list[Cut]:
    """Tokenize with the tokenizer's truncation and say where each text was cut."""
    cuts = []
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        end = len(text)
        if encoding.overflowing:
            # A lone ▁ claims the character behind it, which the next token holds: that one is not covered.
            end = min(max(_spans(encoding))[1], min(_spans(encoding.overflowing[0]))[0])
        cuts.append(Cut(encoding.ids, end))
    return cuts


def _spans(encoding: Encoding) -> list[tuple[int, int]]:
    """Return the characters of every token that is not a special one; one empty span when there is none."""
    pairs = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [span for span, special in pairs if not special] or [(0, 0)]

"""Unigram vocabularies: every piece is free to stay or go, because paths are scored by scores that stay."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from babelpress.vocabulary import segment
from babelpress.vocabulary.lexicon import Atoms, Mask, Weights, prune
from babelpress.vocabulary.segment import Ints, Strings, Trie
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META, TokenizerFile


@dataclass(frozen=True)
class UnigramLexicon:
    """A Unigram: every piece is free to stay or go, because each path is cut by scores that stay."""

    file: TokenizerFile

    @cached_property
    def texts(self) -> Strings:
        """Return the pieces, laid flat."""
        return Strings.of(self.file.pieces)

    @cached_property
    def trie(self) -> Trie:
        """Return the trie of the model's own pieces; added tokens behind them spell no text."""
        return Trie.of(Strings.of(self.file.pieces[: len(self.file.model["vocab"])]))

    @property
    def unknown(self) -> float:
        """Return the score of an unknown character: 10 below the lowest, as tokenizers and SentencePiece have it."""
        own = len(self.file.model["vocab"])
        return float(self.file.scores[:own].min()) - 10.0

    @cached_property
    def atoms(self) -> Atoms:
        """Return the pieces' characters."""
        points = self.texts.points
        distinct, places = np.unique(points, return_inverse=True)
        known = np.array([self.file.ids.get(chr(point), -1) for point in distinct.tolist()], dtype=np.int64)
        sizes = np.array([len(chr(point).encode("utf-8", "surrogatepass")) for point in distinct.tolist()])
        return Atoms(known[places], self.texts.starts, sizes[places])

    def forms(self, character: str) -> list[str]:
        """Return the bare form and the one that begins a word."""
        return [character, META + character]

    def fallback(self) -> tuple[str, ...]:
        """Return the byte pieces that the tokenizer lacks."""
        return tuple(piece for piece in BYTE_PIECES if piece not in self.file.ids)

    def required_ids(self, *, byte_fallback: bool) -> set[int]:
        """Return the space mark, byte pieces of its own, and what the unknown score hangs on.

        Byte pieces are of use only all together (FIELD_NOTES A4), where the tokenizer falls back to them or is to;
        with fallback they hold the lowest score; without, the least probable piece does (A3).
        """
        ids = self.file.ids
        bytes_too = BYTE_PIECES if byte_fallback or self.file.model.get("byte_fallback") else ()
        own = {ids[piece] for piece in (META, *bytes_too) if piece in ids}
        lowest = int(np.argmin(self.file.scores[: len(self.file.model["vocab"])]))
        return own if byte_fallback else own | {lowest}

    def dependencies(self, number: int) -> tuple[int, ...]:
        """Return nothing: no piece hangs on another."""
        return ()

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces."""
        return kept

    def reachable(self) -> Mask:
        """Return the pieces that are the best path of their own text."""
        everything = np.ones(len(self.file.pieces), dtype=np.bool_)
        plain = np.flatnonzero(self.file.plain_ids)
        used = self.usage(self.file.plain_ids.astype(np.float64), everything)
        found = np.zeros(len(everything), dtype=np.bool_)
        found[plain] = used[plain] > 0  # a piece on any best path is the best path of its own text
        return found

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens."""
        return prune(self, weights, must=must, room=room, alive=(weights > 0) | must)

    def prior(self) -> Weights:
        """Return the pieces' own probabilities."""
        return np.exp(self.file.scores)

    def usage(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""
        size = len(self.file.pieces)
        used = np.zeros(size + 1)
        trie = self.trie
        segment.usage_unigram(
            self.texts.points, self.texts.begins, self.texts.ends, weights, trie.edges, self.file.scores,
            alive, self.unknown, self.file.unk_id, np.full(256, size), used,
        )  # fmt: skip
        return used

    def tokens_without(self, which: Ints, alive: Mask) -> Weights:
        """Return how many tokens each of these pieces' own texts takes without it."""
        trie = self.trie
        found: Weights = segment.tokens_without_unigram(
            self.texts.points, self.texts.starts, which, trie.edges, self.file.scores, alive,
            self.unknown,
        )  # fmt: skip
        return found

    def parts(self, which: Ints, alive: Mask) -> tuple[Ints, Ints]:
        """Return the living pieces that spell each of these: ids laid flat (-1 for a byte), and where each begins."""
        found: tuple[Ints, Ints] = segment.parts_unigram(
            self.texts.points, self.texts.starts, which, self.trie.edges, self.file.scores, alive, self.unknown
        )
        return found

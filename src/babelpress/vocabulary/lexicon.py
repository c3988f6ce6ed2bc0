"""How a family of tokenizers spells text with fewer pieces: what a choice of pieces has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from babelpress.vocabulary import segment
from babelpress.vocabulary.segment import Ints, Strings, Trie
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META, Family, TokenizerFile

Mask = NDArray[np.bool_]
Weights = NDArray[np.float64]

# Share of the pieces that is left after one round of pruning; a larger one takes longer for next to nothing.
_SHRINK = 0.75


@dataclass(frozen=True)
class Atoms:
    """The shortest pieces that each piece is made of: ids laid flat, -1 where the tokenizer lacks one.

    Piece i's are `ids[starts[i]:starts[i + 1]]`; `sizes` are their UTF-8 bytes.
    """

    ids: Ints
    starts: Ints
    sizes: Ints

    def frequency(self, counts: NDArray[Any], *, pieces: int) -> tuple[Weights, float]:
        """Return how often each piece occurs as an atom of the counted ones, and how many bytes have no atom."""
        times = np.repeat(counts.astype(np.float64), np.diff(self.starts))
        known = self.ids >= 0
        found: Weights = np.bincount(self.ids[known], weights=times[known], minlength=pieces).astype(np.float64)
        return found, float((times[~known] * self.sizes[~known]).sum())


class Lexicon(Protocol):
    """A family's knowledge of its pieces. Masks and weights have shape (ids,)."""

    @property
    def file(self) -> TokenizerFile:
        """Return the tokenizer."""

    @property
    def atoms(self) -> Atoms:
        """Return what the pieces are made of."""

    def forms(self, character: str) -> list[str]:
        """Return the pieces that stand for a character: inside a word and at its beginning."""

    def fallback(self) -> tuple[str, ...]:
        """Return the new pieces with which any text at all can be spelled."""

    def duties(self, *, byte_fallback: bool) -> set[int]:
        """Return the pieces that must stay whatever is counted, so that the others work as they did."""

    def needs(self, number: int) -> tuple[int, ...]:
        """Return the pieces that one is directly made from, where the family makes it from others."""

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces and all that they cannot be reached without."""

    def reachable(self) -> Mask:
        """Return which pieces of text the tokenizer can give at all."""

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens."""

    def prior(self) -> Weights:
        """Return how probable the teacher's tokenizer itself holds each piece, up to a factor."""

    def use(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""

    def parts(self, which: Ints, alive: Mask) -> tuple[Ints, Ints]:
        """Return the living pieces that spell each of these: ids laid flat (-1 for a byte), and where each begins."""


def open_lexicon(file: TokenizerFile) -> Lexicon:
    """Return the lexicon of a tokenizer's family."""
    if file.family is Family.UNIGRAM:
        return UnigramLexicon(file)
    if file.family is Family.WORDPIECE:
        from babelpress.vocabulary.wordpiece import WordPieceLexicon

        return WordPieceLexicon(file)
    from babelpress.vocabulary.bpe import BpeLexicon

    return BpeLexicon(file)


# What a token that is not the teacher's any more costs, in tokens. With 0 text is a little shorter, but a student
# keeps less of its teacher (docs/vocabulary.md, "What fills the rows").
CHANGED = 1.0


class Recut(Protocol):
    """A way to cut texts by the living pieces."""

    def use(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""

    def spare(self, which: Ints, alive: Mask) -> Weights:
        """Return how many tokens each of these pieces' own texts takes without it, shape (which,)."""


def prune(recut: Recut, weights: Weights, *, must: Mask, room: int, alive: Mask) -> Mask:
    """Drop, round by round, the pieces that are missed least, until `room` are left.

    A piece's loss is its use, times what its own text takes without it less one: the tokens that come to
    the text. To that comes its own weight: tokens that are the teacher's no longer. This is the pruning of the
    Unigram trainer (Kudo 2018, arXiv 1804.10959, section 3.2) with tokens in place of likelihood.
    """
    alive = alive.copy()
    while (left := int(alive.sum())) > room:
        candidates = np.flatnonzero(alive & ~must)
        longer = recut.use(weights, alive)[candidates] * (recut.spare(candidates, alive) - 1.0)
        loss = longer + CHANGED * weights[candidates]
        excess = left - max(room, int(left * _SHRINK))
        alive[candidates[np.argsort(loss, kind="stable")[:excess]]] = False
    return alive


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

    def duties(self, *, byte_fallback: bool) -> set[int]:
        """Return the space mark, byte pieces of its own, and what the unknown score hangs on.

        Byte pieces are of use only all together (FIELD_NOTES A4), where the tokenizer falls back to them or is to;
        with fallback they hold the lowest score; without, the least probable piece does (A3).
        """
        ids = self.file.ids
        bytes_too = BYTE_PIECES if byte_fallback or self.file.model.get("byte_fallback") else ()
        own = {ids[piece] for piece in (META, *bytes_too) if piece in ids}
        lowest = int(np.argmin(self.file.scores[: len(self.file.model["vocab"])]))
        return own if byte_fallback else own | {lowest}

    def needs(self, number: int) -> tuple[int, ...]:
        """Return nothing: no piece hangs on another."""
        return ()

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces."""
        return kept

    def reachable(self) -> Mask:
        """Return the pieces that are the best path of their own text."""
        everything = np.ones(len(self.file.pieces), dtype=np.bool_)
        plain = np.flatnonzero(self.file.plain_ids)
        used = self.use(self.file.plain_ids.astype(np.float64), everything)
        found = np.zeros(len(everything), dtype=np.bool_)
        found[plain] = used[plain] > 0  # a piece on any best path is the best path of its own text
        return found

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens."""
        return prune(self, weights, must=must, room=room, alive=(weights > 0) | must)

    def prior(self) -> Weights:
        """Return the pieces' own probabilities."""
        return np.exp(self.file.scores)

    def use(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""
        size = len(self.file.pieces)
        used = np.zeros(size + 1)
        trie = self.trie
        segment.use_unigram(
            self.texts.points, self.texts.begins, self.texts.ends, weights, trie.edges, self.file.scores,
            alive, self.unknown, self.file.unk_id, np.full(256, size), used,
        )  # fmt: skip
        return used

    def spare(self, which: Ints, alive: Mask) -> Weights:
        """Return how many tokens each of these pieces' own texts takes without it."""
        trie = self.trie
        found: Weights = segment.spare_unigram(
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

"""How a family of tokenizers spells text with fewer pieces: what a choice of pieces has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from babelpress.vocabulary.segment import Ints
from babelpress.vocabulary.tokenizer_file import TokenizerFile

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

    def required_ids(self, *, byte_fallback: bool) -> set[int]:
        """Return the pieces that must stay whatever is counted, so that the others work as they did."""

    def dependencies(self, number: int) -> tuple[int, ...]:
        """Return the pieces that one is directly made from, where the family makes it from others."""

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces and all that they cannot be reached without."""

    def reachable(self) -> Mask:
        """Return which pieces of text the tokenizer can give at all."""

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens."""

    def prior(self) -> Weights:
        """Return how probable the teacher's tokenizer itself holds each piece, up to a factor."""

    def usage(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""

    def parts(self, which: Ints, alive: Mask) -> tuple[Ints, Ints]:
        """Return the living pieces that spell each of these: ids laid flat (-1 for a byte), and where each begins."""


# What a token that is not the teacher's any more costs, in tokens. With 0 text is a little shorter, but a student
# keeps less of its teacher (docs/vocabulary.md, "What fills the rows").
CHANGED = 1.0


class Recut(Protocol):
    """A way to cut texts by the living pieces."""

    def usage(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""

    def tokens_without(self, which: Ints, alive: Mask) -> Weights:
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
        longer = recut.usage(weights, alive)[candidates] * (recut.tokens_without(candidates, alive) - 1.0)
        loss = longer + CHANGED * weights[candidates]
        excess = left - max(room, int(left * _SHRINK))
        alive[candidates[np.argsort(loss, kind="stable")[:excess]]] = False
    return alive

"""WordPiece vocabularies: longest piece first, bare at a word's beginning and with a prefix inside it."""

from __future__ import annotations

import string
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from babelpress.vocabulary import segment
from babelpress.vocabulary.bytelevel import BYTE_CHARACTERS
from babelpress.vocabulary.lexicon import Atoms, Mask, Weights, prune
from babelpress.vocabulary.segment import Ints, Strings, Trie
from babelpress.vocabulary.tokenizer_file import TokenizerFile, parts_of

_LEADS = range(0xC2, 0xF5)
_FOLLOWERS = range(0x80, 0xC0)


@dataclass(frozen=True)
class WordPieceLexicon:
    """A WordPiece: a dropped piece's text falls to the longest ones that are left."""

    file: TokenizerFile

    @property
    def prefix(self) -> str:
        """Return what marks a piece inside a word."""
        return str(self.file.model.get("continuing_subword_prefix", "##"))

    @cached_property
    def inner(self) -> Mask:
        """Return which pieces stand inside a word."""
        size = len(self.prefix)
        return np.array([piece.startswith(self.prefix) and len(piece) > size for piece in self.file.pieces])

    @cached_property
    def texts(self) -> Strings:
        """Return the pieces without their prefix, laid flat."""
        return Strings.of(self._bare())

    def _bare(self) -> list[str]:
        pairs = zip(self.file.pieces, self.inner.tolist(), strict=True)
        return [piece.removeprefix(self.prefix) if inner else piece for piece, inner in pairs]

    @cached_property
    def tries(self) -> tuple[Ints, Ints]:
        """Return the tries of the pieces that begin a word and of those inside."""
        return self._trie(np.flatnonzero(~self.inner)), self._trie(np.flatnonzero(self.inner))

    def _trie(self, numbers: Ints) -> Ints:
        own = [self.file.pieces[number].removeprefix(self.prefix * int(self.inner[number])) for number in numbers]
        return Trie.of(Strings.of(own), numbers).edges

    @cached_property
    def atoms(self) -> Atoms:
        """Return the pieces' characters, each as it stands: first of a word or inside."""
        texts = self.texts
        first = np.zeros(len(texts.points), dtype=np.bool_)
        begins = texts.starts[:-1][np.diff(texts.starts) > 0]
        first[begins] = ~self.inner[np.diff(texts.starts) > 0]
        keyed = texts.points.astype(np.int64) * 2 + first
        distinct, places = np.unique(keyed, return_inverse=True)
        known = [
            self.file.ids.get(chr(key // 2) if key % 2 else self.prefix + chr(key // 2), -1)
            for key in distinct.tolist()
        ]
        sizes = [len(chr(key // 2).encode("utf-8", "surrogatepass")) for key in distinct.tolist()]
        return Atoms(np.array(known, dtype=np.int64)[places], texts.starts, np.array(sizes)[places])

    def forms(self, character: str) -> list[str]:
        """Return the form that begins a word and the one inside."""
        return [character, self.prefix + character]

    def fallback(self) -> tuple[str, ...]:
        """Return the byte stand-ins that the pieces lack when their texts are written in bytes.

        Pieces of ASCII are the same in both writings. A word begins with a first byte of UTF-8, and only
        inside it the others follow; bytes that UTF-8 never uses are left out.
        """
        printable = range(0x21, 0x7F) if self._cleans() else range(0x80)
        begin = [value for value in printable if not self._has(value, "")]
        within = [value for value in printable if not self._cuts_at(chr(value)) and not self._has(value, self.prefix)]
        begin += _LEADS
        inside = [*within, *_FOLLOWERS, *_LEADS]
        return (
            *(BYTE_CHARACTERS[value] for value in begin),
            *(self.prefix + BYTE_CHARACTERS[value] for value in inside),
        )

    def _has(self, value: int, prefix: str) -> bool:
        return 0x21 <= value < 0x7F and prefix + chr(value) in self.file.ids

    def _cleans(self) -> bool:
        """Tell whether control characters never reach the model."""
        return any(part.get("clean_text") for part in parts_of(self.file.raw.get("normalizer")))

    def _cuts_at(self, character: str) -> bool:
        """Tell whether a character always stands alone, as punctuation does for BERT."""
        isolates = any(part["type"] == "BertPreTokenizer" for part in parts_of(self.file.raw.get("pre_tokenizer")))
        return isolates and (character in string.punctuation or unicodedata.category(character).startswith("P"))

    def required_ids(self, *, byte_fallback: bool) -> set[int]:
        """Return the ASCII characters, which are bytes of their own."""
        forms = [form for value in range(0x21, 0x7F) for form in self.forms(chr(value))] if byte_fallback else []
        return {self.file.ids[form] for form in forms if form in self.file.ids}

    def dependencies(self, number: int) -> tuple[int, ...]:
        """Return nothing: no piece hangs on another."""
        return ()

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces."""
        return kept

    def reachable(self) -> Mask:
        """Return the pieces of text that no cut before the model goes through; `[unused1]` is none."""
        cut = [
            (len(text) > 1 or inner) and any(map(self._cuts_at, text))
            for text, inner in zip(self._bare(), self.inner.tolist(), strict=True)
        ]
        return self.file.plain_ids & ~np.array(cut)

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens."""
        return prune(self, weights, must=must, room=room, alive=(weights > 0) | must)

    def prior(self) -> Weights:
        """Return the pieces' probabilities by Zipf's law: trainers of WordPiece write the frequent ones first."""
        return 1.0 / np.arange(1.0, len(self.file.pieces) + 1.0)

    def usage(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""
        used = np.zeros(len(self.file.pieces) + 1)
        segment.usage_wordpiece(self.texts.points, self.texts.starts, self.inner, weights, *self.tries, alive, used)
        return used

    def tokens_without(self, which: Ints, alive: Mask) -> Weights:
        """Return how many tokens each of these pieces' own texts takes without it."""
        found: Weights = segment.tokens_without_wordpiece(
            self.texts.points, self.texts.starts, self.inner, which, *self.tries, alive
        )
        return found

    def parts(self, which: Ints, alive: Mask) -> tuple[Ints, Ints]:
        """Return the living pieces that spell each of these: ids laid flat (-1 for a byte), and where each begins."""
        found: tuple[Ints, Ints] = segment.parts_wordpiece(
            self.texts.points, self.texts.starts, self.inner, which, *self.tries, alive
        )
        return found

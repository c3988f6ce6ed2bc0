"""BPE vocabularies: a piece can be reached only if the pieces that it is merged from are there (FIELD_NOTES A12)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from babelpress.vocabulary.bytelevel import BYTE_CHARACTERS, to_byte_level
from babelpress.vocabulary.lexicon import CHANGED, Atoms, Mask, Weights
from babelpress.vocabulary.segment import Ints, derive_bpe, merge_table
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META, TokenizerFile


@dataclass(frozen=True)
class BpeLexicon:
    """A BPE with or without byte level.

    A word's pieces are each cut from their own text just as they are within the word (no merge crosses
    the border of two final pieces), so one derivation a piece says all that it hangs on.
    """

    file: TokenizerFile

    @cached_property
    def atoms(self) -> Atoms:
        """Return the symbols that each piece's merges start from."""
        prefix = self.file.model.get("continuing_subword_prefix") or ""
        suffix = self.file.model.get("end_of_word_suffix") or ""
        symbols: list[int] = []
        sizes: list[int] = []
        starts = [0]
        ids = self.file.ids
        for piece in self.file.pieces:
            symbol_prefix = prefix if prefix and piece.startswith(prefix) else ""
            text = piece.removeprefix(symbol_prefix)
            ending = suffix if suffix and text.endswith(suffix) and len(text) > len(suffix) else ""
            text = text.removesuffix(ending)
            for place, character in enumerate(text):
                head = prefix if place else symbol_prefix
                tail = ending if place == len(text) - 1 else ""
                symbols.append(ids.get(head + character + tail, -1))
                sizes.append(len(character.encode("utf-8", "surrogatepass")))
            starts.append(len(symbols))
        as_array = [np.array(values, dtype=np.int64) for values in (symbols, starts, sizes)]
        return Atoms(*as_array)

    @cached_property
    def _derived(self) -> tuple[Ints, Ints, Mask]:
        """Return the two pieces of each piece's last merge (-1: none), and which pieces come out whole."""
        prefix = self.file.model.get("continuing_subword_prefix") or ""
        ids = self.file.ids
        rows = [(ids[left], ids[right], ids[left + right.removeprefix(prefix)]) for left, right in self.file.merges]
        first, second, result = np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy()
        left, right, whole = derive_bpe(self.atoms.ids, self.atoms.starts, merge_table(first, second), result)
        return left, right, whole

    def forms(self, character: str) -> list[str]:
        """Return the bare form, and those that begin or end a word."""
        if self.file.is_byte_level:
            return [to_byte_level(character), to_byte_level(f" {character}")]
        suffix = self.file.model.get("end_of_word_suffix")
        return [character, META + character, *([character + suffix] if suffix else [])]

    def fallback(self) -> tuple[str, ...]:
        """Return the bytes that the tokenizer lacks."""
        needed = BYTE_CHARACTERS if self.file.is_byte_level else BYTE_PIECES
        return tuple(piece for piece in needed if piece not in self.file.ids)

    def required_ids(self, *, byte_fallback: bool) -> set[int]:
        """Return all bytes that the tokenizer has: of use only all together (FIELD_NOTES A4)."""
        needed = BYTE_CHARACTERS if self.file.is_byte_level else (META, *BYTE_PIECES)
        return {self.file.ids[piece] for piece in needed if piece in self.file.ids}

    def dependencies(self, number: int) -> tuple[int, ...]:
        """Return the two pieces that a piece is merged from."""
        left, right, whole = self._derived
        return (int(left[number]), int(right[number])) if whole[number] and left[number] >= 0 else ()

    def close(self, kept: Mask) -> Mask:
        """Return the kept pieces with every piece on the way to them."""
        left, right, whole = self._derived
        closed = kept.copy()
        front = np.flatnonzero(kept & whole & (left >= 0))
        while len(front):
            below = np.unique(np.concatenate([left[front], right[front]]))
            fresh = below[~closed[below]]
            closed[fresh] = True
            front = fresh[left[fresh] >= 0]
        return closed

    def reachable(self) -> Mask:
        """Return the pieces that their own symbols merge to."""
        return self._derived[2] & self.file.plain_ids

    def keep_best(self, weights: Weights, *, must: Mask, room: int) -> Mask:
        """Return `room` pieces, `must` among them, that spell the weighted pieces in fewest tokens.

        Pieces that no kept one is merged from go first, the least missed first of these; each hands its
        use on to the two pieces that it then falls into.
        """
        left, right, whole = self._derived
        alive = self.close((weights > 0) | must)
        must = self.close(must)
        used = weights.copy()
        made = alive & whole & (left >= 0)
        users = np.zeros(len(alive), dtype=np.int64)
        np.add.at(users, left[made], 1)
        np.add.at(users, right[made], 1)
        free = np.flatnonzero(alive & ~must & (users == 0)).tolist()
        heap = [(used[number] + CHANGED * weights[number], -number) for number in free]
        heapq.heapify(heap)
        left_over = int(alive.sum())
        while left_over > room and heap:
            number = -heapq.heappop(heap)[1]
            alive[number] = False
            left_over -= 1
            for part in self.dependencies(number):
                used[part] += used[number]
                users[part] -= 1
                if users[part] == 0 and not must[part]:
                    heapq.heappush(heap, (used[part] + CHANGED * weights[part], -part))
        return alive

    def usage(self, weights: Weights, alive: Mask) -> Weights:
        """Return how often each piece is used to spell the weighted ones, and at the end how many bytes are."""
        left, right, whole = self._derived
        used = np.append(weights, 0.0)
        lengths = np.diff(self.atoms.starts)
        dead = np.flatnonzero(~alive & (lengths > 0))
        for length in np.unique(lengths[dead])[::-1]:
            falling = dead[lengths[dead] == length]
            made = falling[whole[falling] & (left[falling] >= 0)]
            np.add.at(used, left[made], used[made])
            np.add.at(used, right[made], used[made])
            single = falling[lengths[falling] == 1]
            used[-1] += used[single] @ self.atoms.sizes[self.atoms.starts[single]]
            used[falling] = 0.0
        return used

    def prior(self) -> Weights:
        """Return the pieces' probabilities by Zipf's law: ids are in the order of the merges."""
        return 1.0 / np.arange(1.0, len(self.file.pieces) + 1.0)

    def parts(self, which: Ints, alive: Mask) -> tuple[Ints, Ints]:
        """Return the living pieces that spell each of these: ids laid flat (-1 for a byte), and where each begins."""
        lengths = np.diff(self.atoms.starts)
        spelled: dict[int, list[int]] = {}

        def spell(number: int) -> list[int]:
            if number not in spelled:
                below = self.dependencies(number)
                if alive[number]:
                    spelled[number] = [number]
                elif below:
                    spelled[number] = [part for piece in below for part in spell(piece)]
                else:
                    start = self.atoms.starts[number]
                    spelled[number] = [-1] * int(self.atoms.sizes[start : start + lengths[number]].sum())
            return spelled[number]

        laid = [spell(number) for number in which.tolist()]
        places = np.cumsum([0, *map(len, laid)], dtype=np.int64)
        return np.array([part for parts in laid for part in parts], dtype=np.int64), places

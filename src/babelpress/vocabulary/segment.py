"""Cut words into pieces at the speed of compiled code, to the bit as the tokenizers library does.

A vocabulary becomes a trie over code points whose edges lie in one open-addressing hash table. Three
kernels walk it: the best path of a Unigram, the longest prefix of a WordPiece, and counts of either.
`alive` masks pieces out without building another trie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

UNKNOWN = -1
_UNREACHED = -2
_NOTHING = -5  # an id that no piece has

Ints = NDArray[np.int64]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a kernel, and keep the machine code between runs where there is a place for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder can be written to
        return njit(nogil=True)(function)


@dataclass(frozen=True)
class Strings:
    """Many strings as one array of code points; string i is `points[starts[i]:starts[i + 1]]`."""

    points: NDArray[np.int32]
    starts: Ints

    @classmethod
    def of(cls, strings: Sequence[str]) -> Strings:
        """Lay strings out flat."""
        starts = np.zeros(len(strings) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, strings), dtype=np.int64, count=len(strings)), out=starts[1:])
        joined = "".join(strings).encode("utf-32-le", "surrogatepass")
        return cls(np.frombuffer(joined, dtype=np.int32), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def begins(self) -> Ints:
        """Return where each string begins."""
        return self.starts[:-1]

    @property
    def ends(self) -> Ints:
        """Return where each string ends."""
        return self.starts[1:]


@dataclass(frozen=True)
class Trie:
    """The pieces as a trie, which is a hash table of edges: (node, code point) → (node, its piece).

    `edges` has shape (2 ** bits, 2): the key `node << 21 | code point` (-1: free), and
    `node << 32 | piece + 1` (0: no piece ends here). Node 0 is the root; an edge that leads to it leads to a leaf.
    """

    edges: Ints

    @classmethod
    def of(cls, pieces: Strings, ids: Ints | None = None) -> Trie:
        """Build the trie of pieces with these ids (unless given, their places)."""
        return cls(_build(pieces.points, pieces.starts, np.arange(len(pieces)) if ids is None else ids))


@compiled
def bits_of(size):
    """Return the least number whose power of two holds `size`."""
    bits = 0
    while (1 << bits) < size:
        bits += 1
    return bits


@compiled
def _place(edges, bits, key):
    """Return where a key stands in the table, or the free place where it would (Knuth's multiplicative hashing)."""
    mask = edges.shape[0] - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))
    while edges[place, 0] != -1 and edges[place, 0] != key:
        place = (place + 1) & mask
    return place


@compiled
def _build(points, starts, ids):
    _, nodes = _insert(points, starts, ids, points.shape[0] + 1)
    edges, nodes = _insert(points, starts, ids, nodes)  # again in a table that fits, for the caches
    goes_on = np.zeros(nodes, np.bool_)
    for place in range(edges.shape[0]):
        if edges[place, 0] != -1:
            goes_on[edges[place, 0] >> 21] = True
    for place in range(edges.shape[0]):
        if edges[place, 0] != -1 and not goes_on[edges[place, 1] >> 32]:
            edges[place, 1] &= 0xFFFFFFFF  # a leaf, where no walk has to look further
    return edges


@compiled
def _insert(points, starts, ids, most):
    bits = max(4, bits_of(most + most // 2))
    edges = np.full((1 << bits, 2), -1, np.int64)
    nodes = np.int64(1)
    for number in range(starts.shape[0] - 1):
        node, place = np.int64(0), np.int64(-1)
        for at in range(starts[number], starts[number + 1]):
            key = (node << 21) | np.int64(points[at])
            place = _place(edges, bits, key)
            if edges[place, 0] == -1:
                edges[place, 0], edges[place, 1] = key, nodes << 32
                nodes += 1
            node = edges[place, 1] >> 32
        if place >= 0:
            edges[place, 1] = (node << 32) | (ids[number] + 1)
    return edges, nodes


@compiled
def _utf8(point):
    """Return how many bytes a code point takes."""
    if point < 0x80:
        return 1
    if point < 0x800:
        return 2
    return 3 if point < 0x10000 else 4


@compiled
def _best_path(points, first, last, edges, scores, alive, skip, unknown, total, begin, ident):
    """Fill, for each end, the best path's score, last piece and its beginning.

    The same sums in the same order, and the same choice between equals, as `Unigram::encode_optimized` of
    the tokenizers library, which follows SentencePiece's EncodeOptimized.
    """
    bits = bits_of(edges.shape[0])
    length = last - first
    for at in range(length + 1):
        ident[at] = _UNREACHED
    total[0] = 0.0
    for at in range(length):
        here = total[at]
        single = False
        node = np.int64(0)
        for end in range(at + 1, length + 1):
            place = _place(edges, bits, (node << 21) | np.int64(points[first + end - 1]))
            if edges[place, 0] == -1:
                break
            node = edges[place, 1] >> 32
            found = (edges[place, 1] & 0xFFFFFFFF) - 1
            if found >= 0 and alive[found] and found != skip:
                score = scores[found] + here
                if ident[end] == _UNREACHED or score > total[end]:
                    total[end] = score
                    begin[end] = at
                    ident[end] = found
                if end == at + 1:
                    single = True
            if node == 0:
                break
        if not single:
            score = unknown + here
            if ident[at + 1] == _UNREACHED or score > total[at + 1]:
                total[at + 1] = score
                begin[at + 1] = at
                ident[at + 1] = UNKNOWN


@compiled
def _longest_prefix(points, first, last, start_trie, inner_trie, alive, skip, begin, ident):
    """Cut greedily, each time the longest piece; a code point that begins none is unknown."""
    length = last - first
    at = 0
    while at < length:
        edges = start_trie if at == 0 else inner_trie
        bits = bits_of(edges.shape[0])
        node = np.int64(0)
        best, best_end = UNKNOWN, at + 1
        for end in range(at + 1, length + 1):
            place = _place(edges, bits, (node << 21) | np.int64(points[first + end - 1]))
            if edges[place, 0] == -1:
                break
            node = edges[place, 1] >> 32
            found = (edges[place, 1] & 0xFFFFFFFF) - 1
            if found >= 0 and alive[found] and found != skip:
                best, best_end = found, end
            if node == 0:
                break
        begin[best_end] = at
        ident[best_end] = best
        at = best_end


@compiled
def _path_tokens(points, first, length, begin, ident):
    """Return how many tokens a path has; an unknown code point counts as its bytes."""
    tokens = 0
    end = length
    while end > 0:
        tokens += 1 if ident[end] >= 0 else _utf8(points[first + end - 1])
        end = begin[end]
    return tokens


@compiled
def _count_bytes(point, weight, byte_ids, used):
    size = _utf8(point)
    if size == 1:
        used[byte_ids[point]] += weight
        return
    lead = 0xC0 if size == 2 else 0xE0 if size == 3 else 0xF0
    used[byte_ids[lead | (point >> (6 * (size - 1)))]] += weight
    for place in range(size - 1):
        used[byte_ids[0x80 | ((point >> (6 * place)) & 0x3F)]] += weight


@compiled
def _longest(starts):
    longest = 0
    for number in range(starts.shape[0] - 1):
        longest = max(longest, starts[number + 1] - starts[number])
    return longest


@compiled
def usage_unigram(points, begins, ends, weights, edges, scores, alive, unknown, unk_id, byte_ids, used):
    """Cut words by the living pieces and add each word's weight to the pieces that it uses.

    A run of unknown code points is one unknown piece, or its bytes where `byte_ids` has all 256.
    """
    longest = np.int64(0)
    for number in range(begins.shape[0]):
        longest = max(longest, ends[number] - begins[number])
    total, begin, ident = np.empty(longest + 1), np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    has_bytes = byte_ids.shape[0] == 256
    for number in range(begins.shape[0]):
        if weights[number] == 0:
            continue
        first, end = begins[number], ends[number] - begins[number]
        _best_path(points, first, first + end, edges, scores, alive, _NOTHING, unknown, total, begin, ident)
        in_run = False
        while end > 0:
            if ident[end] >= 0:
                used[ident[end]] += weights[number]
            elif has_bytes:
                _count_bytes(points[first + end - 1], weights[number], byte_ids, used)
            elif not in_run:
                used[unk_id] += weights[number]
            in_run = ident[end] < 0
            end = begin[end]


@compiled
def tokens_without_unigram(points, starts, which, edges, scores, alive, unknown):
    """Return how many tokens each of `which` pieces' own text takes without that piece."""
    longest = _longest(starts)
    total, begin, ident = np.empty(longest + 1), np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    found = np.zeros(which.shape[0])
    for place in range(which.shape[0]):
        first, last = starts[which[place]], starts[which[place] + 1]
        _best_path(points, first, last, edges, scores, alive, which[place], unknown, total, begin, ident)
        found[place] = _path_tokens(points, first, last - first, begin, ident)
    return found


@compiled
def usage_wordpiece(points, starts, inner, weights, start_trie, inner_trie, alive, used):
    """Cut pieces (without their prefix; `inner` ones stand inside a word) by the living ones, as `usage_unigram` does.

    The bytes of unknown code points are added behind the pieces, at `used[pieces]`.
    """
    longest = _longest(starts)
    begin, ident = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    for number in range(starts.shape[0] - 1):
        if weights[number] == 0:
            continue
        first, end = starts[number], starts[number + 1] - starts[number]
        trie = inner_trie if inner[number] else start_trie
        _longest_prefix(points, first, first + end, trie, inner_trie, alive, _NOTHING, begin, ident)
        while end > 0:
            if ident[end] >= 0:
                used[ident[end]] += weights[number]
            else:
                used[alive.shape[0]] += weights[number] * _utf8(points[first + end - 1])
            end = begin[end]


@compiled
def tokens_without_wordpiece(points, starts, inner, which, start_trie, inner_trie, alive):
    """Return how many tokens each of `which` pieces' own text takes without that piece."""
    longest = _longest(starts)
    begin, ident = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    found = np.zeros(which.shape[0])
    for place in range(which.shape[0]):
        number = which[place]
        first, last = starts[number], starts[number + 1]
        trie = inner_trie if inner[number] else start_trie
        _longest_prefix(points, first, last, trie, inner_trie, alive, number, begin, ident)
        found[place] = _path_tokens(points, first, last - first, begin, ident)
    return found


@compiled
def _lay_path(points, first, length, begin, ident, laid, filled):
    """Write a path's pieces behind the first `filled` of `laid`, in order; -1 for each byte of what is unknown."""
    at = filled
    end = length
    while end > 0:
        for _ in range(1 if ident[end] >= 0 else _utf8(points[first + end - 1])):
            laid[at] = ident[end]
            at += 1
        end = begin[end]
    laid[filled:at] = laid[filled:at][::-1].copy()
    return at


@compiled
def parts_unigram(points, starts, which, edges, scores, alive, unknown):
    """Return the living pieces that `which` pieces' own texts are cut into: ids laid flat, and where each begins."""
    longest = _longest(starts)
    total, begin, ident = np.empty(longest + 1), np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    laid, places = np.empty(4 * points.shape[0], np.int64), np.zeros(which.shape[0] + 1, np.int64)
    for place in range(which.shape[0]):
        first, last = starts[which[place]], starts[which[place] + 1]
        _best_path(points, first, last, edges, scores, alive, _NOTHING, unknown, total, begin, ident)
        places[place + 1] = _lay_path(points, first, last - first, begin, ident, laid, places[place])
    return laid[: places[-1]].copy(), places


@compiled
def parts_wordpiece(points, starts, inner, which, start_trie, inner_trie, alive):
    """Return what `parts_unigram` does, cut greedily."""
    longest = _longest(starts)
    begin, ident = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    laid, places = np.empty(4 * points.shape[0], np.int64), np.zeros(which.shape[0] + 1, np.int64)
    for place in range(which.shape[0]):
        number = which[place]
        first, last = starts[number], starts[number + 1]
        trie = inner_trie if inner[number] else start_trie
        _longest_prefix(points, first, last, trie, inner_trie, alive, _NOTHING, begin, ident)
        places[place + 1] = _lay_path(points, first, last - first, begin, ident, laid, places[place])
    return laid[: places[-1]].copy(), places


@compiled
def derive_bpe(symbols, starts, merges, results):
    """Run a BPE on each piece's own symbols; return the two pieces of its last merge, and whether one piece is left.

    `merges` is a table as a trie's, from (left << 32 | right) to the merge's rank; `results` are the
    merges' pieces. A symbol of -1 makes its piece underivable. Shapes: (pieces,) each.
    """
    bits = bits_of(merges.shape[0])
    count = starts.shape[0] - 1
    left, right = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    whole = np.zeros(count, np.bool_)
    line = np.empty(_longest(starts) + 1, np.int64)
    for number in range(count):
        length = starts[number + 1] - starts[number]
        broken = length == 0
        for at in range(length):
            line[at] = symbols[starts[number] + at]
            broken = broken or line[at] < 0
        while length > 1 and not broken:
            best, best_at = results.shape[0], -1
            for at in range(length - 1):
                place = _place(merges, bits, (line[at] << 32) | line[at + 1])
                if merges[place, 0] != -1 and merges[place, 1] < best:
                    best, best_at = merges[place, 1], at
            if best_at < 0:
                break
            left[number], right[number] = line[best_at], line[best_at + 1]
            line[best_at] = results[best]
            for at in range(best_at + 1, length - 1):
                line[at] = line[at + 1]
            length -= 1
        whole[number] = length == 1 and not broken and line[0] == number
    return left, right, whole


@compiled
def merge_table(left, right):
    """Return the table from pairs of ids to their rank; of equal pairs the last one counts."""
    bits = max(4, bits_of(left.shape[0] + left.shape[0] // 2))
    merges = np.full((1 << bits, 2), -1, np.int64)
    for rank in range(left.shape[0]):
        key = (left[rank] << 32) | right[rank]
        place = _place(merges, bits, key)
        merges[place, 0], merges[place, 1] = key, rank
    return merges

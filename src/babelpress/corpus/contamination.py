"""Find sentences that stand, exactly or nearly, in the test data of the suite that will be reported.

Texts are compared by their letters, marks and digits alone (`clean.comparison_key`). Two are nearly equal when
runs that both have make up four fifths of the shorter one, and either the longer one is at most half as long again or
what they share is as long as 13 words (the overlap of Brown et al. 2020, appendix C; https://arxiv.org/abs/2005.14165).
Short texts are compared exactly: too many of them are everybody's.

Runs are of characters, so that Chinese, Japanese and Thai need no words. The index holds some of the runs of every
test text, chosen by winnowing (Schleimer, Wilkerson and Aiken 2003, https://doi.org/10.1145/872757.872770): whatever
shares `gram + window - 1` characters with a test text meets it, and is then compared with the text itself. Memory is
that of the test data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from babelpress.corpus.clean import comparison_key

BUNDLED = "embedded sentences"  # their name in report.json
_SHARE = 0.8  # of the shorter text's characters
_LONGER = 1.5  # times as long a text may be as the other, where they do not share 13 words
_CHUNK = 1 << 20  # characters hashed at once while the index is made
_PAIRS = 1 << 21  # (sentence, test text) pairs looked at together
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd; 2**64 / golden ratio
_MIX = np.uint64(0xD6E8FEB86659FD93)

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class _Measure:
    """Lengths in characters: of a run, of the window one run is kept of, of the least and of a long text."""

    gram: int
    window: int
    least: int
    long: int


# A run that is always found has 13 letters, or 6 of the characters that stand for syllables and words.
_LETTERS = _Measure(gram=8, window=6, least=16, long=60)
_SYLLABLES = _Measure(gram=3, window=4, least=8, long=24)


class Likeness(str, Enum):
    """How a sentence is like a test text."""

    EXACT = "exact"
    NEAR = "near"


@dataclass(frozen=True)
class Match:
    """A sentence's likeness to the test data, and the tasks that have such a text."""

    likeness: Likeness
    tasks: tuple[str, ...]


class SuiteTexts:
    """The test texts of a suite, by task, ready to be looked for."""

    def __init__(self, texts: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Take (task, texts) pairs, each task once."""
        tasks = []
        self._owners: dict[str, tuple[str, ...]] = {}  # comparison key → tasks
        for task, own in texts:
            tasks.append(task)
            for text in own:
                key = comparison_key(text)
                before = self._owners.get(key, ())
                if key and task not in before:
                    self._owners[key] = (*before, task)
        self.tasks = tuple(tasks)
        groups: dict[_Measure, list[str]] = {_LETTERS: [], _SYLLABLES: []}
        for key in self._owners:
            measure = _measure(key)
            if len(key) >= measure.least:
                groups[measure].append(key)
        self._indexes = {measure: _RunIndex(measure, keys) for measure, keys in groups.items()}

    def __len__(self) -> int:
        """Return the number of distinct texts."""
        return len(self._owners)

    def find(self, sentences: Sequence[str]) -> list[Match | None]:
        """Return the match of each sentence, None for those that are like no test text; quick for thousands."""
        found: list[Match | None] = [None] * len(sentences)
        if not self._owners:
            return found
        groups: dict[_Measure, list[tuple[int, str]]] = {_LETTERS: [], _SYLLABLES: []}
        for number, sentence in enumerate(sentences):
            key = comparison_key(sentence)
            if tasks := self._owners.get(key):
                found[number] = Match(Likeness.EXACT, tasks)
            else:
                measure = _measure(key)
                if len(key) >= measure.least:
                    groups[measure].append((number, key))
        for measure, pairs in groups.items():
            near: dict[int, set[str]] = {}
            for place, text in self._indexes[measure].near([key for _, key in pairs]):
                near.setdefault(pairs[place][0], set()).update(self._owners[text])
            for number, names in near.items():
                found[number] = Match(Likeness.NEAR, tuple(task for task in self.tasks if task in names))
        return found


class _RunIndex:
    """Test texts by some of their runs: sorted hashes, and for each the texts that have it."""

    def __init__(self, measure: _Measure, keys: list[str]) -> None:
        self._measure = measure
        self._keys = keys
        self._lengths = np.array([len(key) for key in keys], dtype=np.int64)
        parts = [_winnow(measure, first, chunk) for first, chunk in _chunks(keys)]
        hashes = np.concatenate([part[0] for part in parts] or [np.zeros(0, dtype=np.uint64)])
        texts = np.concatenate([part[1] for part in parts] or [np.zeros(0, dtype=np.int32)])
        order = np.argsort(hashes, kind="stable")
        self._hashes, starts = np.unique(hashes[order], return_index=True)
        self._starts = np.append(starts, len(hashes)).astype(np.int64)
        self._texts = texts[order]
        bits = min(27, max(10, len(self._hashes).bit_length() + 3))
        self._shift = np.uint64(64 - bits)
        self._maybe = np.zeros(1 << bits, dtype=np.bool_)  # most runs of most sentences are told by one look here
        self._maybe[self._hashes >> self._shift] = True

    def near(self, keys: list[str]) -> Iterator[tuple[int, str]]:
        """Yield (place, test text's key) of all pairs that are nearly equal."""
        if not keys or not self._keys:
            return
        hashes, owners, left = _hash_runs(self._measure.gram, keys)
        places = np.flatnonzero(self._maybe[hashes >> self._shift] & (left >= self._measure.gram))
        slots = np.searchsorted(self._hashes, hashes[places])
        slots[slots == len(self._hashes)] = 0
        same = self._hashes[slots] == hashes[places]
        owners, slots = owners[places[same]], slots[same]
        counts = self._starts[slots + 1] - self._starts[slots]
        lengths = np.array([len(key) for key in keys], dtype=np.int64)
        for part in _parts(counts):
            for sentence, text in self._pairs(owners[part], slots[part], counts[part], lengths):
                if _nearly_equal(keys[sentence], self._keys[text], self._measure):
                    yield sentence, self._keys[text]

    def _pairs(self, owners: Numbers, slots: Numbers, counts: Numbers, lengths: Numbers) -> Iterator[tuple[int, int]]:
        """Yield the (sentence, text) pairs that share a run and whose lengths allow more."""
        behind = np.cumsum(counts) - counts
        places = np.repeat(self._starts[slots] - behind, counts) + np.arange(counts.sum())
        pairs = np.unique(np.repeat(owners, counts) * len(self._keys) + self._texts[places])
        sentences, texts = np.divmod(pairs, len(self._keys))
        first, second = lengths[sentences], self._lengths[texts]
        short = np.minimum(first, second)
        able = (np.maximum(first, second) <= _LONGER * short) | (short >= self._measure.long)
        yield from zip(sentences[able].tolist(), texts[able].tolist(), strict=True)


def _measure(key: str) -> _Measure:
    """Return the measure of a text: that of syllables where they are a third of it or more.

    A Chinese, Japanese or Korean character tells about as much as three letters.
    """
    if key.isascii():
        return _LETTERS
    wide = sum(character >= "\u2e80" for character in key)
    return _SYLLABLES if 3 * wide >= len(key) else _LETTERS


def _nearly_equal(first: str, second: str, measure: _Measure) -> bool:
    """Tell whether runs that both have make up enough of the shorter text."""
    short, long = sorted((first, second), key=len)
    needed = _SHARE * len(short)
    if len(long) > _LONGER * len(short):
        needed = max(needed, measure.long)
    spare = len(short) - needed  # how many characters may lie in no common run
    end = 0
    for start in range(len(short) - measure.gram + 1):
        if start - end > spare:
            return False
        if short[start : start + measure.gram] in long:
            spare -= max(0, start - end)
            end = start + measure.gram
    return len(short) - end <= spare


def _hash_runs(gram: int, keys: list[str]) -> tuple[Hashes, Numbers, Numbers]:
    """Return, for every character of the joined texts, the hash of its run, its text, and how much of that is left.

    Where fewer than `gram` characters of the text are left, no run starts.
    """
    lengths = np.array([len(key) for key in keys], dtype=np.int64)
    joined = "".join(keys).encode("utf-32-le", "surrogatepass") + bytes(4 * gram)
    codes = np.frombuffer(joined, dtype="<u4").astype(np.uint64)
    size = len(codes) - gram
    hashes = np.zeros(size, dtype=np.uint64)
    for place in range(gram):
        hashes *= _FACTOR
        hashes += codes[place : place + size]
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    owners = np.repeat(np.arange(len(keys)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(size)
    return hashes, owners, left


def _winnow(measure: _Measure, first: int, keys: list[str]) -> tuple[Hashes, NDArray[np.int32]]:
    """Return the hashes kept of these texts, the least of every window, and their texts' numbers."""
    hashes, owners, left = _hash_runs(measure.gram, keys)
    windows = np.flatnonzero(left >= measure.gram + measure.window - 1)
    chosen, least = windows.copy(), hashes[windows]
    for place in range(1, measure.window):
        other = hashes[windows + place]
        better = other <= least
        least = np.where(better, other, least)
        chosen = np.where(better, windows + place, chosen)
    chosen = np.unique(chosen)
    return hashes[chosen], (owners[chosen] + first).astype(np.int32)


def _chunks(keys: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first text, texts) of bounded length."""
    first = size = 0
    for number, key in enumerate(keys):
        size += len(key)
        if size >= _CHUNK:
            yield first, keys[first : number + 1]
            first, size = number + 1, 0
    if first < len(keys):
        yield first, keys[first:]


def _parts(counts: Numbers) -> Iterator[slice]:
    """Yield slices of what was found whose counts add up to a bounded number."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _PAIRS, side="right")))
        yield slice(start, stop)
        start = stop

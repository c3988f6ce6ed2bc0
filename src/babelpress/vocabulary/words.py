"""The distinct words of much text, found at the speed of compiled code."""

from __future__ import annotations

import numpy as np

from babelpress.vocabulary.segment import bits_of, compiled

OTHER, LETTER, LONG_LETTER, MARK = range(4)  # kinds of characters; a long letter has three bytes and more


@compiled
def distinct_words(points, keep_space, kinds):
    """Find the distinct words of a text, separated by spaces and newlines, of which one stands at the very beginning.

    Return where each begins and ends, how often it stands, and whether it is plain: of letters, and marks behind long
    letters or marks, by `kinds` of the code points below its length. With `keep_space`, a space before a word is its.
    """
    most = 0
    for at in range(points.shape[0]):
        most += points[at] == 0x20 or points[at] == 0x0A
    bits = max(4, bits_of(2 * most))
    mask = (1 << bits) - 1
    slots = np.full(1 << bits, -1, np.int32)
    hashes = np.empty(most, np.uint64)
    begins, ends, times = np.empty(most, np.int64), np.empty(most, np.int64), np.zeros(most, np.int64)
    plain = np.empty(most, np.bool_)
    words, at = 0, 0
    while at < points.shape[0]:
        begin = at if keep_space and points[at] == 0x20 else at + 1
        value = np.uint64(begin - at)
        at += 1
        kind, is_plain = OTHER, True
        while at < points.shape[0] and points[at] != 0x20 and points[at] != 0x0A:
            value = (value ^ np.uint64(points[at])) * np.uint64(0x100000001B3)  # as FNV-1a has it
            before, kind = kind, kinds[points[at]] if points[at] < kinds.shape[0] else OTHER
            is_plain = is_plain and kind != OTHER and (kind != MARK or before >= LONG_LETTER)
            at += 1
        if begin == at:
            continue
        value *= np.uint64(0x9E3779B97F4A7C15)
        place = np.int64(value >> np.uint64(64 - bits))
        while slots[place] >= 0 and not (
            hashes[slots[place]] == value and _same(points, begins[slots[place]], ends[slots[place]], begin, at)
        ):
            place = (place + 1) & mask
        if slots[place] < 0:
            slots[place] = words
            begins[words], ends[words], hashes[words], plain[words] = begin, at, value, is_plain
            words += 1
        times[slots[place]] += 1
    return begins[:words].copy(), ends[:words].copy(), times[:words].copy(), plain[:words].copy()


@compiled
def _same(points, first, last, begin, end):
    if last - first != end - begin:
        return False
    at = 0
    while at < last - first and points[first + at] == points[begin + at]:
        at += 1
    return at == last - first

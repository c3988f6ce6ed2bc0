"""The split of a text or of a group of texts, decided by its hash alone."""

from __future__ import annotations

import xxhash

from babelpress.corpus.sentence import Split


def split_of(group: str, *, seed: int, held_out: float) -> Split:
    """Return the split of a group: `held_out` is the share set aside, half for validation, half for test."""
    place = xxhash.xxh3_64_intdigest(group.encode(), seed=seed) / 2**64
    if place < held_out / 2:
        return Split.VALIDATION
    return Split.TEST if place < held_out else Split.TRAIN

"""The unit of a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Split(str, Enum):
    """What a sentence may be used for: training, stopping and choosing, or the final figures."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Sentence:
    """A text with its language and origin.

    Sentences of one `group` (translations of each other, rewrites of one text) fall into one split.
    `split` overrides the split by hash.
    """

    text: str
    language: str
    source: str
    group: str | None = None
    split: Split | None = None


@dataclass(frozen=True)
class BadLine:
    """A line that gave no text, and why; it is counted."""

    source: str
    reason: str

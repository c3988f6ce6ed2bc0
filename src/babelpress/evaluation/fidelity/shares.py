"""Balanced samples of texts from several languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def fair_shares(sizes: Mapping[str, int], limit: int) -> dict[str, int]:
    """Return how many of `limit` each gives: equal shares; what small ones cannot give goes to the others."""
    shares = {}
    left = limit
    for place, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        shares[name] = min(sizes[name], left // (len(sizes) - place))
        left -= shares[name]
    return {name: shares[name] for name in sizes}


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Return `count` items at even distances (a file may be sorted), in their order; all where there are fewer."""
    few = min(count, len(items))
    return [items[number * len(items) // few] for number in range(few)]

"""Fair shares of several languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelpress.evaluation.fidelity.shares import evenly, fair_shares

SIZES = st.dictionaries(st.text(max_size=3), st.integers(0, 500), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [
        ({"en": 100, "ko": 100}, 10, {"en": 5, "ko": 5}),
        ({"en": 100, "ko": 2}, 10, {"en": 8, "ko": 2}),
        ({"en": 3, "ko": 2}, 10, {"en": 3, "ko": 2}),
        ({"en": 9, "ko": 9, "th": 9}, 10, {"en": 3, "ko": 3, "th": 4}),
        ({"en": 9, "ko": 0}, 4, {"en": 4, "ko": 0}),
    ],
)
def test_shares_by_hand(sizes, limit, expected):
    assert fair_shares(sizes, limit) == expected


@given(SIZES, st.integers(0, 2000))
def test_all_that_can_be_given_is_and_nobody_gives_more_than_another_could(sizes, limit):
    shares = fair_shares(sizes, limit)
    assert list(shares) == list(sizes)
    assert sum(shares.values()) == min(limit, sum(sizes.values()))
    whole = max(shares.values())
    assert all(share == sizes[name] or whole - share <= 1 for name, share in shares.items())


def test_what_is_taken_lies_at_even_distances():
    assert evenly("abcdefghij", 5) == list("acegi")
    assert evenly("abc", 3) == list("abc")
    assert evenly("abc", 0) == []


def test_no_more_is_taken_than_there_is():
    assert evenly("ab", 5) == ["a", "b"]
    assert evenly("", 5) == []

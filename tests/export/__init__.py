"""What the tests of the exports share."""

from __future__ import annotations

from typing import Any

from babelpress.export.result import Parity


def good_parity(**changes: Any) -> Parity:
    """An export that is near its student."""
    figures: dict[str, Any] = {
        "texts": 800, "largest": 0.01, "mean": 0.999, "p5": 0.995, "lowest_language": "th", "lowest_mean": 0.998,
        "lost": {"a": 0.1},
    }  # fmt: skip
    return Parity(**{**figures, **changes})

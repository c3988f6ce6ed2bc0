"""What the tests of the exports share."""

from __future__ import annotations

from typing import Any

from babelpress.schema.exports import Missed, Parity


def good_parity(**changes: Any) -> Parity:
    """An export that is near its student."""
    figures: dict[str, Any] = {
        "texts": 800, "largest": 0.01, "mean": 0.999, "p5": 0.995, "lowest_language": "th", "lowest_mean": 0.998,
        "lost": {"a": 0.1},
    }  # fmt: skip
    return Parity(**{**figures, **changes})


def missed_export(name: str = "onnx-q4", file: str = "onnx/model_q4.onnx") -> Missed:
    """An export that was not near enough, and so was not written."""
    parity = good_parity(mean=0.9911, p5=0.9822, lowest_mean=0.9833, lost={})
    return Missed(name, file, 10 * 2**20, parity, ("mean cosine 0.9911 is below 0.995",))

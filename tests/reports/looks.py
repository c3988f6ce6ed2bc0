"""What a drawing function drew: its figure, caught when it is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from matplotlib.figure import Figure


def catch_figure(monkeypatch: pytest.MonkeyPatch, module: ModuleType, draw: Callable[[Path], Any]) -> Figure:
    """Call a drawing function and return what it would have saved, in the style that it drew in."""
    caught: list[Figure] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "save", lambda figure, path: caught.append(figure))
        draw(Path("nowhere"))
    (figure,) = caught
    return figure


def labels(figure: Figure) -> list[str]:
    """Return the legend's labels."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def dots(figure: Figure, label: str, axis: int = 0) -> list[tuple[float, float]]:
    """Return the points of the line of this label."""
    (line,) = [line for line in figure.axes[axis].lines if line.get_label() == label]
    return [(float(x), float(y)) for x, y in line.get_xydata()]

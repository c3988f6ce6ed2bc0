"""Parallel sentences as every model sees them, as a page to explore: one file, which needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.reports.style import INK, LINE, QUIET, language_look, language_name, sentence_colours
from babelpress.utils.files import write_text

# plotly's names of the markers of pictures
_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond"}


def write_page(path: Path, points: dict[str, NDArray[np.float32]], *, texts: dict[str, list[str]], title: str) -> None:
    """Write the page; points have shape (languages x sentences, 2), in the order of `texts`, language by language."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=PackageLoader("babelpress.reports"), undefined=StrictUndefined, autoescape=True)
    page = environment.get_template("umap.html.jinja").render(
        title=title, ink=INK, quiet=QUIET, line=LINE, data=page_data(points, texts), plotly=get_plotlyjs()
    )
    write_text(path, page)


def page_data(points: dict[str, NDArray[np.float32]], texts: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the page shows as JSON-able values; coordinates are rounded to 1/1000."""
    return {
        "languages": [
            {"code": code, "name": language_name(code), "colour": colour, "symbol": _SYMBOLS[marker]}
            for code, (colour, marker) in zip(texts, map(language_look, range(len(texts))), strict=True)
        ],
        "texts": list(texts.values()),
        "colours": sentence_colours(len(next(iter(texts.values())))),
        "models": [
            {"name": name, "x": _rounded(where[:, 0]), "y": _rounded(where[:, 1])} for name, where in points.items()
        ],
    }


def _rounded(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 3) for value in values]

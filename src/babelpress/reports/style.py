"""How all pictures look: colours, fonts, axes, and files whose bytes are the same again.

Text in pictures is in Latin letters alone, which matplotlib's own font has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from babelpress.errors import EvaluationError
from babelpress.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, LINE = "#1b1e28", "#6b7080", "#d5d8e0"
MODEL_COLOURS = ("#30638e", "#d1495b", "#edae49", "#00798c", "#9d4edd", "#6a994e", "#8d6e63", "#5f6f7f")
RUN_COLOURS = {"teacher": "#30638e", "pruned": "#a9afbd", "distilled": "#d1495b"}
# Sixteen colours that stay apart on white; more languages go round again with another marker.
LANGUAGE_COLOURS = (
    "#d1495b", "#00798c", "#edae49", "#30638e", "#6a994e", "#9d4edd", "#f3722c", "#2ec4b6",
    "#8d6e63", "#ff70a6", "#1d3557", "#b5b800", "#5f6f7f", "#7f1d1d", "#3a86ff", "#14746f",
)  # fmt: skip
MARKERS = "os^D"
ENDINGS = (".png", ".svg")
_DPI = 150


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save as babelpress does, whatever the user's matplotlibrc says."""
    from matplotlib import style

    own: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "svg.hashsalt": "babelpress",
        "svg.fonttype": "path",
        "axes.edgecolor": LINE,
        "text.color": INK,
        "axes.labelcolor": QUIET,
    }
    with style.context(["default", own]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches that makes room for what stands around its axes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(axis: Axes, *, grid: str) -> None:
    """Leave an axis its labels and the lines of a grid ("x", "y" or "both")."""
    axis.tick_params(which="both", length=0, labelcolor=INK, labelsize=10)
    axis.grid(axis=grid, color=LINE, linewidth=0.8)  # type: ignore[arg-type]
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def check_ending(option: str, path: Path) -> None:
    """Refuse a file that is neither .png nor .svg. Raises EvaluationError."""
    if path.suffix.lower() not in ENDINGS:
        raise EvaluationError(f"{option} {path}: its name must end in {' or '.join(ENDINGS)}")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG or an SVG, by the ending; both where the name has no such ending. There are no dates in them."""
    whole = path.suffix.lower() in ENDINGS
    for file in [path] if whole else [path.with_name(f"{path.name}{ending}") for ending in ENDINGS]:
        kind = file.suffix.lower()[1:]
        metadata: Any = {"Software": None} if kind == "png" else {"Date": None}
        replace_file(file, partial(figure.savefig, format=kind, dpi=_DPI, metadata=metadata))


def language_look(number: int) -> tuple[str, str]:
    """Return the colour and the marker of the language at a place."""
    return LANGUAGE_COLOURS[number % len(LANGUAGE_COLOURS)], MARKERS[number // len(LANGUAGE_COLOURS) % len(MARKERS)]


def sentence_colours(count: int) -> list[str]:
    """Return a colour for each of so many sentences, like ones far apart."""
    import matplotlib as mpl
    import numpy as np
    from matplotlib.colors import to_hex

    rainbow = mpl.colormaps["nipy_spectral"](np.linspace(0.04, 0.94, count))
    return [to_hex(colour) for colour in rainbow[np.random.default_rng(0).permutation(count)]]


def model_colour(name: str, place: int) -> str:
    """Return the colour of a run's model, or of the model at a place."""
    return RUN_COLOURS.get(name, MODEL_COLOURS[place % len(MODEL_COLOURS)])


def language_name(code: str) -> str:
    """Return a language's English name; a label of the user's own that is no code (BCP 47) is its own name."""
    try:
        return Language.get(code).display_name()
    except LanguageTagError:
        return code

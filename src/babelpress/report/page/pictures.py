"""The pictures of a run, as data inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from babelpress.report.page.drawings import Figure

_INTERACTIVE = "report/umap.html"
_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A picture that a run drew: its name without ending, the file's bytes and their media type."""

    name: str
    data: bytes
    kind: str


@dataclass(frozen=True)
class Words:
    """What is said of a picture: a title, what it shows, how to read it."""

    title: str
    alt: str
    reading: str


# In the order of the page.
WORDS = {
    "umap": Words(
        "Parallel sentences in two dimensions",
        "UMAP of parallel sentences, a column for each model; coloured by language above, by sentence below",
        "Where a model is good, colours mix above (languages share one space) and gather below (translations lie "
        "together).",
    ),
    "loss": Words(
        "Training",
        "Loss over the steps of the training, and held-out figures at the end of each epoch",
        "A held-out curve that still falls at the end would have gone on falling; one that rises has been passed by "
        "the weights that were kept.",
    ),
    "languages": Words(
        "Languages",
        "What the student keeps in each language",
        "A language far below the others needs more text or more of the vocabulary.",
    ),
    "lengths": Words(
        "Lengths",
        "Cosine to the teacher over the length of the text",
        "A curve that falls shows from which length on the student leaves the teacher.",
    ),
    "pareto": Words(
        "Size and quality",
        "Scores of models over their size",
        "Up and to the left is better; a model that nothing lies above and left of is worth its size.",
    ),
}


def find_pictures(folder: Path) -> tuple[Picture, ...]:
    """Read the pictures of a report folder, of PNG and SVG the smaller file."""
    found = []
    for name in WORDS:
        files = [folder / f"{name}{ending}" for ending in _KINDS]
        there = sorted((file for file in files if file.is_file()), key=lambda file: file.stat().st_size)
        if there:
            found.append(Picture(name, there[0].read_bytes(), _KINDS[there[0].suffix]))
    return tuple(found)


def find_interactive(run: Path) -> str | None:
    """Return where, from the run's folder, the picture lies that can be pointed at; None where there is none."""
    return _INTERACTIVE if (run / _INTERACTIVE).is_file() else None


def draw_figure(picture: Picture) -> Figure:
    """Return a picture as a part of the page."""
    words = WORDS[picture.name]
    address = f"data:{picture.kind};base64,{base64.b64encode(picture.data).decode('ascii')}"
    return Figure(words.title, address, words.alt, words.reading, ("report",))

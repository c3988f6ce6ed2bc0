"""The pictures of a run, as data inside the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from babelpress.reports.page.drawings import Figure

_STAGES = ("umap", "pictures")
_INTERACTIVE = "umap/umap.html"
_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A picture that a run drew: its name without ending, the file's bytes, their media type, and whose it is."""

    name: str
    data: bytes
    kind: str
    stage: str


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
        "Training loss and its terms over the steps, held-out loss as dots, the learning rate below",
        "The ringed dot is the epoch whose weights were kept: where it is the last one, more epochs might have helped; "
        "where later ones lie higher, it was time to stop.",
    ),
    "languages": Words(
        "Languages",
        "A row for each language, on it a dot for each model: scores, or nearness to the teacher where no task has any "
        "by language",
        "The language that lost most comes first. Scores: the further left of the teacher's dot the student's lies, "
        "the more was lost. Nearness: the further right, the nearer; the teacher's own is 1 and not drawn.",
    ),
    "lengths": Words(
        "Lengths",
        "Mean cosine to the teacher over the length of texts, a line for each student; dashed, the 5th percentile",
        "Where a line falls, texts of that length leave the teacher; the lengths that were trained on are named under "
        "limits.",
    ),
    "pareto": Words(
        "Size and score",
        "Mean score of models over their parameters",
        "Up and to the left is better; the dashed line joins the models that none of their size or smaller surpasses.",
    ),
}


def find_pictures(run: Path) -> tuple[Picture, ...]:
    """Read the pictures of a run's stages, of PNG and SVG the smaller file."""
    found = []
    for name in WORDS:
        files = [run / stage / f"{name}{ending}" for stage in _STAGES for ending in _KINDS]
        there = sorted((file for file in files if file.is_file()), key=lambda file: file.stat().st_size)
        if there:
            found.append(Picture(name, there[0].read_bytes(), _KINDS[there[0].suffix], there[0].parent.name))
    return tuple(found)


def find_interactive(run: Path) -> str | None:
    """Return where, from the run's folder, the picture lies that can be pointed at; None where there is none."""
    return _INTERACTIVE if (run / _INTERACTIVE).is_file() else None


def draw_figure(picture: Picture) -> Figure:
    """Return a picture as a part of the page."""
    words = WORDS[picture.name]
    address = f"data:{picture.kind};base64,{base64.b64encode(picture.data).decode('ascii')}"
    return Figure(f"picture-{picture.name}", words.title, address, words.alt, words.reading, (picture.stage,))

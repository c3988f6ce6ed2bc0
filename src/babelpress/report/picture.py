"""The picture: parallel sentences of many languages as every model sees them, in two dimensions."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from langcodes import Language
from numpy.typing import NDArray

from babelpress.encoders import load_encoder
from babelpress.errors import EvaluationError
from babelpress.evaluation.evaluate import bundled_texts
from babelpress.evaluation.parallel import measure_parallel
from babelpress.files import replace_file, write_json
from babelpress.progress import track
from babelpress.recipe import HubSource, ParallelSource, Recipe

_INK, _QUIET = "#1b1e28", "#6b7080"
# Sixteen colours that stay apart on white; more languages go round again with another marker.
_COLOURS = (
    "#d1495b", "#00798c", "#edae49", "#30638e", "#6a994e", "#9d4edd", "#f3722c", "#2ec4b6",
    "#8d6e63", "#ff70a6", "#1d3557", "#b5b800", "#5f6f7f", "#7f1d1d", "#3a86ff", "#14746f",
)  # fmt: skip
_MARKERS = "os^D"


def draw_run(
    recipe: Recipe,
    folders: dict[str, Path],
    out: Path,
    *,
    data_dir: Path | None,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Write umap.png, umap.svg and umap.npz (the points) for the models of a run, and the numbers behind them.

    parallel.json holds model → Parallel; one language has none of them.
    """
    settings = recipe.visualization
    texts = parallel_texts(recipe, data_dir=data_dir)
    points, parallel = {}, {}
    for name in track(folders, "report: UMAP", total=len(folders), unit="models"):
        model = load_encoder(folders[name], trust_remote_code=trust_remote_code)
        flat = [text for lines in texts.values() for text in lines]
        vectors = model.encode(flat, batch_size=64, show_progress_bar=False)
        if len(texts) > 1:
            by_language = dict(zip(texts, np.split(vectors, len(texts)), strict=True))
            parallel[name] = measure_parallel(by_language, seed=recipe.seed).model_dump(mode="json")
        points[name] = project(
            vectors, seed=recipe.seed, neighbours=settings.neighbours, min_distance=settings.min_distance
        )
    write_json(out / "parallel.json", parallel)
    replace_file(out / "umap.npz", lambda path: _save_points(path, points))
    draw_points(
        points,
        languages=list(texts),
        out=out,
        title=f"{recipe.name}: {len(texts)} languages, {_count(texts)} sentences each",
    )
    return {"languages": list(texts), "sentences": _count(texts)}


def parallel_texts(recipe: Recipe, *, data_dir: Path | None) -> dict[str, list[str]]:
    """Return language → sentences, row by row the same meaning. Raises EvaluationError when there are none."""
    settings = recipe.visualization
    if settings.source is None:
        texts = bundled_texts(recipe.languages, sentences=settings.sentences)
    else:
        texts = _hub_texts(settings.source, settings.sentences, data_dir=data_dir)
    if not texts or _count(texts) < 3:
        raise EvaluationError(
            "there are no parallel sentences in the recipe's languages to draw; name some under visualization.source"
        )
    return texts


def project(vectors: NDArray[np.float32], *, seed: int, neighbours: int, min_distance: float) -> NDArray[np.float32]:
    """Return UMAP coordinates (McInnes et al. 2018, arXiv 1802.03426) by cosine, shape (sentences, 2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap tells that a seed means one thread
        logging.getLogger("numba").setLevel(logging.ERROR)
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=min(neighbours, len(vectors) - 1),
            min_dist=min_distance,
            metric="cosine",
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(reducer.fit_transform(vectors), dtype=np.float32)


def draw_points(points: dict[str, NDArray[np.float32]], *, languages: list[str], out: Path, title: str) -> None:
    """Draw two rows (coloured by language, by sentence) and a column per model; PNG and SVG.

    Labels are Latin letters alone, which matplotlib's own font has.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    count = len(next(iter(points.values()))) // len(languages)
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "svg.hashsalt": "babelpress",
        "svg.fonttype": "path",
        "axes.edgecolor": "#d5d8e0",
    }
    with plt.style.context(["default", style]):  # whatever the user's matplotlibrc says
        figure, axes = plt.subplots(
            2, len(points), figsize=(4.6 * len(points), 9.6), squeeze=False, layout="constrained"
        )
        figure.suptitle(title, fontsize=15, color=_INK, x=0.01, ha="left")
        rainbow = mpl.colormaps["nipy_spectral"](np.linspace(0.04, 0.94, count))
        by_sentence = rainbow[np.random.default_rng(0).permutation(count)]
        for column, (name, where) in enumerate(points.items()):
            top, bottom = axes[0][column], axes[1][column]
            for number, _ in enumerate(languages):
                rows = slice(number * count, (number + 1) * count)
                marker = _MARKERS[number // len(_COLOURS) % len(_MARKERS)]
                top.scatter(
                    *where[rows].T,
                    s=13,
                    color=_COLOURS[number % len(_COLOURS)],
                    marker=marker,
                    linewidths=0,
                    alpha=0.85,
                )
                bottom.scatter(*where[rows].T, s=13, color=by_sentence, linewidths=0, alpha=0.85)
            top.set_title(name, fontsize=13, color=_INK)
            for axis in (top, bottom):
                axis.set(xticks=[], yticks=[])
        axes[0][0].set_ylabel("coloured by language", fontsize=11, color=_QUIET)
        axes[1][0].set_ylabel("coloured by sentence", fontsize=11, color=_QUIET)
        handles = [
            mpl.lines.Line2D(
                [], [], marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)], linestyle="", markersize=7,
                color=_COLOURS[number % len(_COLOURS)], label=f"{code}  {Language.get(code).display_name()}",
            )
            for number, code in enumerate(languages)
        ]  # fmt: skip
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(8, len(languages)),
            frameon=False,
            fontsize=10,
        )
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            replace_file(
                out / f"umap.{ending}",
                lambda path, e=ending, m=metadata: figure.savefig(path, format=e, dpi=150, metadata=m),  # type: ignore[misc]
            )
        plt.close(figure)


def _hub_texts(source: ParallelSource, sentences: int, *, data_dir: Path | None) -> dict[str, list[str]]:
    """Return the first sentences whose id every subset has, in the order of the first subset."""
    from babelpress.corpus.hub_sources import stream_rows

    by_language: dict[str, dict[str, str]] = {}
    for subset, language in source.subsets.items():
        hub = HubSource(
            kind="hub",
            dataset=source.dataset,
            revision=source.revision,
            split=source.split,
            columns=(source.text_column,),
        )
        rows = stream_rows(hub, subset, data_dir=data_dir)
        by_language[language] = dict(_id_and_text(row, source) for row in rows)
    first = next(iter(by_language.values()))
    shared = [key for key in first if all(key in rows for rows in by_language.values())][:sentences]
    return {language: [rows[key] for key in shared] for language, rows in by_language.items()}


def _id_and_text(row: dict[str, Any], source: ParallelSource) -> tuple[str, str]:
    for column in (source.id_column, source.text_column):
        if column not in row:
            raise EvaluationError(
                f"{source.dataset} has no column {column!r} for the picture; it has: {', '.join(row)}"
            )
    return str(row[source.id_column]), str(row[source.text_column])


def _save_points(path: Path, points: dict[str, NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **points)  # type: ignore[arg-type]


def _count(texts: dict[str, list[str]]) -> int:
    return len(next(iter(texts.values()), []))

"""The picture: parallel sentences of many languages as every model sees them, in two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.architectures.encoders import encode_texts, load_encoder
from babelpress.evaluation.fidelity.parallel import measure_parallel
from babelpress.recipe import Recipe
from babelpress.reports.projection import count_sentences, parallel_texts, project
from babelpress.reports.umap_page import write_page
from babelpress.reports.umap_plot import draw_points
from babelpress.utils.files import replace_file, write_json
from babelpress.utils.progress import track


def draw_run(
    recipe: Recipe,
    folders: dict[str, Path],
    out: Path,
    *,
    data_dir: Path | None,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Write umap.png, umap.svg, umap.html (the same to explore) and umap.npz (the points) for a run's models.

    parallel.json holds the numbers behind them: model → Parallel; of one language there are none.
    """
    settings = recipe.visualization
    texts = parallel_texts(recipe, data_dir=data_dir)
    languages, sentences = list(texts), count_sentences(texts)
    flat = [text for lines in texts.values() for text in lines]
    vectors: dict[str, dict[str, NDArray[np.float32]]] = {}
    points: dict[str, NDArray[np.float32]] = {}
    for name in track(folders, "report: UMAP", total=len(folders), unit="models"):
        model = load_encoder(folders[name], trust_remote_code=trust_remote_code)
        every = encode_texts(model, flat, batch_size=64)
        vectors[name] = dict(zip(texts, np.split(every, len(texts)), strict=True))
        points[name] = project(
            every, seed=recipe.seed, neighbours=settings.neighbours, min_distance=settings.min_distance
        )
    parallel = {
        name: measure_parallel(own, seed=recipe.seed).model_dump(mode="json")
        for name, own in vectors.items()
        if len(own) > 1
    }
    write_json(out / "parallel.json", parallel)
    title = f"{recipe.name}: {len(languages)} languages, {sentences} sentences each"
    replace_file(out / "umap.npz", lambda path: _save_points(path, points))
    draw_points(points, languages=languages, out=out, title=title)
    write_page(out / "umap.html", points, texts=texts, title=title)
    return {"languages": languages, "sentences": sentences}


def _save_points(path: Path, points: dict[str, NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **points)  # type: ignore[arg-type]

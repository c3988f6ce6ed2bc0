"""Reference vectors from a package's engine, which a folder made from the package has to reproduce."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import PackageError
from babelpress.utils.files import read_json

FLOOR = 0.995  # the lowest accepted cosine: the engine computes with 8-bit activations


@dataclass(frozen=True)
class Known:
    """One sentence per language, and the engine's embeddings of them, shape (sentences, dimensions)."""

    languages: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]


def load_known(path: Path) -> Known:
    """Read known vectors; they are kept as whole numbers, in parts of 1 / `scale`."""
    values = read_json(path)
    return Known(
        languages=tuple(sentence["language"] for sentence in values["sentences"]),
        texts=tuple(sentence["text"] for sentence in values["sentences"]),
        vectors=np.array([sentence["vector"] for sentence in values["sentences"]], dtype=np.float32) / values["scale"],
    )


def compare_with_known(folder: Path, known: Known) -> dict[str, float]:
    """Return the cosine of a folder's embedding to the known one by language. Raises PackageError below the floor."""
    from babelpress.architectures.encoders import encode_texts, load_encoder
    from babelpress.evaluation.fidelity.intrinsic import normalised

    vectors = encode_texts(load_encoder(folder, device="cpu"), known.texts, batch_size=len(known.texts))
    if vectors.shape != known.vectors.shape:
        raise PackageError(f"the embeddings have shape {vectors.shape}, {known.vectors.shape} was expected")
    products = np.einsum("sd,sd->s", normalised(vectors), normalised(known.vectors))
    cosines = {code: float(value) for code, value in zip(known.languages, products, strict=True)}
    low = [f"{code} {cosine:.4f}" for code, cosine in cosines.items() if not cosine >= FLOOR]  # NaN is low, too
    if low:
        raise PackageError(
            f"cosine to the package's engine: {', '.join(low)}, {FLOOR} at least was expected; nothing was "
            "written; the installed libraries compute something else, try the versions of requirements.lock"
        )
    return cosines

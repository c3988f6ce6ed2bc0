"""How near an exported graph's embeddings are to the student's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babelpress.architectures.encoders import encode_texts
from babelpress.evaluation.fidelity.intrinsic import normalised
from babelpress.schema.exports import Parity
from babelpress.utils.progress import track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = Mapping[str, NDArray[np.float32]]


def encode_all(model: SentenceTransformer, texts: Mapping[str, list[str]], *, label: str) -> Vectors:
    """Return the embeddings of every language's texts."""
    shown = track(texts.items(), label, total=len(texts), unit="languages")
    return {code: encode_texts(model, lines, batch_size=32) for code, lines in shown}


def measure_parity(student: Vectors, exported: Vectors) -> Parity:
    """Compare embeddings language by language; no score is lost yet.

    What an export gives instead of a number counts as 0, so that its figures are numbers, which JSON can hold.
    """
    exported = {code: np.nan_to_num(own, posinf=0.0, neginf=0.0) for code, own in exported.items()}
    cosines = {code: np.einsum("sd,sd->s", normalised(student[code]), normalised(exported[code])) for code in student}
    every = np.concatenate(list(cosines.values()))
    lowest = min(cosines, key=lambda code: float(cosines[code].mean()))
    return Parity(
        texts=len(every),
        largest=max(float(np.abs(student[code] - exported[code]).max()) for code in student),
        mean=float(every.mean()),
        p5=float(np.percentile(every, 5)),
        lowest_language=lowest,
        lowest_mean=float(cosines[lowest].mean()),
        lost={},
    )

"""How near an exported graph's embeddings are to the student's, and the floor that they must reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babelpress.evaluation.evaluate import encode_texts
from babelpress.evaluation.intrinsic import normalised
from babelpress.progress import track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """Embeddings of one export beside the student's, over texts of every language.

    `largest` is the largest difference of any number, `mean` and `p5` are of the cosines, `lowest_language` is the
    language of the lowest mean cosine. `lost` are points (percent) that scores lose; what they gain is negative.
    """

    texts: int
    largest: float
    mean: float
    p5: float
    lowest_language: str
    lowest_mean: float
    lost: dict[str, float]

    @property
    def points(self) -> float:
        """Return the points that the mean of all scores loses; 0 without scores."""
        return float(np.mean(list(self.lost.values()))) if self.lost else 0.0


@dataclass(frozen=True)
class Floor:
    """What an export must reach: cosines at least, points at most."""

    mean: float = 0.995
    p5: float = 0.99
    points: float = 0.5

    def faults(self, found: Parity) -> list[str]:
        """Return, in words, what is not reached; numbers that are no numbers reach nothing."""
        said = []
        if not found.mean >= self.mean:
            said.append(f"mean cosine {found.mean:.4f} is below {self.mean:g}")
        if not found.p5 >= self.p5:
            said.append(f"5th percentile of the cosine {found.p5:.4f} is below {self.p5:g}")
        if not found.points <= self.points:
            said.append(f"scores lose {found.points:.2f} points, more than {self.points:g}")
        return said


def encode_all(model: SentenceTransformer, texts: Mapping[str, list[str]], *, label: str) -> Vectors:
    """Return the embeddings of every language's texts."""
    shown = track(texts.items(), label, total=len(texts), unit="languages")
    return {code: encode_texts(model, lines, batch_size=32) for code, lines in shown}


def measure_parity(
    student: Vectors, exported: Vectors, *, scores: Mapping[str, float], exported_scores: Mapping[str, float]
) -> Parity:
    """Compare embeddings language by language, and scores (percent) by name."""
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
        lost={name: score - exported_scores[name] for name, score in scores.items()},
    )

"""What the tests of distillation, stages and resume share: a small recipe, a corpus and a training by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from babelpress.distillation.targets import Targets
from babelpress.distillation.tokens import TokenStore
from babelpress.distillation.train import TrainingText

RECIPE = """\
name: small
languages: [en, ko, hi]
teacher: {{model: "{teacher}"}}
corpus: {{sources: [{{kind: bundled, variants: 1}}], held_out: 0.1}}
layers: {{method: uniform, count: 2}}
vocabulary: {{size: 800}}
distillation: {{epochs: 2, batch_size: 32, checkpoint_steps: 3, max_length: 32, learning_rate: 1.0e-3}}
evaluation: {{tasks: []}}
visualization: {{sentences: 10}}
"""


def write_recipe(folder: Path, teacher: Path) -> Path:
    """Write the small recipe into a folder."""
    path = folder / "small.yaml"
    path.write_text(RECIPE.format(teacher=teacher), encoding="utf-8")
    return path


def write_corpus(folder: Path, **splits: list[str]) -> Path:
    """Write a corpus of these texts, all English."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, texts in splits.items():
        table = pa.table({"text": texts, "language": ["en"] * len(texts), "source": ["test"] * len(texts)})
        pq.write_table(table, folder / f"{split}-00000.parquet")
    return folder


def make_text(*, rows: int, pieces: int, dimensions: int = 16, seed: int = 0) -> TrainingText:
    """Make sentences of random ids and targets that depend on their words: something that can be learnt."""
    draw = np.random.default_rng(seed)
    meanings = np.random.default_rng(99).standard_normal((pieces, dimensions))
    sentences = [[0, *draw.integers(5, pieces, draw.integers(2, 9)).tolist(), 2] for _ in range(rows)]
    targets = np.array([meanings[ids[1:-1]].mean(axis=0) for ids in sentences])
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    flat = np.array([token for ids in sentences for token in ids], dtype=np.uint32)
    offsets = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
    return TrainingText(
        TokenStore(flat, offsets), Targets((targets.astype(np.float16),), np.zeros(rows, dtype=np.uint32))
    )

"""What the tests of distillation, stages and resume share: a small recipe, a corpus and a training by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from babelpress.distillation.feed import TrainingText
from babelpress.distillation.targets import Targets
from babelpress.distillation.tokens import TokenStore
from babelpress.distillation.train import TrainingReport, train_student
from babelpress.recipe import DistillationSection
from tests.tiny import make_teacher, words

RECIPE = """\
name: small
languages: [en, ko, hi]
teacher: {{model: "{teacher}"}}
corpus: {{sources: [{{kind: bundled, variants: 1}}], held_out: 0.1}}
layers: {{method: uniform, count: 2}}
vocabulary: {{size: 800}}
distillation: {{epochs: 2, batch_size: 32, checkpoint_steps: 3, max_length: 32, learning_rate: 1.0e-3, \
precision: fp32, target_precision: fp32, trackers: []}}
evaluation: {{tasks: [], speed_sentences: 0}}
visualization: {{sentences: 10}}
"""
PIECES = 64  # ids of the sentences that `make_text` makes


def write_recipe(folder: Path, teacher: Path) -> Path:
    """Write the small recipe into a folder."""
    path = folder / "small.yaml"
    path.write_text(RECIPE.format(teacher=teacher), encoding="utf-8")
    return path


def write_corpus(folder: Path, *, languages: tuple[str, ...] = ("en",), **splits: list[str]) -> Path:
    """Write a corpus of these texts; languages take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, texts in splits.items():
        codes = [languages[row % len(languages)] for row in range(len(texts))]
        table = pa.table({"text": texts, "language": codes, "source": ["test"] * len(texts)})
        pq.write_table(table, folder / f"{split}-00000.parquet")
    return folder


def make_text(
    *, rows: int, pieces: int = PIECES, dimensions: int = 16, seed: int = 0, hidden: tuple[int, int] | None = None
) -> TrainingText:
    """Make sentences of random ids and targets that depend on their words: something that can be learnt.

    `hidden` is (layers, width) of hidden states, which hang on the words as well.
    """
    draw = np.random.default_rng(seed)
    layers, width = hidden or (0, 0)
    meanings = np.random.default_rng(99).standard_normal((pieces, dimensions + layers * width))
    sentences = [[0, *draw.integers(5, pieces, draw.integers(2, 9)).tolist(), 2] for _ in range(rows)]
    means = np.array([meanings[ids[1:-1]].mean(axis=0) for ids in sentences])
    embeddings = means[:, :dimensions] / np.linalg.norm(means[:, :dimensions], axis=1, keepdims=True)
    tokens = {
        "ids": torch.tensor([token for ids in sentences for token in ids], dtype=torch.uint16),
        "offsets": torch.from_numpy(np.cumsum([0, *map(len, sentences)], dtype=np.int64)),
    }
    targets = {
        "embeddings": torch.from_numpy(embeddings.astype(np.float16)),
        "ends": torch.zeros(rows, dtype=torch.int32),
    }
    if hidden:
        states = means[:, dimensions:].reshape(rows, layers, width)
        targets["hidden"] = torch.from_numpy(states.astype(np.float16))
    return TrainingText(TokenStore((tokens,)), Targets((targets,)))


def make_texts(**named: Any) -> tuple[TrainingText, TrainingText]:
    """Make the text to train on, 96 sentences, and 24 that are held out."""
    return make_text(rows=96, **named), make_text(rows=24, seed=1, **named)


def make_student(folder: Path, **named: Any) -> Path:
    """Make a student folder of one layer; its pad token is the tokenizer's, as press makes it."""
    shape = {"layers": 1, "pieces": list(words(PIECES - 4)), "spare_rows": 0, "pad_in_config": 1}
    return make_teacher(folder, **(shape | named))


def kill_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is killed in its n-th call; `calls` of it counts them."""

    def killing(*arguments: Any, **named: Any) -> Any:
        killing.calls += 1
        if killing.calls == call:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    killing.calls = 0
    return killing


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a training's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def section(**changed: Any) -> DistillationSection:
    """Return settings of two epochs of three steps, the learning rate high enough to see something move."""
    values = {"epochs": 2, "batch_size": 32, "learning_rate": 3e-3, "checkpoint_steps": 2}
    return DistillationSection.model_validate({**values, "precision": "fp32", "trackers": (), **changed})


def train(
    student: Path, folder: Path, texts: tuple[TrainingText, TrainingText], *, seed: int = 20, **changed: Any
) -> TrainingReport:
    """Train on the first text, hold out the second."""
    folder.mkdir(parents=True, exist_ok=True)
    return train_student(student, folder, train=texts[0], validation=texts[1], settings=section(**changed), seed=seed)

"""Sentences of several kinds, their targets, and what one sentence alone should give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from babelpress.architectures.encoders import load_encoder, pad_batch
from babelpress.corpus.sentence import Split
from babelpress.distillation import targets, texts, tokens
from babelpress.distillation.targets import Targets, TargetsSpec, compute_targets, open_targets
from babelpress.distillation.texts import TextRules
from babelpress.recipe import TargetPrecision
from babelpress.teacher import Teacher
from babelpress.utils.tokenizer import open_tokenizer

LONG = "The doctor will see you after lunch, and then the train leaves the station in the morning."
TEXTS = [
    "The train leaves in the morning.", "Hello.", LONG, "안녕하세요, 오늘 날씨가 좋네요.", "a", "नमस्ते दोस्त।",
    f"{LONG} {LONG}", "I like tea.", "We have two cats.", "Où est la gare?",
]  # fmt: skip
HELD_OUT = ["The weather is nice today.", "She reads a book."]
EVERY = np.arange(len(TEXTS))


def use_small_shards(monkeypatch: pytest.MonkeyPatch, *, rows: int = 4) -> None:
    """Let a shard have so few rows that TEXTS need three."""
    for module in (texts, targets, tokens):
        monkeypatch.setattr(module, "SHARD_ROWS", rows)


def spec_of(
    teacher: Teacher, corpus: Path, *, corpus_hash: str = "corpus", layers: tuple[int, ...] = (),
    precision: TargetPrecision = TargetPrecision.FP32, **rules: object,
) -> TargetsSpec:  # fmt: skip
    """Return what targets are of; texts are cut at 32 tokens unless the rules say otherwise."""
    return TargetsSpec(teacher, corpus, corpus_hash, TextRules(**{"max_length": 32, **rules}), layers, precision)


def compute(spec: TargetsSpec, folder: Path, *, split: Split = Split.TRAIN) -> Targets:
    """Compute targets and open a split of them."""
    compute_targets(spec, folder)
    return open_targets(spec, folder, split)


def states_alone(teacher: Teacher, text: str, *, max_length: int = 32) -> list[np.ndarray]:
    """Return the mean hidden states of one text by itself, of the embeddings and after each layer."""
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(max_length)
    encoder = load_encoder(teacher.folder)[0].auto_model
    with torch.inference_mode():
        features = pad_batch([tokenizer.encode(text).ids], pad=1)
        hidden = encoder(**features, output_hidden_states=True).hidden_states
    return [states[0].mean(0).numpy() for states in hidden]


def alone(teacher: Teacher, text: str, *, max_length: int = 32) -> np.ndarray:
    """Embed one text by itself, without padding."""
    value = states_alone(teacher, text, max_length=max_length)[-1]
    return value / np.linalg.norm(value)


def contents(folder: Path) -> dict[str, dict[str, list]]:
    """Return the tensors of every shard in a folder (their files' own facts stand there in any order)."""
    return {
        path.name: {name: value.tolist() for name, value in load_file(path).items()}
        for path in sorted(folder.iterdir())
    }


def stamps(folder: Path) -> dict[str, int]:
    """Return when each file of a folder was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


@contextmanager
def killed_while_writing(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> Iterator[None]:
    """Let what is done inside be interrupted when it writes the shard of this name."""
    write = module.write_shard

    def killed(path: Path, *arguments: object, **named: object) -> None:
        if path.name == name:
            raise KeyboardInterrupt
        write(path, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "write_shard", killed)
        yield

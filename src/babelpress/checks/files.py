"""Whether a folder's files fit each other."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any

from babelpress.checks.result import CheckResult, judge
from babelpress.utils.tensors import Checkpoint
from babelpress.vocabulary.tokenizer_file import TokenizerFile

# What slow tokenizers read: not pruned with tokenizer.json, and so the unpruned teacher's (docs/pitfalls.md, A8).
_STALE = ("*.model", "*.spm", "added_tokens.json")
_EMBEDDINGS = (
    "word_embeddings.weight",
    "embeddings.tok_embeddings.weight",
    "embed_tokens.weight",
    "shared.weight",
)


def embedding_rows(checkpoint: Checkpoint) -> tuple[str, int] | None:
    """Return the name and the rows of the word embedding matrix; None where no tensor is called so."""
    for tail in _EMBEDDINGS:
        for name in checkpoint.names():
            if name.endswith(tail):
                return name, checkpoint.shape(name)[0]
    return None


def check_files(
    file: TokenizerFile,
    *,
    names: Iterable[str],
    config: dict[str, Any],
    rows: int | None,
    vocabulary_lines: list[str] | None = None,
) -> CheckResult:
    """Hold tokenizer.json, config.json, the embedding matrix and the list of files against each other.

    `vocabulary_lines` are those of a WordPiece's vocab.txt, where there is one.
    """
    names = sorted(names)
    top = len(file.pieces) - 1
    faults: list[tuple[str, str]] = []
    if rows is None:
        faults.append(("model.safetensors", "no tensor is named like a word embedding matrix"))
    else:
        if top >= rows:
            faults.append((file.pieces[top], f"its id is {top}, the embedding matrix has {rows} rows"))
        if config.get("vocab_size") != rows:
            wrong = f"vocab_size is {config.get('vocab_size')!r}, the embedding matrix has {rows} rows"
            faults.append(("config.json", wrong))
    for part in ("truncation", "padding"):
        if (value := file.raw.get(part)) is not None:
            wrong = f"{part} is baked in ({_brief(value)}); it should be null, or every reader inherits it"
            faults.append((f"tokenizer.json: {part}", wrong))
    for name in names:
        if any(fnmatch(name, pattern) for pattern in _STALE):
            faults.append((name, "a slow tokenizer's file, which is not pruned; delete it"))
    if vocabulary_lines is not None and vocabulary_lines != list(file.pieces[: len(vocabulary_lines)]):
        faults.append(("vocab.txt", "it lists other pieces than tokenizer.json; delete it"))
    return judge("files", tested=len(names), failures=faults, note=f"{len(file.pieces):,} ids in {rows or 0:,} rows")


def _brief(value: Any) -> str:
    return ", ".join(f"{key} {entry}" for key, entry in value.items() if key in {"max_length", "strategy"})[:60]

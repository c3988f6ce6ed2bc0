"""The teacher's embeddings of a corpus: computed once, fp16, in shards of fixed length.

A shard is written whole or not at all, so a killed run loses one shard at most. Rows keep the
corpus's order; within a shard, texts are encoded by length to waste little on padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.corpus.build import count_rows, read_texts
from babelpress.corpus.sentence import Split
from babelpress.distillation.texts import cut_texts, prompt_of
from babelpress.encoders import embed, load_encoder, pad_batch
from babelpress.errors import TrainingError
from babelpress.files import replace_file
from babelpress.progress import bar
from babelpress.teacher import Teacher
from babelpress.vocabulary.count import open_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

SHARD_ROWS = 8192


@dataclass(frozen=True)
class Targets:
    """Memory-mapped targets of one split: row i belongs to sentence i of the corpus."""

    shards: tuple[NDArray[np.float16], ...]
    ends: NDArray[np.uint32]

    @property
    def rows(self) -> int:
        """Return the number of sentences."""
        return len(self.ends)

    @property
    def dimensions(self) -> int:
        """Return the width of the embeddings."""
        return int(self.shards[0].shape[1])

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the targets of some rows, fp32, shape (len(rows), dimensions)."""
        result = np.empty((len(rows), self.dimensions), dtype=np.float32)
        shard, place = np.divmod(rows, SHARD_ROWS)
        for number in np.unique(shard):
            chosen = shard == number
            result[chosen] = self.shards[number][place[chosen]]
        return result


def compute_targets(
    teacher: Teacher,
    corpus: Path,
    folder: Path,
    *,
    max_length: int,
    prompts: tuple[str, ...],
    batch_size: int,
) -> int:
    """Write the targets of the train and validation splits; shards that are there are kept.

    `max_length` is in teacher tokens. Returns the number of rows. Raises TrainingError when the
    teacher gives something that is not a finite number.
    """
    check_length(teacher, max_length)
    splits = {split: count_rows(corpus, split) for split in (Split.TRAIN, Split.VALIDATION)}
    total = sum(splits.values())
    missing = [
        (split, number)
        for split, rows in splits.items()
        for number in range(-(-rows // SHARD_ROWS))
        if not _shard_path(folder, split, number).is_file()
    ]
    if not missing:
        return total
    model = load_encoder(teacher.folder, trust_remote_code=teacher.trust_remote_code)
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(max_length)
    done = total - sum(min(SHARD_ROWS, splits[split] - number * SHARD_ROWS) for split, number in missing)
    with bar("targets: teacher", total=total, unit="sentences", start=done) as advance:
        for split in splits:
            for number, texts in enumerate(_shards(corpus, split)):
                if (split, number) not in missing:
                    continue
                prompted = [prompt_of(number * SHARD_ROWS + row, prompts) + text for row, text in enumerate(texts)]
                values, ends = _encode(model, tokenizer, prompted, batch_size=batch_size, advance=advance)
                _write(_ends_path(folder, split, number), ends)
                _write(_shard_path(folder, split, number), values)  # last: its presence says that the shard is whole
    return total


def check_length(teacher: Teacher, max_length: int) -> None:
    """Raise TrainingError when texts would be longer than the teacher reads."""
    if max_length > teacher.max_length:
        raise TrainingError(
            f"distillation.max_length is {max_length}, but {teacher.name} takes {teacher.max_length} tokens at most"
        )


def open_targets(folder: Path, split: Split) -> Targets:
    """Open the targets of a split, memory-mapped. Raises TrainingError when there are none."""
    names = sorted(path for path in folder.glob(f"{split.value}-*.npy") if ".ends." not in path.name)
    if not names:
        raise TrainingError(f"{folder} holds no targets of the {split.value} split")
    shards = tuple(np.load(path, mmap_mode="r") for path in names)
    ends = np.concatenate([np.load(_ends_path(folder, split, number)) for number in range(len(names))])
    return Targets(shards, ends)


def _shards(corpus: Path, split: Split) -> Iterator[list[str]]:
    pending: list[str] = []
    for texts, _ in read_texts(corpus, split):
        pending += texts
        while len(pending) >= SHARD_ROWS:
            yield pending[:SHARD_ROWS]
            del pending[:SHARD_ROWS]
    if pending:
        yield pending


def _encode(
    model: SentenceTransformer, tokenizer: Tokenizer, texts: list[str], *, batch_size: int, advance: object
) -> tuple[NDArray[np.float16], NDArray[np.uint32]]:
    cuts = cut_texts(tokenizer, texts)
    order = sorted(range(len(cuts)), key=lambda row: (len(cuts[row].ids), row))
    pad = int(model.tokenizer.pad_token_id)
    values: NDArray[np.float16] | None = None
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        with torch.inference_mode():
            embeddings = embed(model, pad_batch([cuts[row].ids for row in rows], pad=pad))
        if not torch.isfinite(embeddings).all():
            raise TrainingError(
                f"the teacher gives NaN or infinity for a batch with {texts[rows[0]]!r}; it cannot be learned from"
            )
        if values is None:
            values = np.empty((len(texts), embeddings.shape[1]), dtype=np.float16)
        values[rows] = torch.nn.functional.normalize(embeddings.float(), dim=1).cpu().numpy()
        advance(len(rows))  # type: ignore[operator]
    if values is None:
        raise TrainingError("there is no text to encode")
    return values, np.array([cut.end for cut in cuts], dtype=np.uint32)


def _write(path: Path, array: NDArray[np.generic]) -> None:
    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    replace_file(path, save)


def _shard_path(folder: Path, split: Split, number: int) -> Path:
    return folder / f"{split.value}-{number:05d}.npy"


def _ends_path(folder: Path, split: Split, number: int) -> Path:
    return folder / f"{split.value}-{number:05d}.ends.npy"

"""The student's token ids of a corpus, on disk and memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelpress.corpus.build import read_texts
from babelpress.corpus.sentence import Split
from babelpress.distillation.texts import prompt_of
from babelpress.errors import TrainingError
from babelpress.files import replace_file
from babelpress.progress import bar
from babelpress.vocabulary.count import open_tokenizer


@dataclass(frozen=True)
class TokenStore:
    """All sentences' ids in one flat array; sentence i is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Return the number of sentences."""
        return len(self.offsets) - 1

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of some sentences."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def sentence(self, row: int) -> list[int]:
        """Return the ids of one sentence, special tokens included."""
        ids: list[int] = self.flat[self.offsets[row] : self.offsets[row + 1]].tolist()
        return ids


def build_token_store(
    student: Path,
    corpus: Path,
    folder: Path,
    *,
    split: Split,
    ends: NDArray[np.uint32],
    prompts: tuple[str, ...],
    max_length: int,
) -> TokenStore:
    """Tokenize a split as the teacher saw it: prompt before it, cut at `ends` characters.

    `max_length` is the student's own limit in tokens. Raises TrainingError when the targets belong
    to another corpus.
    """
    tokenizer = open_tokenizer(student / "tokenizer.json")
    tokenizer.enable_truncation(max_length)
    flat_path, offsets_path = folder / f"{split.value}.ids", folder / f"{split.value}.offsets"
    row = position = 0
    if flat_path.is_file() and offsets_path.stat().st_size == 8 * (len(ends) + 1):  # renamed last: it is whole
        return _open(flat_path, offsets_path)

    def write(temporary: Path) -> None:
        nonlocal row, position
        with temporary.open("wb") as flat, offsets_path.open("wb") as offsets:
            offsets.write(np.int64(0).tobytes())
            with bar(f"tokens: {split.value}", total=len(ends), unit="sentences") as advance:
                for texts, _ in read_texts(corpus, split):
                    if row + len(texts) > len(ends):
                        raise TrainingError(
                            f"the targets cover {len(ends):,} sentences, the corpus has more; they do not match"
                        )
                    seen = [
                        (prompt_of(row + number, prompts) + text)[: ends[row + number]]
                        for number, text in enumerate(texts)
                    ]
                    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(seen)]
                    flat.write(np.concatenate([np.array(numbers, dtype=np.uint32) for numbers in ids]).tobytes())
                    stops = position + np.cumsum([len(numbers) for numbers in ids], dtype=np.int64)
                    offsets.write(stops.tobytes())
                    row, position = row + len(ids), int(stops[-1])
                    advance(len(ids))

    replace_file(flat_path, write)
    if row != len(ends):
        raise TrainingError(
            f"the targets cover {len(ends):,} sentences, the corpus has {row:,}; they do not belong together"
        )
    return _open(flat_path, offsets_path)


def _open(flat_path: Path, offsets_path: Path) -> TokenStore:
    return TokenStore(
        np.memmap(flat_path, dtype=np.uint32, mode="r"), np.memmap(offsets_path, dtype=np.int64, mode="r")
    )

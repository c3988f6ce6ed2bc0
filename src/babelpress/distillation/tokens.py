"""The student's token ids of a corpus, in memory-mapped shards beside the targets' ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.architectures.packed import Packed
from babelpress.corpus.sentence import Split
from babelpress.distillation.shards import Tensors, fault_of, open_shard, write_shard
from babelpress.distillation.targets import Targets, shard_path
from babelpress.distillation.texts import SHARD_ROWS, TextRules, read_shards
from babelpress.errors import TrainingError
from babelpress.utils import processes
from babelpress.utils.progress import bar
from babelpress.utils.tokenizer import open_tokenizer


@dataclass(frozen=True)
class TokenStore:
    """Sentences' ids. In a shard, sentence i is `ids[offsets[i]:offsets[i + 1]]`, special tokens included.

    With `limit`, only the first so many sentences count.
    """

    shards: tuple[Tensors, ...]
    limit: int | None = None

    @cached_property
    def _views(self) -> list[tuple[NDArray[np.generic], NDArray[np.int64]]]:
        """Return each shard's ids and offsets; to ask a tensor for its array is the slowest part of a look-up."""
        return [(shard["ids"].numpy(), shard["offsets"].numpy()) for shard in self.shards]

    @property
    def rows(self) -> int:
        """Return the number of sentences."""
        every = sum(len(shard["offsets"]) - 1 for shard in self.shards)
        return every if self.limit is None else min(self.limit, every)

    @property
    def tokens(self) -> int:
        """Return the tokens of all sentences."""
        return sum(len(shard["ids"]) for shard in self.shards)

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of some sentences."""
        found = np.empty(len(rows), dtype=np.int64)
        shard, place = np.divmod(rows, SHARD_ROWS)
        for number in np.unique(shard):
            chosen = shard == number
            offsets = self._views[number][1]
            found[chosen] = offsets[place[chosen] + 1] - offsets[place[chosen]]
        return found

    def sentence(self, row: int) -> list[int]:
        """Return the ids of one sentence."""
        ids: list[int] = self._ids(row).tolist()
        return ids

    def pack(self, rows: NDArray[np.int64]) -> Packed:
        """Return sentences packed. Raises ValueError unless they are in order of length."""
        parts = [self._ids(row) for row in rows.tolist()]
        return Packed.of(np.concatenate(parts), [len(part) for part in parts])

    def _ids(self, row: int) -> NDArray[np.generic]:
        ids, offsets = self._views[row // SHARD_ROWS]
        place = row % SHARD_ROWS
        return ids[offsets[place] : offsets[place + 1]]


def build_token_store(
    student: Path, corpus: Path, folder: Path, *, split: Split, targets: Targets, rules: TextRules, key: str,
    max_length: int,
) -> TokenStore:  # fmt: skip
    """Tokenize what the teacher saw of a split; whole shards that are there are kept, each process does its share.

    `max_length` is the student's own limit in tokens; `key` stands for the student's tokenizer and the
    targets. Raises TrainingError when the targets belong to another corpus.
    """
    tokenizer = open_tokenizer(student / "tokenizer.json")
    tokenizer.enable_truncation(max_length)
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.int32
    shards = len(targets.shards)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = set(processes.share(range(shards)))
    seen = 0
    with bar(f"tokens: {split.value}", total=targets.rows // processes.count(), unit="sentences") as advance:
        for shard in islice(read_shards(corpus, split, rules), shards):
            seen += len(shard.texts)
            if len(shard.texts) != len(targets.ends(shard.number)):
                break
            path = shard_path(folder, split, shard.number)
            own_key = f"{key}/{split.value}/{shard.number}"
            if shard.number in wanted and fault_of(path, key=own_key, rows=len(shard.texts)):
                ends = targets.ends(shard.number)
                cut = [text[:end] for text, end in zip(shard.texts, ends.tolist(), strict=True)]
                ids = [np.array(found.ids, dtype=dtype) for found in tokenizer.encode_batch_fast(cut)]
                offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
                tensors = {"ids": torch.from_numpy(np.concatenate(ids)), "offsets": torch.from_numpy(offsets)}
                write_shard(path, tensors, key=own_key, rows=len(shard.texts))
                advance(len(shard.texts))
    if seen != targets.rows:
        raise TrainingError(
            f"the targets cover {targets.rows:,} sentences, the corpus has {seen:,} or more; they do not belong "
            "together: remove the targets and run the same command again"
        )
    processes.wait()
    return TokenStore(tuple(open_shard(shard_path(folder, split, number)) for number in range(shards)))

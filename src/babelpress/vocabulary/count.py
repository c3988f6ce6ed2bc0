"""Count how often each teacher piece occurs in a corpus, per language."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from babelpress.corpus.pieces import LANGUAGE as NO_LANGUAGE
from babelpress.errors import TeacherError
from babelpress.progress import bar


@dataclass(frozen=True)
class PieceCounts:
    """Occurrences of each piece id per language, and sentences per language.

    `pieces` maps a language to an int64 array of shape (ids,).
    """

    pieces: dict[str, NDArray[np.int64]]
    sentences: dict[str, int]

    def save(self, path: Path) -> None:
        """Write the counts as one .npz without pickles."""
        arrays = {f"pieces/{code}": counts for code, counts in self.pieces.items()}
        arrays |= {f"sentences/{code}": np.array(count) for code, count in self.sentences.items()}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> PieceCounts:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            pieces = {key.partition("/")[2]: arrays[key] for key in arrays if key.startswith("pieces/")}
            sentences = {key.partition("/")[2]: int(arrays[key]) for key in arrays if key.startswith("sentences/")}
        return cls(pieces, sentences)

    def total(self) -> NDArray[np.int64]:
        """Return the occurrences over all languages, shape (ids,)."""
        return np.sum(list(self.pieces.values()), axis=0, dtype=np.int64)


def open_tokenizer(path: Path) -> Tokenizer:
    """Open a tokenizer.json without the truncation and padding that it may carry (FIELD_NOTES A13)."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
        raise TeacherError(f"{path} is not a tokenizer: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_pieces(
    tokenizer: Tokenizer,
    batches: Iterable[tuple[list[str], list[str]]],
    *,
    ids: int,
    total: int | None = None,
) -> PieceCounts:
    """Count pieces over (texts, languages) batches; special tokens and texts that are no language are left out."""
    pieces: dict[str, NDArray[np.int64]] = {}
    sentences: dict[str, int] = {}
    with bar("vocabulary: counting", total=total, unit="sentences") as advance:
        for texts, languages in batches:
            encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            found: dict[str, list[int]] = {}
            for language, encoding in zip(languages, encodings, strict=True):
                if language == NO_LANGUAGE:
                    continue
                found.setdefault(language, []).extend(encoding.ids)
                sentences[language] = sentences.get(language, 0) + 1
            for language, numbers in found.items():
                counts = pieces.setdefault(language, np.zeros(ids, dtype=np.int64))
                counts += np.bincount(numbers, minlength=ids)
            advance(len(texts))
    return PieceCounts(dict(sorted(pieces.items())), dict(sorted(sentences.items())))

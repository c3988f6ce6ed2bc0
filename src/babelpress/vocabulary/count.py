"""Count how often each teacher piece occurs in a corpus, per language.

A text's pieces are those of its words, wherever the tokenizer cuts at spaces; so each distinct word is
cut once, and the texts of a Unigram are cut by the kernels of `segment.py`, which are held to the same
sums as the tokenizers library. What is not proven to fall apart this way is counted by that library.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress
from operator import not_
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from babelpress.schema.languages import NO_LANGUAGE
from babelpress.utils.progress import bar
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary import segment
from babelpress.vocabulary.cuts import Cut, cut_of, joins, odd_texts, word_kinds
from babelpress.vocabulary.segment import Ints, Strings
from babelpress.vocabulary.tokenizer_file import META, Family, TokenizerFile
from babelpress.vocabulary.unigram import UnigramLexicon
from babelpress.vocabulary.words import distinct_words

# Characters of text that are counted at a time; more of them find more repetition.
_CHARACTERS = 8_000_000
_ENCODE = 2_000  # texts that the tokenizers library is given at a time


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

    @classmethod
    def sum(cls, parts: Sequence[PieceCounts]) -> PieceCounts:
        """Add up counts of the same tokenizer."""
        pieces: dict[str, NDArray[np.int64]] = {}
        sentences: Counter[str] = Counter()
        for part in parts:
            sentences.update(part.sentences)
            for code, counts in part.pieces.items():
                pieces[code] = pieces[code] + counts if code in pieces else counts
        return cls(dict(sorted(pieces.items())), dict(sorted(sentences.items())))

    def total(self) -> NDArray[np.int64]:
        """Return the occurrences over all languages, shape (ids,)."""
        return np.sum(list(self.pieces.values()), axis=0, dtype=np.int64)


class WordCounter:
    """Counts a tokenizer's pieces in many texts at a time, each distinct word and each text cut once.

    The tokenizers library itself cuts BPE and WordPiece. Of a Unigram it only normalises and splits, with
    a model that knows no piece (the real one would take 300 MiB for 250,000 pieces); the kernel does the rest.
    """

    def __init__(self, file: TokenizerFile) -> None:
        self._file = file
        self._cut = cut_of(file)
        self._lexicon = UnigramLexicon(file) if file.family is Family.UNIGRAM else None
        self._edges = self._lexicon.trie.edges if self._lexicon is not None else None
        self._byte_ids = np.array(file.byte_ids if file.model.get("byte_fallback") else (), dtype=np.int64)
        self._tokenizer = load_tokenizer(file.raw) if self._lexicon is None else _front(file)
        self._everything = np.ones(len(file.pieces), dtype=np.bool_)
        # By id: a token that takes the spaces before it stands there with them.
        self._added = {self._tokenizer.token_to_id(text): number for text, number in file.added.items()}
        self._odd = odd_texts(self._cut, self._tokenizer.normalizer, file.added)
        kinds = word_kinds(self._tokenizer.normalizer, file)
        self._kinds = kinds if self._lexicon is not None else kinds[:0]

    def no_counts(self) -> NDArray[np.int64]:
        """Return counts of nothing."""
        return np.zeros(len(self._file.pieces), dtype=np.int64)

    def count(self, texts: list[str], counts: NDArray[np.int64]) -> None:
        """Add the pieces of texts to `counts`."""
        texts, whole = self._split(texts)
        self._count_whole(Counter(whole), counts)
        if texts:
            self._count_words("\n" + "\n".join(texts), counts)

    def _split(self, texts: list[str]) -> tuple[list[str], list[str]]:
        """Return the texts that may be cut at their spaces, and the others."""
        if self._cut is Cut.NOWHERE:
            return [], texts
        joining = {character for character in {text[:1] for text in texts} if character and joins(character)}
        odd = self._odd.search if self._odd is not None else None
        flags = [text[:1] in joining or "\n" in text or (odd is not None and bool(odd(text))) for text in texts]
        return list(compress(texts, map(not_, flags))), list(compress(texts, flags))

    def _count_words(self, text: str, counts: NDArray[np.int64]) -> None:
        """Add the pieces of a text whose words, each behind a space or newline, are cut one by one."""
        points = np.frombuffer(bytearray(text.encode("utf-32-le", "surrogatepass")), dtype=np.int32)
        begins, ends, times, plain = distinct_words(points, self._cut is Cut.BEFORE_SPACES, self._kinds)
        other = ~plain
        spans = zip(begins[other].tolist(), ends[other].tolist(), times[other].tolist(), strict=True)
        words = {text[begin:end]: number for begin, end, number in spans}
        points[begins - 1] = ord(META)
        self._use(points, begins[plain] - 1, ends[plain], times[plain], counts)
        joined = {word: number for word, number in words.items() if joins(word[0])}
        if joined:  # to be seen as they stand, behind a space
            words = {word: number for word, number in words.items() if word not in joined}
            self._count_whole({f"a {word}": number for word, number in joined.items()}, counts)
            self._count_whole({"a": -sum(joined.values())}, counts)
        self._count_whole(words, counts)

    def _count_whole(self, texts: dict[str, int], counts: NDArray[np.int64]) -> None:
        """Add the pieces of whole texts to `counts`."""
        every = list(texts)
        for start in range(0, len(every), _ENCODE):
            batch = every[start : start + _ENCODE]
            times = [texts[text] for text in batch]
            if self._lexicon is None:
                ids = [found.ids for found in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
                _add(counts, [number for numbers in ids for number in numbers], times, [len(found) for found in ids])
            else:
                self._count_cut(batch, times, counts)

    def _count_cut(self, texts: list[str], times: list[int], counts: NDArray[np.int64]) -> None:
        """Count texts of a Unigram: whatever the front does not know is a word for the kernel."""
        words: list[str] = []
        word_times: list[int] = []
        for encoding, number in zip(self._tokenizer.encode_batch(texts, add_special_tokens=False), times, strict=True):
            for token, text in zip(encoding.ids, encoding.tokens, strict=True):
                if token:
                    counts[self._added[token]] += number
                else:
                    words.append(text)
                    word_times.append(number)
        flat = Strings.of(words)
        self._use(flat.points, flat.begins, flat.ends, np.array(word_times, dtype=np.int64), counts)

    def _use(self, points: NDArray[np.int32], begins: Ints, ends: Ints, times: Ints, counts: Ints) -> None:
        lexicon = self._lexicon
        if lexicon is not None and len(begins):
            segment.usage_unigram(
                points, begins, ends, times, self._edges, lexicon.file.scores, self._everything,
                lexicon.unknown, lexicon.file.unk_id, self._byte_ids, counts,
            )  # fmt: skip


def _add(counts: NDArray[np.int64], ids: list[int], times: list[int], lengths: list[int]) -> None:
    np.add.at(counts, np.array(ids, dtype=np.int64), np.repeat(np.array(times, dtype=np.int64), lengths))


def _front(file: TokenizerFile) -> Tokenizer:
    """Return the tokenizer with a model that knows nothing: token 0 is what the real model would be asked to cut."""
    added = [{**token, "id": 1 + place} for place, token in enumerate(file.raw.get("added_tokens") or [])]
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["\ufffenothing", 0.0]], "byte_fallback": False}
    bare = {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
    return load_tokenizer({**file.raw, **bare, "added_tokens": added, "model": model})


def count_pieces(
    file: TokenizerFile,
    batches: Iterable[tuple[list[str], list[str]]],
    *,
    total: int | None = None,
) -> PieceCounts:
    """Count pieces over (texts, languages) batches; special tokens and texts that are no language are left out.

    The counts are those of the tokenizers library's `encode_batch_fast(texts, add_special_tokens=False)`. Texts are
    read while those before them are counted, a language on each core; memory is that of 16 million characters.
    """
    counter = WordCounter(file)
    pieces: dict[str, NDArray[np.int64]] = {}
    sentences: Counter[str] = Counter()
    with (
        bar("vocabulary: counting", total=total, unit="sentences") as advance,
        ThreadPoolExecutor(os.cpu_count()) as workers,
    ):
        pending: list[Future[None]] = []
        for block in _blocks(batches, advance):
            _wait_for(pending)
            pending = []
            for language, texts in block.items():
                sentences[language] += len(texts)
                counts = pieces.setdefault(language, counter.no_counts())
                pending.append(workers.submit(counter.count, texts, counts))
        _wait_for(pending)
    return PieceCounts(dict(sorted(pieces.items())), dict(sorted(sentences.items())))


def _wait_for(pending: list[Future[None]]) -> None:
    """Wait until all is done, and raise what went wrong."""
    for each in pending:
        each.result()


def _blocks(
    batches: Iterable[tuple[list[str], list[str]]], advance: Callable[[int], None]
) -> Iterator[dict[str, list[str]]]:
    """Yield texts by language, some million characters at a time."""
    block: dict[str, list[str]] = {}
    characters = 0
    for texts, languages in batches:
        for text, language in zip(texts, languages, strict=True):
            if language != NO_LANGUAGE:
                block.setdefault(language, []).append(text)
        characters += sum(map(len, texts))
        advance(len(texts))
        if characters > _CHARACTERS:
            yield block
            block, characters = {}, 0
    yield block

"""Count how often each teacher piece occurs in a corpus, per language.

A text's pieces are those of its words, wherever the tokenizer cuts at spaces; so each distinct word is
cut once, and the texts of a Unigram are cut by the kernels of `segment.py`, which are held to the same
sums as the tokenizers library. What is not proven to fall apart this way is counted by that library.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.normalizers import Normalizer

from babelpress.corpus.pieces import LANGUAGE as NO_LANGUAGE
from babelpress.errors import TeacherError
from babelpress.progress import bar
from babelpress.vocabulary import segment
from babelpress.vocabulary.lexicon import UnigramLexicon
from babelpress.vocabulary.segment import Strings
from babelpress.vocabulary.tokenizer_file import META, Family, TokenizerFile, parts_of

# Characters of text whose distinct words are held at a time; larger ones find more repetition.
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


def open_tokenizer(path: Path) -> Tokenizer:
    """Open a tokenizer.json without the truncation and padding that it may carry (FIELD_NOTES A13)."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
        raise TeacherError(f"{path} is not a tokenizer: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_tokenizer(raw: dict[str, Any]) -> Tokenizer:
    """Make a tokenizer from what a tokenizer.json holds, without truncation and padding (FIELD_NOTES A13)."""
    bare = {**raw, "truncation": None, "padding": None}
    try:
        return Tokenizer.from_str(json.dumps(bare, ensure_ascii=False))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
        raise TeacherError(f"the tokenizers library refuses this tokenizer: {error}") from None


class Cut(str, Enum):
    """Where a text may be cut without changing its pieces."""

    SPACES = "spaces"  # white space only separates words
    LONE_SPACES = "lone spaces"  # single spaces inside a text only separate words
    BEFORE_SPACES = "before spaces"  # a word's single space belongs to it
    NOWHERE = "nowhere"


def cut_of(file: TokenizerFile) -> Cut:
    """Read off a tokenizer.json where texts may be cut; NOWHERE for anything not known to allow it."""
    steps = [part["type"] for part in parts_of(file.raw.get("pre_tokenizer"))]
    normalizers = parts_of(file.raw.get("normalizer"))
    known = {"Precompiled", "NFC", "NFKC", "NFD", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"}
    unknown = any(part["type"] not in known and not _is_space_collapse(part) for part in normalizers)
    if unknown or any(character.isspace() for text in file.added for character in text):
        return Cut.NOWHERE
    if steps and steps[0] in {"WhitespaceSplit", "BertPreTokenizer", "Whitespace"}:
        return Cut.SPACES
    if any(token.get("rstrip") or token.get("normalized") for token in file.raw.get("added_tokens") or []):
        return Cut.NOWHERE
    metaspace = parts_of(file.raw.get("pre_tokenizer"))
    if steps == ["Metaspace"] and metaspace[0].get("prepend_scheme") == "always" and metaspace[0].get("split", True):
        return Cut.LONE_SPACES
    if steps in (["Split", "ByteLevel"], ["ByteLevel"]) and _keeps_space_with_word(metaspace):
        return Cut.BEFORE_SPACES
    return Cut.NOWHERE


def _is_space_collapse(part: dict[str, Any]) -> bool:
    return part["type"] == "Replace" and part.get("pattern") == {"Regex": " {2,}"} and part.get("content") == " "


# The patterns of GPT-2 and its kin: a match holds white space only as its first character or throughout,
# so that none reaches over a single space between two words.
_WORD_PATTERNS = tuple(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    + digits
    + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}", r"\p{N}{1,3}")
)


def _keeps_space_with_word(steps: list[dict[str, Any]]) -> bool:
    if steps[-1].get("add_prefix_space"):
        return False
    if len(steps) == 1:
        return bool(steps[0].get("use_regex", True))
    pattern = (steps[0].get("pattern") or {}).get("Regex")
    return not steps[1].get("use_regex", True) and steps[0].get("behavior") == "Isolated" and pattern in _WORD_PATTERNS


@cache
def _joins(character: str) -> bool:
    """Tell whether a space before a character could be one grapheme with it; unknown characters might."""
    joining = "\u0e33\u0eb3\uff9e\uff9f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # letters and signs that do
    return unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf", "Cn"} or character in joining


_ODD_SPACES = r"^ | $|  |[^\S ]|[\x1c-\x1f\x85]"
_BEFORE = "a "  # stands before a word that has to be seen behind a space


def _odd_texts(cut: Cut, normalizer: Normalizer | None, added: Iterable[str]) -> re.Pattern[str] | None:
    """Match texts whose spaces do more than separate words.

    Where only lone spaces do, that is also beside added tokens, and where normalising makes or frees spaces.
    """
    if cut is Cut.SPACES or cut is Cut.NOWHERE:
        return None
    if cut is Cut.BEFORE_SPACES:
        return re.compile(_ODD_SPACES)
    normal = normalizer.normalize_str if normalizer is not None else str
    every = (chr(code) for code in range(0x20000) if code != 0x20 and not 0xD800 <= code < 0xE000)
    odd = [ord(character) for character in every if not (found := normal(character)) or {" ", META} & {*found}]
    return re.compile("|".join([_ODD_SPACES, _class([*odd, *range(0xE0000, 0x110000)]), *map(re.escape, added)]))


class WordCounter:
    """Counts a tokenizer's pieces in words and texts that stand many times each.

    The tokenizers library itself cuts BPE and WordPiece. Of a Unigram it only normalises and splits, with
    a model that knows no piece (the real one would take 300 MiB for 250,000 pieces); the kernel does the rest.
    """

    def __init__(self, file: TokenizerFile) -> None:
        self._file = file
        self._cut = cut_of(file)
        self._lexicon = UnigramLexicon(file) if file.family is Family.UNIGRAM else None
        self._byte_ids = np.array(file.byte_ids if file.model.get("byte_fallback") else (), dtype=np.int64)
        self._tokenizer = load_tokenizer(file.raw) if self._lexicon is None else _front(file)
        # By id: a token that takes the spaces before it stands there with them.
        self._added = {self._tokenizer.token_to_id(text): number for text, number in file.added.items()}
        self._odd = _odd_texts(self._cut, self._tokenizer.normalizer, file.added)
        marks = self._lexicon is not None and self._cut is Cut.SPACES and _marks_words(file)
        self._is_inert = _inert(self._tokenizer.normalizer, file).fullmatch if marks else None

    def no_counts(self) -> NDArray[np.int64]:
        """Return counts of nothing."""
        return np.zeros(len(self._file.pieces), dtype=np.int64)

    def split(self, texts: list[str]) -> tuple[list[str], list[str]]:
        """Return the words of texts, whose pieces together are the texts', and the texts that cannot be cut."""
        if self._cut is Cut.NOWHERE:
            return [], texts
        joining = {character for character in {text[:1] for text in texts} if character and _joins(character)}
        whole: list[str] = []
        if joining or self._odd is not None:
            odd = self._odd.search if self._odd is not None else lambda text: None
            whole = [text for text in texts if text[:1] in joining or odd(text)]
            texts = [text for text in texts if not (text[:1] in joining or odd(text))]
        if self._cut is Cut.BEFORE_SPACES:
            cut = (text.split(" ") for text in texts)
            return [f" {word}" if place else word for words in cut for place, word in enumerate(words)], whole
        return " ".join(texts).split(" ") if texts else [], whole

    def count_words(self, words: dict[str, int], counts: NDArray[np.int64]) -> None:
        """Add the pieces of words of `split`, each standing so many times, to `counts`."""
        if self._is_inert is not None:
            flags = [match is not None for match in map(self._is_inert, words)]
            self._use([META + word for word in compress(words, flags)], list(compress(words.values(), flags)), counts)
            words = dict(compress(words.items(), map(not_, flags)))
        joined = {word: times for word, times in words.items() if word and _joins(word[0])}
        if joined:  # to be seen as they stand, behind a space
            words = {word: times for word, times in words.items() if word not in joined}
            self.count_texts({_BEFORE + word: times for word, times in joined.items()}, counts)
            self.count_texts({_BEFORE.strip(): -sum(joined.values())}, counts)
        self.count_texts(words, counts)

    def count_texts(self, texts: dict[str, int], counts: NDArray[np.int64]) -> None:
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
        self._use(words, word_times, counts)

    def _use(self, words: list[str], times: list[int], counts: NDArray[np.int64]) -> None:
        lexicon = self._lexicon
        if lexicon is not None and words:
            flat, everything = Strings.of(words), np.ones(len(counts), dtype=np.bool_)
            segment.use_unigram(
                flat.points, flat.starts, np.array(times, dtype=np.int64), lexicon.trie.edges, lexicon.file.scores,
                everything, lexicon.unknown, lexicon.file.unk_id, self._byte_ids, counts,
            )  # fmt: skip


def _add(counts: NDArray[np.int64], ids: list[int], times: list[int], lengths: list[int]) -> None:
    np.add.at(counts, np.array(ids, dtype=np.int64), np.repeat(np.array(times, dtype=np.int64), lengths))


def _front(file: TokenizerFile) -> Tokenizer:
    """Return the tokenizer with a model that knows nothing: token 0 is what the real model would be asked to cut."""
    added = [{**token, "id": 1 + place} for place, token in enumerate(file.raw.get("added_tokens") or [])]
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["\ufffenothing", 0.0]], "byte_fallback": False}
    bare = {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
    return load_tokenizer({**file.raw, **bare, "added_tokens": added, "model": model})


def _marks_words(file: TokenizerFile) -> bool:
    """Tell whether a text's words, each behind a space mark, are all that the model sees."""
    steps = parts_of(file.raw.get("pre_tokenizer"))
    if [step["type"] for step in steps] != ["WhitespaceSplit", "Metaspace"]:
        return False
    return steps[1].get("replacement") == META and steps[1].get("prepend_scheme") == "always"


def _inert(normalizer: Normalizer | None, file: TokenizerFile) -> re.Pattern[str]:
    """Match words that normalising leaves alone and that begin no special token.

    These are letters, digits and punctuation that are their own normal form and never compose with a
    neighbour; Hangul letters do and are left out. Marks are let in behind a letter of three bytes where the
    normaliser is a charsmap, which looks at no grapheme of six bytes or more as a whole.
    """
    begins = {text[0] for text in file.added if text}
    normal = normalizer.normalize_str if normalizer is not None else str
    charsmap = all(part["type"] in {"Precompiled", "Replace"} for part in parts_of(file.raw.get("normalizer")))
    letters: list[int] = []
    marks: list[int] = []
    for code in range(0x21, 0xFFFF):
        character = chr(code)
        category = unicodedata.category(character)
        hangul_letter = 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97F or 0xD7B0 <= code <= 0xD7FF
        if category[0] not in "LMNP" or character in begins or hangul_letter or normal(character) != character:
            continue
        if category[0] != "M":
            letters.append(code)
        elif charsmap and code >= 0x800:
            marks.append(code)
    long = [code for code in letters if code >= 0x800]
    if not marks:
        return re.compile(f"{_class(letters)}+")
    return re.compile(f"(?:{_class(letters)}|(?<={_class(long + marks)}){_class(marks)})+")


def _class(codes: list[int]) -> str:
    """Return a character class of a regular expression."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


def count_pieces(
    file: TokenizerFile,
    batches: Iterable[tuple[list[str], list[str]]],
    *,
    total: int | None = None,
) -> PieceCounts:
    """Count pieces over (texts, languages) batches; special tokens and texts that are no language are left out.

    The counts are those of the tokenizers library's `encode_batch_fast(texts, add_special_tokens=False)`. Words are
    gathered while those before them are counted, on another core; memory is that of the
    distinct words of 16 million characters.
    """
    counter = WordCounter(file)
    pieces: dict[str, NDArray[np.int64]] = {}
    sentences: Counter[str] = Counter()
    held = _Held()
    with bar("vocabulary: counting", total=total, unit="sentences") as advance, ThreadPoolExecutor(1) as worker:
        pending: Future[None] | None = None
        for texts, languages in batches:
            for language, own in _by_language(texts, languages).items():
                sentences[language] += len(own)
                held.add(language, *counter.split(own))
            held.characters += sum(map(len, texts))
            if held.characters > _CHARACTERS:
                if pending is not None:
                    pending.result()
                pending = worker.submit(held.count, counter, pieces)
                held = _Held()
            advance(len(texts))
        if pending is not None:
            pending.result()
        held.count(counter, pieces)
    return PieceCounts(dict(sorted(pieces.items())), dict(sorted(sentences.items())))


def _by_language(texts: list[str], languages: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text, language in zip(texts, languages, strict=True):
        if language != NO_LANGUAGE:
            found.setdefault(language, []).append(text)
    return found


class _Held:
    """Words and uncut texts per language that wait to be counted."""

    def __init__(self) -> None:
        self.words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.whole: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.characters = 0

    def add(self, language: str, words: list[str], whole: list[str]) -> None:
        self.words[language].update(words)
        self.whole[language].update(whole)

    def count(self, counter: WordCounter, pieces: dict[str, NDArray[np.int64]]) -> None:
        for language, words in self.words.items():
            counts = pieces.setdefault(language, counter.no_counts())
            counter.count_words(words, counts)
            counter.count_texts(self.whole[language], counts)

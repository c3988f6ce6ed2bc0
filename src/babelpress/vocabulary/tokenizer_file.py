"""Read a tokenizer.json and refuse one that is not what it claims to be."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import BabelpressError, TeacherError
from babelpress.schema.choice import Choice
from babelpress.utils.files import read_json

BYTE_PIECES = tuple(f"<0x{value:02X}>" for value in range(256))
META = "▁"


class Family(Choice):
    """How a tokenizer cuts a word: by the best path, by merges, or by the longest prefix."""

    UNIGRAM = "Unigram"
    BPE = "BPE"
    WORDPIECE = "WordPiece"


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer.json whose ids have been found whole: 0, 1, 2, ... each once.

    `pieces` holds every id's text, added tokens that stand behind the model's own pieces included;
    `added` maps the added tokens' texts to ids.
    """

    raw: dict[str, Any]
    origin: str
    family: Family
    pieces: tuple[str, ...]
    added: dict[str, int]
    unk_id: int | None

    @property
    def model(self) -> dict[str, Any]:
        """Return the model's part of the file."""
        model: dict[str, Any] = self.raw["model"]
        return model

    @cached_property
    def ids(self) -> dict[str, int]:
        """Return piece → id."""
        return {piece: number for number, piece in enumerate(self.pieces)}

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Return the log probabilities of a Unigram's pieces, shape (ids,); 0 for added tokens behind them."""
        scores = np.zeros(len(self.pieces))
        own = self.model["vocab"]
        scores[: len(own)] = [score for _, score in own]
        return scores

    @cached_property
    def byte_ids(self) -> tuple[int, ...]:
        """Return the ids of the pieces `<0x00>` to `<0xFF>`, empty unless all are there."""
        found = tuple(self.ids[piece] for piece in BYTE_PIECES if piece in self.ids)
        return found if len(found) == len(BYTE_PIECES) else ()

    @cached_property
    def merges(self) -> list[tuple[str, str]]:
        """Return a BPE's merges, in their order."""
        return [_merge(entry) for entry in self.model.get("merges", [])]

    @property
    def is_byte_level(self) -> bool:
        """Tell whether text is turned into printable stand-ins of its bytes before the model sees it."""
        return any(
            part["type"] == "ByteLevel"
            for key in ("pre_tokenizer", "normalizer")
            for part in parts_of(self.raw.get(key))
        )

    @cached_property
    def named_ids(self) -> frozenset[int]:
        """Return the ids that the file refers to by name: special tokens, the unknown piece, the post-processor's."""
        special = {int(token["id"]) for token in self.raw.get("added_tokens") or [] if token.get("special", True)}
        unknown = set() if self.unk_id is None else {self.unk_id}
        return frozenset(special | unknown | set(_post_processor_ids(self.raw.get("post_processor"))))

    @property
    def behind(self) -> frozenset[int]:
        """Return the added tokens of text that are no pieces of the model, whose text it cuts as any other.

        Special ones are not among them: readers find these by name in the model's own vocabulary.
        """
        vocabulary = self.model["vocab"]
        own = set(vocabulary) if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}
        return frozenset(number for text, number in self.added.items() if text not in own) - self.named_ids

    @property
    def plain_ids(self) -> NDArray[np.bool_]:
        """Return which ids are pieces of text: no added tokens, no unknown, no byte pieces; shape (ids,)."""
        plain = np.ones(len(self.pieces), dtype=np.bool_)
        plain[[*self.added.values(), *self.named_ids, *self.byte_ids]] = False
        return plain


def parts_of(node: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a normaliser, pre-tokenizer, post-processor or decoder, sequences laid flat."""
    if not node:
        return []
    if node.get("type") != "Sequence":
        return [node]
    children = next((value for value in node.values() if isinstance(value, list)), [])
    return [part for child in children for part in parts_of(child)]


def read_tokenizer_file(path: Path) -> TokenizerFile:
    """Read and check a tokenizer.json. Raises TeacherError that names the file and the fault."""
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except FileNotFoundError:
        raise TeacherError(f"{path} is missing") from None
    except OSError as error:
        raise TeacherError(f"{path} cannot be read: {error.strerror}") from None
    if not start.startswith(b"{"):
        what = "a pickle, which is never read" if start[:1] == b"\x80" or start[:2] == b"PK" else f"{start[:12]!r}"
        raise TeacherError(f"{path} is not a tokenizer: it begins with {what}, a JSON object was expected")
    try:
        raw = read_json(path)
    except BabelpressError as error:
        raise TeacherError(f"{error}; a tokenizer.json was expected") from None
    return parse_tokenizer(raw, origin=str(path))


def parse_tokenizer(raw: Any, *, origin: str = "tokenizer.json") -> TokenizerFile:
    """Check what a tokenizer.json holds. Raises TeacherError that names the fault."""
    model = raw.get("model") if isinstance(raw, dict) else None
    if not isinstance(model, dict):
        raise TeacherError(f"{origin} has no model; a tokenizer.json of the tokenizers library was expected")
    kind = model.get("type")
    if not isinstance(kind, str) or kind not in set(Family):
        raise TeacherError(f"{origin}: a {kind} tokenizer is not supported; supported: {', '.join(Family)}")
    family = Family(kind)
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if not isinstance(model.get(key) or "", str):
            raise TeacherError(f"{origin}: its {key} is {str(model[key])[:60]}, not a text")
    ids = _unigram_ids(model, origin) if family is Family.UNIGRAM else _dict_ids(model, origin)
    added = _added_ids(raw.get("added_tokens"), ids, origin)
    pieces = _by_id({**ids, **added}, origin)
    unk = _unknown(model, family, {**ids, **added}, origin)
    if family is Family.BPE:
        _check_merges(model, ids, origin)
    for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if raw.get(key) is not None and not _is_step(raw[key]):
            raise TeacherError(f"{origin}: its {key} is {str(raw[key])[:60]}, not a step with a type")
    for number in _post_processor_ids(raw.get("post_processor")):
        if type(number) is not int or not 0 <= number < len(pieces):
            raise TeacherError(f"{origin}: the post-processor uses id {number}; there are {len(pieces)} pieces")
    return TokenizerFile(raw, origin, family, pieces, added, unk)


def _unigram_ids(model: dict[str, Any], origin: str) -> dict[str, int]:
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, list) or not vocabulary:
        raise TeacherError(f"{origin}: a Unigram's vocab is a list of [piece, score], this one has none")
    ids: dict[str, int] = {}
    for number, entry in enumerate(vocabulary):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str) or not _is_number(entry[1]):
            raise TeacherError(f"{origin}: entry {number} of the vocab is {str(entry)[:60]}, not [piece, score]")
        if entry[0] in ids:
            raise TeacherError(f"{origin} lists a piece twice: {entry[0]!r} is {ids[entry[0]]} and {number}")
        ids[entry[0]] = number
    return ids


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_step(node: Any) -> bool:
    """Tell whether a node is a normaliser, pre-tokenizer, post-processor or decoder, or a sequence of them."""
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        return False
    children = next((value for value in node.values() if isinstance(value, list)), [])
    return node["type"] != "Sequence" or all(map(_is_step, children))


def _dict_ids(model: dict[str, Any], origin: str) -> dict[str, int]:
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise TeacherError(f"{origin}: a {model['type']}'s vocab is an object of piece and id, this one has none")
    wrong = next((piece for piece, number in vocabulary.items() if type(number) is not int or number < 0), None)
    if wrong is not None:
        raise TeacherError(f"{origin}: piece {wrong!r} has id {vocabulary[wrong]!r}, not a whole number from 0 on")
    return vocabulary


def _added_ids(tokens: Any, ids: dict[str, int], origin: str) -> dict[str, int]:
    added: dict[str, int] = {}
    if not isinstance(tokens or [], list):
        raise TeacherError(f"{origin}: its added tokens are {str(tokens)[:60]}, not a list")
    for token in tokens or []:
        if not isinstance(token, dict) or type(token.get("id")) is not int or not isinstance(token.get("content"), str):
            raise TeacherError(f"{origin}: added token {str(token)[:60]} has no id or no content")
        text, number = token["content"], token["id"]
        if ids.get(text, number) != number or added.get(text, number) != number:
            other = ids.get(text, added.get(text))
            raise TeacherError(f"{origin}: added token {text!r} has id {number}, the model lists it as {other}")
        added[text] = number
    return added


def _by_id(ids: dict[str, int], origin: str) -> tuple[str, ...]:
    """Return the pieces in the order of their ids, which must be 0, 1, 2, ... each once."""
    pieces: list[str | None] = [None] * len(ids)
    for piece, number in ids.items():
        if number >= len(pieces) or number < 0:
            continue  # a hole or a doubled id below, found next
        if pieces[number] is not None:
            raise TeacherError(f"{origin}: id {number} stands for {pieces[number]!r} and for {piece!r}")
        pieces[number] = piece
    whole = tuple(piece for piece in pieces if piece is not None)
    if len(whole) != len(pieces):
        raise TeacherError(f"{origin}: no piece has id {pieces.index(None)}, though ids go up to {max(ids.values())}")
    return whole


def _unknown(model: dict[str, Any], family: Family, ids: dict[str, int], origin: str) -> int | None:
    if family is Family.UNIGRAM:
        unk = model.get("unk_id")
        if type(unk) is not int or not 0 <= unk < len(model["vocab"]):
            raise TeacherError(f"{origin} has unk_id {unk!r}, which is not one of its {len(model['vocab'])} pieces")
        return unk
    text = model.get("unk_token")
    if text is None and family is Family.BPE:
        return None
    if not isinstance(text, str) or text not in ids:
        raise TeacherError(f"{origin}: its unknown piece {text!r} is not in the vocab")
    return ids[text]


def _check_merges(model: dict[str, Any], ids: dict[str, int], origin: str) -> None:
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise TeacherError(f"{origin}: a BPE needs a list of merges")
    prefix = model.get("continuing_subword_prefix") or ""
    for number, entry in enumerate(merges):
        try:
            left, right = _merge(entry)
        except (TypeError, ValueError):
            raise TeacherError(f"{origin}: merge {number} is {str(entry)[:60]}, not a pair of pieces") from None
        missing = [piece for piece in (left, right, left + right.removeprefix(prefix)) if piece not in ids]
        if missing:
            raise TeacherError(f"{origin}: merge {number} needs {missing[0]!r}, which is not in the vocab")


def _merge(entry: Any) -> tuple[str, str]:
    left, right = entry.split(" ") if isinstance(entry, str) else entry
    return str(left), str(right)


def _post_processor_ids(node: Any) -> list[Any]:
    """Return the ids of a post-processor: `ids` lists of templates and (token, id) pairs, however nested."""
    if isinstance(node, list):
        return [number for child in node for number in _post_processor_ids(child)]
    if not isinstance(node, dict):
        return []
    found: list[Any] = []
    for key, child in node.items():
        if key == "ids" and isinstance(child, list):
            found += child
        elif key in {"sep", "cls"} and isinstance(child, list) and len(child) == 2:
            found.append(child[1])
        else:
            found += _post_processor_ids(child)
    return found

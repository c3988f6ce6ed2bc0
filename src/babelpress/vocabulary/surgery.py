"""Rewrite a tokenizer.json for the kept pieces: dict in, dict out.

Never through `save_pretrained`: transformers 5 rebuilds an XLM-R tokenizer from its pieces alone and
drops byte fallback on the way (docs/pitfalls.md, A1).
"""

from __future__ import annotations

import copy
import re
from typing import Any

from babelpress.errors import TeacherError
from babelpress.vocabulary.bytelevel import wordpiece_in_bytes
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, Family, TokenizerFile

# Text that spells a byte piece must not become one. The pieces are in the same trie as all others, so
# the text is cut behind its "<" before the model sees it (docs/pitfalls.md, A2).
_LITERAL_BYTE = "<(?=0x[0-9A-F]{2}>)"
# Greedy search is quadratic in a word's length, so it stays bounded: a character has at most four bytes.
_BYTES_PER_CHARACTER = 4


def rewrite_tokenizer(tokenizer: TokenizerFile, plan: VocabularyPlan) -> dict[str, Any]:
    """Return a new tokenizer.json with the plan's pieces, every id in it mapped.

    Added tokens of text that are no pieces of the model stay behind its pieces; special ones that are none become
    pieces, and added tokens that the plan dropped are dropped. Truncation and padding are never
    carried over (docs/pitfalls.md, A13). Raises TeacherError for an id that the plan dropped.
    """
    model = {key: value for key, value in tokenizer.model.items() if key not in {"vocab", "merges"}}
    result = copy.deepcopy({**tokenizer.raw, "model": model})  # 250,000 pieces are slow to copy
    result["truncation"] = None
    result["padding"] = None
    added = [
        {**token, "id": new_id(plan, token["id"], token["content"])}
        for token in tokenizer.raw.get("added_tokens") or []
        if token["id"] in plan.id_map or token["id"] in tokenizer.named_ids
    ]
    result["added_tokens"] = sorted(added, key=lambda token: token["id"])  # readers count those behind the pieces up
    if result.get("post_processor"):
        result["post_processor"] = _map_ids(result["post_processor"], plan)
    _REWRITES[tokenizer.family](result, tokenizer, plan)
    return result


def without_special_text(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return a rewritten tokenizer.json in which text that spells a special token is text.

    Readers of tokenizer.json match added tokens before all else, so the special ones are not listed;
    transformers lists those of tokenizer_config.json itself and is told there to leave text alone
    (`split_special_tokens`). A Unigram's model could still match the piece, so its text is cut.
    """
    special = [token["content"] for token in tokenizer["added_tokens"] if token.get("special")]
    result = {**tokenizer, "added_tokens": [token for token in tokenizer["added_tokens"] if not token.get("special")]}
    if tokenizer["model"]["type"] == Family.UNIGRAM or tokenizer["model"].get("ignore_merges"):
        by_first: dict[str, list[str]] = {}
        for text in special:
            by_first.setdefault(text[:1], []).append(re.escape(text[1:]))
        for first, rests in by_first.items():
            _split_behind(result, f"{re.escape(first)}(?=(?:{'|'.join(rests)}))")
    return result


def new_id(plan: VocabularyPlan, old: int, what: str) -> int:
    """Map one id. Raises TeacherError that says what refers to a dropped one."""
    if old not in plan.id_map:
        raise TeacherError(f"{what} refers to id {old}, which the plan does not keep")
    return plan.id_map[old]


def student_pieces(tokenizer: TokenizerFile, plan: VocabularyPlan) -> list[str]:
    """Return the student's pieces by id, as its tokenizer.json writes them."""
    pieces = [tokenizer.pieces[old] for old in plan.kept]
    if tokenizer.family is Family.WORDPIECE and plan.new_pieces:
        prefix = tokenizer.model.get("continuing_subword_prefix", "##")
        special = set(tokenizer.added) | {tokenizer.model.get("unk_token")}
        pieces = [piece if piece in special else wordpiece_in_bytes(piece, prefix=prefix) for piece in pieces]
    return plan.in_order(pieces, plan.new_pieces)


def _rewrite_unigram(result: dict[str, Any], tokenizer: TokenizerFile, plan: VocabularyPlan) -> None:
    """Byte pieces get the teacher's lowest score.

    The unknown score hangs on the lowest of all, so the segmentation of everything else stays as it was
    (docs/pitfalls.md, A3); what a byte piece scores is never asked.
    """
    lowest = min(score for _, score in tokenizer.model["vocab"])
    kept = [float(tokenizer.scores[old]) for old in plan.kept]
    scores = plan.in_order(kept, [lowest] * len(plan.new_pieces))
    pieces = student_pieces(tokenizer, plan)
    result["model"]["unk_id"] = new_id(plan, tokenizer.unk_id or 0, "unk_id")
    fallback = bool(plan.new_pieces) or bool(tokenizer.model.get("byte_fallback"))
    if fallback or (tokenizer.byte_ids and set(BYTE_PIECES) <= set(pieces)):
        bytes_of = set(BYTE_PIECES)
        scores = [lowest if piece in bytes_of else score for piece, score in zip(pieces, scores, strict=True)]
        _fall_back_to_bytes(result, pieces)
        _split_behind(result, _LITERAL_BYTE)
    result["model"]["vocab"] = [list(pair) for pair in zip(pieces, scores, strict=True)][: plan.pieces]


def _rewrite_bpe(result: dict[str, Any], tokenizer: TokenizerFile, plan: VocabularyPlan) -> None:
    """Keep the merges whose two sides and result are kept, in their order.

    A merge of two kept pieces to a dropped one goes; so on text whose pieces are kept the same merges run.
    """
    pieces = student_pieces(tokenizer, plan)[: plan.pieces]
    have = {piece: number for number, piece in enumerate(pieces)}
    prefix = tokenizer.model.get("continuing_subword_prefix") or ""
    own = tokenizer.model.get("merges", [])
    result["model"]["vocab"] = have
    result["model"]["merges"] = [
        entry
        for entry, (left, right) in zip(own, tokenizer.merges, strict=True)
        if left in have and right in have and left + right.removeprefix(prefix) in have
    ]
    if not tokenizer.is_byte_level and set(BYTE_PIECES) <= set(pieces):
        _fall_back_to_bytes(result, pieces)
        if tokenizer.model.get("ignore_merges"):  # else no merge makes a literal byte name one piece
            _split_behind(result, _LITERAL_BYTE)


def _rewrite_wordpiece(result: dict[str, Any], tokenizer: TokenizerFile, plan: VocabularyPlan) -> None:
    """With new pieces, write the pieces in bytes, so that any character is spelled by some of them.

    The longest piece in characters is the longest in bytes (UTF-8 is prefix-free), so kept text is cut as before.
    """
    result["model"]["vocab"] = {
        piece: number for number, piece in enumerate(student_pieces(tokenizer, plan)[: plan.pieces])
    }
    if not plan.new_pieces:
        return
    limit = int(result["model"].get("max_input_chars_per_word", 100))
    result["model"]["max_input_chars_per_word"] = _BYTES_PER_CHARACTER * limit
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    result["pre_tokenizer"] = _append(result.get("pre_tokenizer"), byte_level, "pretokenizers")
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "Ġ"}
    for step in (spaces, byte_level):
        result["decoder"] = _append(result.get("decoder"), step, "decoders")


_REWRITES = {
    Family.UNIGRAM: _rewrite_unigram,
    Family.BPE: _rewrite_bpe,
    Family.WORDPIECE: _rewrite_wordpiece,
}


def _fall_back_to_bytes(result: dict[str, Any], pieces: list[str]) -> None:
    lacking = sorted(set(BYTE_PIECES) - set(pieces))
    if lacking:  # fallback is all or nothing for a run of characters (docs/pitfalls.md, A4)
        raise TeacherError(f"byte fallback needs all 256 byte pieces; {len(lacking)} are missing ({lacking[0]} ...)")
    result["model"]["byte_fallback"] = True
    result["decoder"] = _with_byte_decoder(result.get("decoder"))


def _split_behind(result: dict[str, Any], pattern: str) -> None:
    """Cut text behind what matches, as the last step before the model; once."""
    step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    parts = (result.get("pre_tokenizer") or {}).get("pretokenizers", [])
    if step not in parts:
        result["pre_tokenizer"] = _append(result.get("pre_tokenizer"), step, "pretokenizers")


def _map_ids(node: Any, plan: VocabularyPlan) -> Any:
    """Map the ids of a post-processor: `ids` lists of templates and (token, id) pairs, however nested."""
    if isinstance(node, list):
        return [_map_ids(child, plan) for child in node]
    if not isinstance(node, dict):
        return node
    mapped = {}
    for key, child in node.items():
        if key == "ids" and isinstance(child, list):
            mapped[key] = [new_id(plan, number, "the post-processor") for number in child]
        elif key in {"sep", "cls"} and isinstance(child, list) and len(child) == 2:
            mapped[key] = [child[0], new_id(plan, child[1], f"the post-processor's {key}")]
        else:
            mapped[key] = _map_ids(child, plan)
    return mapped


def _append(node: dict[str, Any] | None, extra: dict[str, Any], key: str) -> dict[str, Any]:
    parts = [] if node is None else list(node[key]) if node.get("type") == "Sequence" else [node]
    return {"type": "Sequence", key: [*parts, copy.deepcopy(extra)]}


def _with_byte_decoder(decoder: dict[str, Any] | None) -> dict[str, Any]:
    """Let decoding turn byte pieces into text before anything else does (docs/pitfalls.md, A5)."""
    parts = [] if decoder is None else list(decoder["decoders"]) if decoder.get("type") == "Sequence" else [decoder]
    if any(part.get("type") == "ByteFallback" for part in parts):
        return {"type": "Sequence", "decoders": parts}
    return {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, *parts]}

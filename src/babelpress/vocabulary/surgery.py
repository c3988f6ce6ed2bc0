"""Rewrite a Unigram tokenizer.json for the kept pieces: dict in, dict out.

Never through `save_pretrained`: transformers 5 rebuilds an XLM-R tokenizer from its pieces alone and
drops byte fallback on the way (FIELD_NOTES A1).
"""

from __future__ import annotations

import copy
from typing import Any

from babelpress.errors import TeacherError
from babelpress.vocabulary.plan import BYTE_PIECES, VocabularyPlan, unigram_vocabulary

# Text that spells a byte piece must not become one. The pieces are in the same trie as all others, so
# the text is cut behind its "<" before the model sees it (FIELD_NOTES A2).
_NO_LITERAL_BYTES = {
    "type": "Split",
    "pattern": {"Regex": "<(?=0x[0-9A-F]{2}>)"},
    "behavior": "Isolated",
    "invert": False,
}


def rewrite_tokenizer(tokenizer: dict[str, Any], plan: VocabularyPlan) -> dict[str, Any]:
    """Return a new tokenizer.json with the plan's pieces, every id in it mapped.

    Byte pieces get the teacher's lowest score: the unknown score hangs on the lowest score of all, so
    the segmentation of everything else stays as it was (FIELD_NOTES A3). Truncation and padding are
    never carried over (A13). Raises TeacherError for an id that the plan dropped.
    """
    vocabulary = unigram_vocabulary(tokenizer)
    lowest = min(score for _, score in vocabulary)
    model = {
        key: value for key, value in tokenizer["model"].items() if key != "vocab"
    }  # 250,000 pieces are slow to copy
    result = copy.deepcopy({**tokenizer, "model": model})
    result["truncation"] = None
    result["padding"] = None
    pieces = [[vocabulary[old][0], vocabulary[old][1]] for old in plan.kept]
    pieces += [[piece, lowest] for piece in plan.new_pieces]
    result["model"]["vocab"] = pieces
    result["model"]["unk_id"] = new_id(plan, tokenizer["model"]["unk_id"], "unk_id")
    for token in result.get("added_tokens", []):
        token["id"] = new_id(plan, token["id"], token["content"])
    if result.get("post_processor"):
        result["post_processor"] = _map_ids(result["post_processor"], plan)
    if plan.new_pieces:
        result["model"]["byte_fallback"] = True
        result["pre_tokenizer"] = _append(result.get("pre_tokenizer"), _NO_LITERAL_BYTES, "pretokenizers")
        result["decoder"] = _with_byte_decoder(result.get("decoder"))
        _check_bytes(pieces)
    return result


def new_id(plan: VocabularyPlan, old: int, what: str) -> int:
    """Map one id. Raises TeacherError that says what refers to a dropped one."""
    if old not in plan.id_map:
        raise TeacherError(f"{what} refers to id {old}, which the plan does not keep")
    return plan.id_map[old]


def _map_ids(node: Any, plan: VocabularyPlan) -> Any:
    """Map the ids of a post-processor: `ids` lists of templates and (token, id) pairs, however nested."""
    if isinstance(node, list):
        return [_map_ids(child, plan) for child in node]
    if not isinstance(node, dict):
        return node
    mapped = {}
    for key, child in node.items():
        if key == "ids":
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
    """Let decoding turn byte pieces into text before anything else does (FIELD_NOTES A5)."""
    parts = [] if decoder is None else list(decoder["decoders"]) if decoder.get("type") == "Sequence" else [decoder]
    if any(part.get("type") == "ByteFallback" for part in parts):
        return {"type": "Sequence", "decoders": parts}
    return {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, *parts]}


def _check_bytes(pieces: list[list[Any]]) -> None:
    have = {piece for piece, _ in pieces}
    lacking = [piece for piece in BYTE_PIECES if piece not in have]
    if lacking:  # fallback is all or nothing for a run of characters (FIELD_NOTES A4)
        raise TeacherError(f"byte fallback needs all 256 byte pieces; {len(lacking)} are missing ({lacking[0]} ...)")

"""The files of a student folder beside its weights, so that old and new readers agree on it.

sentence-transformers changed its format in 5.4 and 6, transformers 5 stopped writing some files, and
servers parse them by rules of their own; what stands here is what all of them accept (FIELD_NOTES B).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from babelpress.architectures.family import Family
from babelpress.errors import TeacherError
from babelpress.recipe import SpecialText
from babelpress.teacher import Teacher
from babelpress.vocabulary.tokenizer_file import parts_of

# transformers 5 rebuilds an XLMRobertaTokenizer from its pieces and drops byte fallback; this class
# takes tokenizer.json as it is, in 4.x and 5.x (FIELD_NOTES A1).
TOKENIZER_CLASS = "PreTrainedTokenizerFast"

_ROLES = {
    "bos_token": ("<s>", "[CLS]"),
    "cls_token": ("<s>", "[CLS]"),
    "eos_token": ("</s>", "[SEP]"),
    "sep_token": ("</s>", "[SEP]"),
    "unk_token": ("<unk>", "[UNK]"),
    "pad_token": ("<pad>", "[PAD]"),
    "mask_token": ("<mask>", "[MASK]"),
}
# Classes of transformers that pad on the left without saying so in any file.
_PAD_LEFT = ("Gemma", "Llama", "CodeLlama", "Cohere", "Siglip2", "XLNet")


def special_tokens_map(tokenizer: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return role → text (or, for tokens that strip spaces, the whole token) of the special tokens.

    Roles are read from the teacher's tokenizer_config.json, else guessed from the usual texts.
    """
    added = {token["content"]: token for token in tokenizer.get("added_tokens", [])}
    roles: dict[str, Any] = {}
    for role, usual in _ROLES.items():
        named = config.get(role)
        text = named.get("content") if isinstance(named, dict) else named
        text = text if text in added else next((guess for guess in usual if guess in added), None)
        if text is not None:
            token = added[text]
            keys = ("content", "lstrip", "normalized", "rstrip", "single_word")
            roles[role] = {key: token[key] for key in keys} if token["lstrip"] or token["rstrip"] else text
    byte_level = any(part["type"] == "ByteLevel" for part in parts_of(tokenizer.get("pre_tokenizer")))
    for role in ("pad_token",) if byte_level else ("pad_token", "unk_token"):
        if role not in roles:
            raise TeacherError(f"the tokenizer has no {role}; batches and unknown characters need one")
    return roles


def tokenizer_config(
    tokens: dict[str, Any],
    teacher: dict[str, Any],
    *,
    max_length: int,
    special_text: SpecialText,
    special: Iterable[str] = (),
) -> dict[str, Any]:
    """Return tokenizer_config.json; its length is the one source of truth for every reader (A13).

    `teacher` is the teacher's, of which the sides of padding and truncation are kept. `special` are the
    texts of all special tokens; where text that spells them is to be text, this file alone lists them.
    """
    texts = {role: token["content"] if isinstance(token, dict) else token for role, token in tokens.items()}
    plain: dict[str, Any] = {}
    if special_text is SpecialText.PLAIN:
        others = sorted(set(special) - set(texts.values()))
        plain = {"split_special_tokens": True, **({"additional_special_tokens": others} if others else {})}
    left = str(teacher.get("tokenizer_class", "")).startswith(_PAD_LEFT)
    sides: dict[str, Any] = {key: teacher[key] for key in ("padding_side", "truncation_side") if key in teacher}
    return {
        "tokenizer_class": TOKENIZER_CLASS,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **({"padding_side": "left"} if left else {}),
        **sides,
        **plain,
        **texts,
    }


def student_config(
    family: Family, config: dict[str, Any], *, tokenizer: dict[str, Any], tokens: dict[str, Any], layers: int, rows: int
) -> dict[str, Any]:
    """Return config.json with the new sizes and every token id that it holds.

    `pad_token_id` is the tokenizer's: with another, torch freezes that other row, in e5's case `<s>`
    (FIELD_NOTES B3). Raises TeacherError where positions are counted from it and it would change.
    """
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    roles = {role: tokens[role] for role in ("bos_token", "eos_token", "pad_token") if role in tokens}
    texts = {role: token["content"] if isinstance(token, dict) else token for role, token in roles.items()}
    token_ids = {f"{role}_id": ids[text] for role, text in texts.items()}
    return {
        **family.student_config(config, layers=layers, rows=rows, token_ids=token_ids),
        "tokenizer_class": TOKENIZER_CLASS,
        "torch_dtype": "float32",
    }


def sentence_bert_config(teacher: Teacher, *, pooler: bool) -> dict[str, Any]:
    """Return sentence_bert_config.json for readers before and after sentence-transformers 5.4 (B1).

    Without the pooler's weights the model is to be built without one, or transformers 5 would report
    it as missing at every load (B9).
    """
    config: dict[str, Any] = {"max_seq_length": teacher.max_length, "do_lower_case": False}
    if pooler or not teacher.family.optional:
        return config
    return {**config, "model_args": {"add_pooling_layer": False}}


def sentence_transformers_config(teacher: Teacher) -> dict[str, Any]:
    """Return config_sentence_transformers.json with the teacher's prompts (B6)."""
    return {
        "__version__": {"sentence_transformers": "3.0.0"},
        "prompts": dict(teacher.prompts),
        "default_prompt_name": teacher.default_prompt,
        "similarity_fn_name": "cosine",
    }


def student_modules(teacher: Teacher) -> list[dict[str, Any]]:
    """Return modules.json; the `models` paths are the ones that every version can import (B1)."""
    return [
        {
            "idx": number,
            "name": str(number),
            "path": module.path,
            "type": f"sentence_transformers.models.{module.kind}",
        }
        for number, module in enumerate(teacher.modules)
    ]


def student_pooling(teacher: Teacher, config: dict[str, Any]) -> dict[str, Any]:
    """Return 1_Pooling/config.json in the old and the new way of saying it at once (B1).

    The width has its old name alone: every version knows that one, versions before 5.4 fail at any other.
    """
    include_prompt = bool(config.get("include_prompt", True))
    flags = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    return {
        "word_embedding_dimension": teacher.hidden,
        "pooling_mode": teacher.pooling,
        **{flag: teacher.pooling == mode for flag, mode in flags.items()},
        "include_prompt": include_prompt,
    }

"""Whether the files of a folder agree: ids, rows, lengths, special tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from babelpress.architectures import find_family
from babelpress.checks.readers import Reader
from babelpress.checks.result import CheckResult, judge
from babelpress.utils.tensors import Checkpoint
from babelpress.vocabulary.tokenizer_file import TokenizerFile

# What slow tokenizers read: not pruned with tokenizer.json, and so the unpruned teacher's (docs/pitfalls.md, A8).
_STALE = ("*.model", "*.spm", "added_tokens.json")
_EMBEDDINGS = (
    "word_embeddings.weight",
    "embeddings.tok_embeddings.weight",
    "embed_tokens.weight",
    "shared.weight",
)
ROLES = ("bos_token", "cls_token", "eos_token", "sep_token", "unk_token", "pad_token", "mask_token")
_NO_LIMIT = 10**9  # transformers writes 1e30 where it knows no length


# --- files --------------------------------------------------------------------------------------


def embedding_rows(checkpoint: Checkpoint) -> tuple[str, int] | None:
    """Return the name and the rows of the word embedding matrix; None where no tensor has such a name."""
    for tail in _EMBEDDINGS:
        for name in checkpoint.names():
            if name.endswith(tail):
                return name, checkpoint.shape(name)[0]
    return None


def check_files(
    file: TokenizerFile,
    *,
    names: Iterable[str],
    config: dict[str, Any],
    rows: int | None,
    vocabulary_lines: list[str] | None = None,
) -> CheckResult:
    """Compare tokenizer.json, config.json, the embedding matrix and the list of files with each other.

    `vocabulary_lines` are those of a WordPiece's vocab.txt, where there is one.
    """
    names = sorted(names)
    top = len(file.pieces) - 1
    faults: list[tuple[str, str]] = []
    if rows is None:
        faults.append(("model.safetensors", "no tensor is named like a word embedding matrix"))
    else:
        if top >= rows:
            faults.append((file.pieces[top], f"its id is {top}, the embedding matrix has {rows} rows"))
        if config.get("vocab_size") != rows:
            wrong = f"vocab_size is {config.get('vocab_size')!r}, the embedding matrix has {rows} rows"
            faults.append(("config.json", wrong))
    for part in ("truncation", "padding"):
        if (value := file.raw.get(part)) is not None:
            wrong = f"{part} is baked in ({_brief(value)}); it should be null, or every reader inherits it"
            faults.append((f"tokenizer.json: {part}", wrong))
    for name in names:
        if any(fnmatch(name, pattern) for pattern in _STALE):
            faults.append((name, "a slow tokenizer's file, which is not pruned; delete it"))
    if vocabulary_lines is not None and vocabulary_lines != list(file.pieces[: len(vocabulary_lines)]):
        faults.append(("vocab.txt", "it lists other pieces than tokenizer.json; delete it"))
    return judge("files", tested=len(names), failures=faults, note=f"{len(file.pieces):,} ids in {rows or 0:,} rows")


def _brief(value: Any) -> str:
    return ", ".join(f"{key} {entry}" for key, entry in value.items() if key in {"max_length", "strategy"})[:60]


# --- ids ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A place that states an id: where, the token's text, the id."""

    where: str
    text: str
    id: int | None


def role_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return role → text of a tokenizer_config.json or special_tokens_map.json."""
    named = {role: values[role] for role in ROLES if values.get(role)}
    return {role: str(value["content"] if isinstance(value, dict) else value) for role, value in named.items()}


def file_claims(file: TokenizerFile) -> list[Claim]:
    """Return what tokenizer.json says of ids outside of its vocabulary."""
    claims = [Claim(f"added_tokens: {text}", text, number) for text, number in file.added.items()]
    framed = _template(file.raw.get("post_processor"))
    claims += [Claim(f"post_processor: {text}", text, number) for text, number in framed]
    if padding := file.raw.get("padding"):
        claims.append(Claim("padding", str(padding.get("pad_token")), padding.get("pad_id")))
    return claims


def config_claims(name: str, config: Mapping[str, Any], *, roles: Mapping[str, str]) -> list[Claim]:
    """Return what a config.json or generation_config.json says of roles' ids."""
    stated = ((role, config.get(f"{role}_id")) for role in roles)
    return [Claim(f"{name}: {role}_id", roles[role], number) for role, number in stated if isinstance(number, int)]


def tokenizer_config_claims(
    config: Mapping[str, Any], *, tokens: Mapping[str, Any] | None, ids: Mapping[str, int]
) -> list[Claim]:
    """Return what tokenizer_config.json and special_tokens_map.json say; a role's two texts must agree."""
    claims = []
    for number, token in (config.get("added_tokens_decoder") or {}).items():
        claims.append(Claim(f"tokenizer_config.json: added_tokens_decoder {number}", token["content"], int(number)))
    roles, mapped = role_texts(config), role_texts(tokens or {})
    for role, text in mapped.items():
        claims.append(Claim(f"special_tokens_map.json: {role}", roles.get(role, text), ids.get(text)))
    return claims + [Claim(f"tokenizer_config.json: {role}", text, ids.get(text)) for role, text in roles.items()]


def reader_claims(readers: Sequence[Reader], *, roles: Mapping[str, str]) -> list[Claim]:
    """Return what transformers' tokenizers say of roles' ids."""
    return [
        Claim(f"{reader.name}: {role}_id", text, getattr(reader.tokenizer, f"{role}_id", None))
        for reader in readers
        if hasattr(reader.tokenizer, "pad_token_id")
        for role, text in roles.items()
    ]


def lengths(
    tokenizer_config: Mapping[str, Any], *, sentence_config: Mapping[str, Any], readers: Sequence[Reader]
) -> dict[str, int]:
    """Return every longest input that is stated, by the place that states it."""
    stated: dict[str, Any] = {
        "tokenizer_config.json: model_max_length": tokenizer_config.get("model_max_length"),
        "sentence_bert_config.json: max_seq_length": sentence_config.get("max_seq_length"),
    }
    for reader in readers:
        stated[f"{reader.name}: model_max_length"] = getattr(reader.tokenizer, "model_max_length", None)
    numbers = {where: value for where, value in stated.items() if isinstance(value, int | float)}
    return {where: int(value) for where, value in numbers.items() if value < _NO_LIMIT}


def longest_input(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the positions allow; None where positions are relative."""
    if not isinstance(config.get("max_position_embeddings"), int):
        return None
    family = find_family(config.get("model_type"))
    return family.longest_input(config) if family else int(config["max_position_embeddings"])


def check_ids(
    file: TokenizerFile, *, claims: Sequence[Claim], stated: Mapping[str, int], limit: int | None, is_stable: bool
) -> CheckResult:
    """Compare claims with the vocabulary, stated lengths with each other and the positions.

    `is_stable`: tokenizer.json saved, loaded and saved again is the same to the byte.
    """
    failures = []
    for claim in claims:
        expected = file.ids.get(claim.text)
        if expected is None:
            failures.append((claim.where, f"it names {claim.text!r}, which the vocabulary lacks"))
        elif claim.id != expected:
            failures.append((claim.where, f"it has id {claim.id} for {claim.text!r}, the vocabulary {expected}"))
    if not stated and limit is not None:
        failures.append(("model_max_length", f"no file states it; longer texts than {limit} tokens would crash"))
    common = next(iter(stated.values()), 0)
    for where, value in stated.items():
        if value != common:
            failures.append((where, f"it is {value}, {next(iter(stated))} is {common}"))
        elif limit is not None and value > limit:
            failures.append((where, f"it is {value}, the positions allow {limit}"))
    if not is_stable:
        failures.append(("tokenizer.json", "saved, loaded and saved again, it changes"))
    return judge("ids", tested=len(claims) + len(stated) + 1, failures=failures, note=f"{len(claims)} places agree")


def is_stable(text: str) -> bool:
    """Tell whether the tokenizers library writes the same tokenizer.json after a load of what it wrote."""
    from tokenizers import Tokenizer

    once = Tokenizer.from_str(text).to_str(pretty=True)
    return Tokenizer.from_str(once).to_str(pretty=True) == once


def _template(node: Any) -> Iterator[tuple[str, int]]:
    """Yield (text, id) of a post-processor's special tokens, however nested."""
    if isinstance(node, list):
        for child in node:
            yield from _template(child)
    elif isinstance(node, dict):
        if isinstance(node.get("ids"), list) and isinstance(node.get("tokens"), list):
            yield from zip(map(str, node["tokens"]), node["ids"], strict=False)
            return
        for key, child in node.items():
            if key in {"sep", "cls"} and isinstance(child, list) and len(child) == 2:
                yield str(child[0]), child[1]
            else:
                yield from _template(child)

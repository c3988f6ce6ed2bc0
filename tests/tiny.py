"""Teachers for tests: the real layout, random weights, any size."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from babelpress.corpus.bundled import load_meanings

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
XLMR_CONFIG = {
    "tokenizer_class": "XLMRobertaTokenizer", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>", "bos_token": "<s>", "eos_token": "</s>",
}  # fmt: skip


@lru_cache(maxsize=1)
def embedded_tokenizer() -> dict:
    path = resources.files("babelpress") / "assets" / "teacher" / "tokenizer.json"
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=4)
def words(count: int) -> tuple[tuple[str, float], ...]:
    """Pieces made of the embedded sentences: every character, then the most frequent words."""
    seen: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for meaning in load_meanings():
        for text in meaning.texts.values():
            characters.update(text.replace(" ", ""))
            seen.update("▁" + word for word in text.split())
    pieces = ["▁", *sorted(characters), *(word for word, _ in seen.most_common() if word not in characters)]
    pieces = list(dict.fromkeys(pieces))[:count]
    return tuple((piece, -3.0 - math.log1p(number)) for number, piece in enumerate(pieces))


def tokenizer_json(pieces: list[tuple[str, float]]) -> dict:
    """An XLM-R tokenizer.json over these pieces; `<mask>` comes last."""
    result = json.loads(json.dumps(embedded_tokenizer()))
    vocabulary = [[piece, 0.0] for piece in SPECIAL] + [[piece, score] for piece, score in pieces] + [["<mask>", 0.0]]
    result["model"]["vocab"] = vocabulary
    for token in result["added_tokens"]:
        token["id"] = next(number for number, (piece, _) in enumerate(vocabulary) if piece == token["content"])
    return result


def id_count(tokenizer: dict) -> int:
    """How many rows a tokenizer.json needs; added tokens may lie behind the model's vocabulary."""
    vocabulary = tokenizer["model"]["vocab"]
    used = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    return 1 + max(*used, *(token["id"] for token in tokenizer["added_tokens"]))


def make_teacher(
    folder: Path,
    *,
    layers: int = 3,
    hidden: int = 16,
    heads: int = 2,
    feed_forward: int = 32,
    positions: int = 128,
    pieces: list[tuple[str, float]] | None = None,
    tokenizer: dict | None = None,
    tokenizer_config: dict | None = None,
    spare_rows: int = 5,
    pooler: bool = True,
    pad_in_config: int = 0,
    model_type: str = "bert",
    scale: float = 0.3,
    seed: int = 0,
) -> Path:
    """Write a random-weight teacher in multilingual-e5-small's layout, traps included.

    The config's pad id is not the tokenizer's, there are more rows than pieces, no prompts, and the
    tokenizer class is the one that transformers 5 rebuilds. A whole tokenizer.json and its special tokens'
    roles (of `tests.families`) may be given in place of pieces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is None:
        tokenizer = tokenizer_json(list(words(600)) if pieces is None else pieces)
    roles = XLMR_CONFIG if tokenizer_config is None else tokenizer_config
    rows = id_count(tokenizer) + spare_rows
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    config = {
        "architectures": ["BertModel" if model_type == "bert" else "XLMRobertaModel"],
        "model_type": model_type,
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "vocab_size": rows,
        "layer_norm_eps": 1e-12,
        "pad_token_id": pad_in_config,
        "tokenizer_class": roles["tokenizer_class"],
        "_name_or_path": "somewhere/else",
        "use_cache": True,
    }
    offset = 0 if model_type == "bert" else 2
    limit = positions - offset
    write = {
        "config.json": config,
        "tokenizer_config.json": {"model_max_length": limit, **roles},
        "sentence_bert_config.json": {"max_seq_length": limit, "do_lower_case": False},
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": hidden, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }  # fmt: skip
    for name, value in write.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    (folder / "2_Normalize").mkdir(exist_ok=True)
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: [en, ko]\n---\n# tiny\n", encoding="utf-8")
    save_file(
        _weights(rows, layers, hidden, feed_forward, positions, pooler, scale, seed),
        str(folder / "model.safetensors"),
        metadata={"format": "pt"},
    )
    return folder


def _weights(
    rows: int,
    layers: int,
    hidden: int,
    feed_forward: int,
    positions: int,
    pooler: bool,
    scale: float,
    seed: int,
) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": np.ones(hidden, np.float32), f"{name}.bias": np.zeros(hidden, np.float32)}

    def dense(name: str, outputs: int, inputs: int) -> dict[str, np.ndarray]:
        return {f"{name}.weight": matrix(outputs, inputs), f"{name}.bias": matrix(outputs)}

    weights = {
        "embeddings.word_embeddings.weight": matrix(rows, hidden),
        "embeddings.position_embeddings.weight": matrix(positions, hidden),
        "embeddings.token_type_embeddings.weight": matrix(2, hidden),
        **norm("embeddings.LayerNorm"),
    }
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            weights |= dense(f"{layer}.attention.self.{name}", hidden, hidden)
        weights |= dense(f"{layer}.attention.output.dense", hidden, hidden) | norm(
            f"{layer}.attention.output.LayerNorm"
        )
        weights |= dense(f"{layer}.intermediate.dense", feed_forward, hidden)
        weights |= dense(f"{layer}.output.dense", hidden, feed_forward) | norm(f"{layer}.output.LayerNorm")
    if pooler:
        weights |= dense("pooler.dense", hidden, hidden)
    return weights


def invented_words() -> Iterator[str]:
    """Words of made-up syllables (be, bi, ..., bebe, ...), all different, without end."""
    letters = "bcdfghklmnprstvz"
    number = 0
    while True:
        number += 1
        rest, word = number, ""
        while rest:
            rest, digit = divmod(rest, len(letters) * 5)
            word += letters[digit // 5] + "aeiou"[digit % 5]
        yield word


@lru_cache(maxsize=1)
def e5_small_pieces() -> tuple[tuple[str, float], ...]:
    """The reference teacher's number of ordinary pieces: the embedded ones, then invented words of lower scores."""
    own = [(piece, score) for piece, score in embedded_tokenizer()["model"]["vocab"][4:-1]]
    lowest = min(score for _, score in own)
    known = {piece for piece, _ in own}
    made: list[tuple[str, float]] = []
    for number, word in enumerate(invented_words(), start=1):
        if len(own) + len(made) == 250_002 - len(SPECIAL) - 1:
            break
        if "▁" + word not in known:
            made.append(("▁" + word, lowest - 4 * number / 250_000))
    return (*own, *made)


def make_e5_small_shape(folder: Path) -> Path:
    """The reference teacher's shape to the row: 250,002 pieces under 250,037 rows, 12 x 384."""
    return make_teacher(
        folder, layers=12, hidden=384, heads=12, feed_forward=1536, positions=512,
        pieces=list(e5_small_pieces()), spare_rows=35,
    )  # fmt: skip

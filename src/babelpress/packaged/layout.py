"""A packaged teacher as a SentenceTransformer folder; its JSON files depend on its shape alone, to the byte."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.packaged.blocks import PackedWeights
from babelpress.packaged.catalogue import PackagedModel, Shape
from babelpress.utils.files import replace_file, write_json, write_text

_STORED: dict[str, tuple[str, str]] = {"fp32": ("F32", "<f4"), "fp16": ("F16", "<f2")}
_SPECIAL = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def write_folder(folder: Path, model: PackagedModel, weights: PackedWeights, tokenizer: bytes, *, dtype: str) -> None:
    """Write a teacher's files into an empty folder. `tokenizer` is tokenizer.json as the package has it."""
    write_tensors(folder / "model.safetensors", weights.shapes(), weights.parts, dtype=dtype)
    whole = json.loads(tokenizer)
    whole["truncation"] = whole["padding"] = None  # as on the hub: lengths are the reader's choice
    write_text(folder / "tokenizer.json", json.dumps(whole, ensure_ascii=False))
    for name, value in json_files(model.shape).items():
        write_json(folder / name, value)
    write_text(folder / "README.md", _readme(model, dtype))


def write_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    parts: Callable[[str], Iterable[NDArray[np.float32]]],
    *,
    dtype: str,
) -> None:
    """Write a safetensors file from parts of tensors: the bytes that safetensors writes, in little memory."""
    stored, number = _STORED[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(shapes):
        start, end = end, end + math.prod(shapes[name]) * np.dtype(number).itemsize
        header[name] = {"dtype": stored, "shape": list(shapes[name]), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in sorted(shapes):
                for part in parts(name):
                    file.write(part.astype(number, copy=False).tobytes())

    replace_file(path, fill)


def json_files(shape: Shape) -> dict[str, Any]:
    """Return the small files by name. The order of keys counts: a teacher's fingerprint is that of these bytes."""
    modules = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.feed_forward,
            "vocab_size": shape.rows,
            "max_position_embeddings": shape.positions,
            "type_vocab_size": shape.types,
            "layer_norm_eps": shape.epsilon,
            "hidden_act": "gelu",
            "pad_token_id": 0,
            "attention_probs_dropout_prob": 0.1,
            "hidden_dropout_prob": 0.1,
            "initializer_range": 0.02,
            "position_embedding_type": "absolute",
            "tokenizer_class": "XLMRobertaTokenizer",
            "use_cache": True,
        },
        "special_tokens_map.json": _SPECIAL,
        "tokenizer_config.json": {
            **_SPECIAL,
            "tokenizer_class": "XLMRobertaTokenizer",
            "model_max_length": shape.positions,
        },
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": shape.positions, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": shape.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }


def _readme(model: PackagedModel, dtype: str) -> str:
    weights, tokenizer = model.files
    rows = "\n".join(
        f"| {what} | `{file.package}` {file.version} | `{file.path}` | `{file.sha256}` | {file.licence} |"
        for what, file in (("weights", weights), ("tokenizer", tokenizer))
    )
    return f"""---
license: {model.licence.lower()}
library_name: sentence-transformers
pipeline_tag: sentence-similarity
base_model: {model.model_id}
---
# {model.model_id}, from 4-bit weights

[{model.model_id}](https://huggingface.co/{model.model_id}) as two Python packages carry it, laid out by babelpress.

| | from | file | SHA-256 | licence |
| --- | --- | --- | --- | --- |
{rows}

The matrices are in blocks of 32 weights of 4 bits under an fp16 scale in the package, and were turned into {dtype}; \
vectors, positions and norms are fp32 there. There is no pooler, which sentence embeddings do not use. The authors of \
{weights.package} state a cosine of 0.98 to 0.99 to the fp32 model: say "from 4-bit weights" of figures that are based \
on this folder.

As for the original, texts begin with `query: ` or `passage: `; no prompt is set in the files.

The model is {model.model_id.partition("/")[0]}'s (Wang et al. 2024, "Multilingual E5 Text Embeddings", \
arXiv:2402.05672), under {model.licence}; the 4-bit weights are those of {weights.package}'s authors, and \
tokenizer.json is the file that the authors of {tokenizer.package} distribute.
"""

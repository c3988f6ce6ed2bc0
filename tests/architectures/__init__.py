"""Tiny teachers of every family, made and saved by transformers itself."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModel, BertConfig, DistilBertConfig, MPNetConfig, RobertaConfig, XLMRobertaConfig
from transformers import PretrainedConfig as Config

from tests.tiny import make_teacher, words

_PLAIN = {
    "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "pad_token_id": 1,
    "max_position_embeddings": 70,
}  # fmt: skip
CONFIGS: dict[str, Config] = {
    "bert": BertConfig(**_PLAIN),
    "xlm-roberta": XLMRobertaConfig(**_PLAIN),
    "roberta": RobertaConfig(**_PLAIN),
    "distilbert": DistilBertConfig(
        dim=16, n_layers=4, n_heads=2, hidden_dim=32, pad_token_id=1, max_position_embeddings=70
    ),
    "mpnet": MPNetConfig(**_PLAIN),
}


def family_teacher(folder: Path, kind: str) -> Path:
    """A teacher of a family: the tiny teacher's tokenizer and modules around transformers' own model."""
    make_teacher(folder, pieces=list(words(3000)))
    (folder / "model.safetensors").unlink()
    config = CONFIGS[kind]
    config.vocab_size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config.initializer_range = 0.3
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    for name in ("tokenizer_config.json", "sentence_bert_config.json"):
        values = json.loads((folder / name).read_text(encoding="utf-8"))
        values |= {key: 64 for key in ("model_max_length", "max_seq_length") if key in values}
        (folder / name).write_text(json.dumps(values), encoding="utf-8")
    return folder

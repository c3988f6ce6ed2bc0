"""What the tests of the exports share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from babelpress.schema.exports import Missed, Parity
from tests.tiny import make_teacher


def good_parity(**changes: Any) -> Parity:
    """An export that is near its student."""
    figures: dict[str, Any] = {
        "texts": 800, "largest": 0.01, "mean": 0.999, "p5": 0.995, "lowest_language": "th", "lowest_mean": 0.998,
        "lost": {"a": 0.1},
    }  # fmt: skip
    return Parity(**{**figures, **changes})


def missed_export(name: str = "onnx-q4", file: str = "onnx/model_q4.onnx") -> Missed:
    """An export that was not near enough, and so was not written."""
    parity = good_parity(mean=0.9911, p5=0.9822, lowest_mean=0.9833, lost={})
    return Missed(name, file, 10 * 2**20, parity, ("mean cosine 0.9911 is below 0.995",))


def distilbert(folder: Path) -> Path:
    """The tiny teacher's tokenizer and modules around another encoder."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    make_teacher(folder)
    rows = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    (folder / "model.safetensors").unlink()
    config = DistilBertConfig(vocab_size=rows, dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=1)
    torch.manual_seed(0)
    DistilBertModel(config).save_pretrained(folder)
    return folder

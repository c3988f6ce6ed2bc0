"""Load encoders, and run them on token ids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.errors import TeacherError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# What the library raises for folders with missing files or wrong values.
_FAULTS = (OSError, ValueError, TypeError, AttributeError, RuntimeError, KeyError, ImportError)


def load_encoder(folder: Path, *, trust_remote_code: bool = False, device: str | None = None) -> SentenceTransformer:
    """Load a SentenceTransformer folder in fp32, without asking any hub. Raises TeacherError."""
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    # The pooler that E5-type students keep is not used by sentence embeddings; the load report on
    # teachers that lack it would only frighten (FIELD_NOTES B9).
    logging.getLogger("transformers.modeling_utils").setLevel(logging.ERROR)
    try:
        model = SentenceTransformer(
            str(folder), local_files_only=True, trust_remote_code=trust_remote_code, device=device,
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
        )  # fmt: skip
    except (*_FAULTS, SafetensorError) as error:
        raise TeacherError(
            f"{folder} cannot be loaded as a SentenceTransformer: {' '.join(str(error).split())}"
        ) from error
    return model.eval()


def width_of(model: SentenceTransformer) -> int:
    """Return the width of a model's hidden states."""
    first: Any = model[0]
    return int(first.auto_model.config.hidden_size)


def encode_texts(model: SentenceTransformer, texts: Sequence[str], *, batch_size: int) -> NDArray[np.float32]:
    """Return embeddings, shape (texts, dimensions)."""
    return np.asarray(model.encode(list(texts), batch_size=batch_size, show_progress_bar=False), dtype=np.float32)


def pad_batch(ids: list[list[int]], *, pad: int) -> dict[str, torch.Tensor]:
    """Return `input_ids` and `attention_mask`, int64, shape (batch, longest)."""
    longest = max(map(len, ids))
    padded = torch.full((len(ids), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, numbers in enumerate(ids):
        padded[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
        mask[row, : len(numbers)] = 1
    return {"input_ids": padded, "attention_mask": mask}


def embed(model: SentenceTransformer, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the sentence embeddings of a padded batch, shape (batch, dimensions), on the model's device."""
    device = next(model.parameters()).device
    return model({key: value.to(device) for key, value in features.items()})["sentence_embedding"]


def embed_by_layer(model: SentenceTransformer, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the pooled sentence embeddings before the first layer and after each: (layers + 1, batch, dimensions)."""
    device = next(model.parameters()).device
    inputs = {key: value.to(device) for key, value in features.items()}
    encoder: Any = model[0]
    hidden = encoder.auto_model(**inputs, output_hidden_states=True).hidden_states
    pooled = []
    modules: list[Any] = list(model)[1:]
    for states in hidden:
        output: dict[str, Any] = {**inputs, "token_embeddings": states}
        for module in modules:
            output = module(output)
        pooled.append(output["sentence_embedding"])
    return torch.stack(pooled)

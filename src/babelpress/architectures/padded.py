"""Run an encoder that has no packed pass: as transformers runs it, on padded batches, behind the same interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.checkpoint
from torch import nn

from babelpress.architectures import family_of
from babelpress.architectures.family import Family
from babelpress.architectures.packed import Packed, PackedEncoder, mask_of, pad_packed, parts_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def open_encoder(
    model: SentenceTransformer, *, dtype: torch.dtype = torch.float32, checkpointing: bool = False,
    compiled: bool = False,
) -> PackedEncoder | PaddedEncoder:  # fmt: skip
    """Return a model behind the interface of `PackedEncoder`: packed where its family has that pass, else padded."""
    if parts_of(model) is None:
        return PaddedEncoder(model, dtype=dtype, checkpointing=checkpointing, compiled=compiled)
    return PackedEncoder(model, dtype=dtype, checkpointing=checkpointing, compiled=compiled)


class PaddedEncoder(nn.Module):
    """A SentenceTransformer on packed sentences, which it pads and runs as transformers does.

    Arguments and results are those of `PackedEncoder`. Matrix products in `dtype` are left to torch's autocast.
    Raises TeacherError for an encoder of no registered family.
    """

    def __init__(
        self, model: SentenceTransformer, *, dtype: torch.dtype = torch.float32, checkpointing: bool = False,
        compiled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        first: Any = model[0]
        self.model = model
        self.dtype = dtype
        self._config = first.auto_model.config
        self.family: Family = family_of(self._config.model_type, model="the model")
        self._checkpointing = checkpointing
        self._run = torch.compile(first.auto_model, dynamic=True) if compiled else first.auto_model

    @property
    def layers(self) -> int:
        """Return the number of layers."""
        return int(getattr(self._config, self.family.keys.layers))

    @property
    def hidden(self) -> int:
        """Return the width of the hidden states."""
        return int(getattr(self._config, self.family.keys.hidden))

    @property
    def feed_forward(self) -> int:
        """Return the width between the two matrices of the feed-forward block."""
        return int(getattr(self._config, self.family.keys.feed_forward))

    def forward(self, packed: Packed) -> torch.Tensor:
        """Return the sentence embeddings in the order of `packed`, fp32, shape (sentences, dimensions)."""
        return self._pool(self._states(packed, every=False)[-1], packed)

    def forward_layers(self, packed: Packed, *, layers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sentence embeddings, and the mean hidden states after some layers: (layers, sentences, hidden)."""
        states = self._states(packed, every=True)
        mask = mask_of(packed).unsqueeze(-1)
        means = [(states[layer + 1].float() * mask).sum(1) / mask.sum(1) for layer in layers]
        return self._pool(states[-1], packed), torch.stack(means)

    def _states(self, packed: Packed, *, every: bool) -> Sequence[torch.Tensor]:
        """Return hidden states, shape (sentences, longest, hidden): of every layer, or the last alone."""
        pad = int(getattr(self._config, "pad_token_id", None) or 0)
        mask = mask_of(packed)
        inputs = {"input_ids": pad_packed(packed.ids, packed).masked_fill(~mask, pad), "attention_mask": mask.long()}

        def run(ids: torch.Tensor, attention: torch.Tensor) -> tuple[torch.Tensor, ...]:
            output = self._run(input_ids=ids, attention_mask=attention, output_hidden_states=every)
            return tuple(output.hidden_states) if every else (output.last_hidden_state,)

        with torch.autocast(packed.ids.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            if self._checkpointing and torch.is_grad_enabled():
                return torch.utils.checkpoint.checkpoint(run, *inputs.values(), use_reentrant=False)
            return run(*inputs.values())

    def _pool(self, states: torch.Tensor, packed: Packed) -> torch.Tensor:
        features: dict[str, Any] = {"token_embeddings": states.float(), "attention_mask": mask_of(packed).long()}
        for module in list(self.model)[1:]:
            features = module(features)
        return features["sentence_embedding"]

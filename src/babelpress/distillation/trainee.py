"""The student while it learns: an encoder, and projections to the teacher's shapes where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from babelpress.architectures.packed import Packed
from babelpress.architectures.padded import open_encoder
from babelpress.distillation.precision import DTYPES
from babelpress.recipe import DistillationSection

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PROJECTION = "projection.weight"
_PROJECTIONS = ("projection.", "hidden_projections.")


class Trainee(nn.Module):
    """What is trained.

    `forward` returns embeddings of the teacher's dimensions, shape (sentences, dimensions), and with
    `hidden_width` also the mean hidden states after every layer, shape (sentences, layers, hidden_width).
    Projections are learned and start as the identity, as far as both sides go.
    """

    def __init__(
        self, model: SentenceTransformer, settings: DistillationSection, *, dimensions: int, hidden_width: int = 0
    ) -> None:
        super().__init__()
        self.encoder = open_encoder(
            model, dtype=DTYPES[settings.precision], checkpointing=settings.gradient_checkpointing,
            compiled=settings.compile,
        )  # fmt: skip
        own = int(model.get_embedding_dimension() or 0)
        self.projection = _identity(own, dimensions) if own != dimensions else None
        layers, width = self.encoder.layers, self.encoder.hidden
        self._layers = range(layers if hidden_width else 0)
        self.hidden_projections = nn.ModuleList([_identity(width, hidden_width) for _ in self._layers])

    def forward(self, packed: Packed) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return embeddings, and hidden states where they are compared; both fp32."""
        if not self._layers:
            return self.project(self.encoder(packed)), None
        embeddings, hidden = self.encoder.forward_layers(packed, layers=self._layers)
        projected = [layer(states) for layer, states in zip(self.hidden_projections, hidden, strict=True)]
        return self.project(embeddings), torch.stack(projected, dim=1)

    def project(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return embeddings of the teacher's dimensions."""
        return embeddings if self.projection is None else self.projection(functional.normalize(embeddings, dim=1))

    def learned(self) -> dict[str, nn.Parameter]:
        """Return what is trained: encoder's parameters by their names in model.safetensors, then projections.

        What sentence embeddings do not use (BERT's pooler) is left alone, as further modules are.
        """
        self.requires_grad_(False)
        first: Any = self.encoder.model[0]
        named = first.auto_model.named_parameters()
        chosen = {name: value for name, value in named if not self.encoder.family.is_optional(name)}
        chosen |= {name: value for name, value in self.named_parameters() if name.startswith(_PROJECTIONS)}
        for parameter in chosen.values():
            parameter.requires_grad_(True)
        return chosen


def is_projection(name: str) -> bool:
    """Tell whether a learned parameter is no part of the student's own folder."""
    return name.startswith(_PROJECTIONS)


def _identity(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear map that copies as far as both sides go."""
    layer = nn.Linear(inputs, outputs, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(outputs, inputs))
    return layer

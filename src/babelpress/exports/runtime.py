"""An exported student in the place of a SentenceTransformer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from babelpress.exports.session import open_session

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class GraphModule(nn.Module):
    """An exported graph in the place of a SentenceTransformer's modules, so that all that encodes can use it."""

    def __init__(self, session: Any, first: Any, width: int | None) -> None:
        super().__init__()
        self.width = width
        self.session = session
        self.first = first  # tokenizes, as it does for the student
        self.tokenizer = first.tokenizer

    @property
    def max_seq_length(self) -> int:
        """Return how many tokens the model sees."""
        return int(self.first.max_seq_length)

    def preprocess(self, *inputs: Any, **settings: Any) -> Any:
        """Return ids and mask of texts."""
        return self.first.preprocess(*inputs, **settings)

    def get_embedding_dimension(self) -> int | None:
        """Return the width of the sentence embeddings."""
        return self.width

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add the sentence embeddings."""
        inputs = {name: features[name].cpu().numpy() for name in ("input_ids", "attention_mask")}
        (embeddings,) = self.session.run(["sentence_embedding"], inputs)
        return {**features, "sentence_embedding": torch.from_numpy(embeddings)}


def graph_encoder(student: SentenceTransformer, file: Path) -> SentenceTransformer:
    """Return a SentenceTransformer whose embeddings come from an exported graph, tokenized and prompted alike."""
    from sentence_transformers import SentenceTransformer

    module = GraphModule(open_session(file), student[0], student.get_embedding_dimension())
    return SentenceTransformer(
        modules=[module], device="cpu", prompts=cast(Any, student.prompts),
        default_prompt_name=student.default_prompt_name,
    )  # fmt: skip

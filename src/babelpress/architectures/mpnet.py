"""MPNet (Song et al. 2020): positions behind the pad id, and a bias for relative positions that all layers share."""

from __future__ import annotations

from typing import Any

from babelpress.architectures.family import EncoderParts, Family, behind_pad


def no_parts(_: Any) -> EncoderParts | None:
    """Return nothing: the shared bias of attention has no packed pass, so MPNet runs padded."""
    return None


FAMILY = Family(
    classes={"mpnet": "MPNetModel"},
    embeddings="embeddings.word_embeddings.weight",
    positions="embeddings.position_embeddings.weight",
    layer="encoder.layer.{number}",
    outside=("embeddings.", "encoder.relative_attention_bias."),
    optional=("pooler.",),
    config_keys=(
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_dropout_prob",
        "hidden_size",
        "initializer_range",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "relative_attention_num_buckets",
    ),
    first_position=behind_pad,
    parts=no_parts,
)

"""DistilBERT (Sanh et al. 2019): BERT without token types and pooler, under other names."""

from __future__ import annotations

from typing import Any

from babelpress.architectures.family import EncoderParts, Family, Keys, LayerParts, from_zero


def distilbert_parts(encoder: Any) -> EncoderParts | None:
    """Return the modules of a DistilBertModel."""
    config = encoder.config
    if config.activation != "gelu":
        return None
    layers = tuple(
        LayerParts(
            layer.attention.q_lin,
            layer.attention.k_lin,
            layer.attention.v_lin,
            layer.attention.out_lin,
            layer.sa_layer_norm,
            layer.ffn.lin1,
            layer.ffn.lin2,
            layer.output_layer_norm,
        )
        for layer in encoder.transformer.layer
    )
    tables = encoder.embeddings
    return EncoderParts(
        tables.word_embeddings,
        tables.position_embeddings,
        None,
        tables.LayerNorm,
        layers,
        heads=int(config.n_heads),
        pad=None,
    )


FAMILY = Family(
    classes={"distilbert": "DistilBertModel"},
    embeddings="embeddings.word_embeddings.weight",
    positions="embeddings.position_embeddings.weight",
    layer="transformer.layer.{number}",
    outside=("embeddings.",),
    optional=(),
    config_keys=(
        "activation",
        "attention_dropout",
        "dim",
        "dropout",
        "hidden_dim",
        "initializer_range",
        "max_position_embeddings",
        "n_heads",
        "sinusoidal_pos_embds",
    ),
    first_position=from_zero,
    parts=distilbert_parts,
    keys=Keys(layers="n_layers", hidden="dim", heads="n_heads", feed_forward="hidden_dim"),
)

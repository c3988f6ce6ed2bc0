"""BERT (Devlin et al. 2019), and encoders that say they are one: multilingual-e5-small, LaBSE, MiniLM."""

from __future__ import annotations

from typing import Any

from babelpress.architectures.family import EncoderParts, Family, LayerParts, from_zero

# Everything else in config.json is a default or says where the teacher was (docs/readers.md).
CONFIG_KEYS = (
    "attention_probs_dropout_prob",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "position_embedding_type",
    "type_vocab_size",
)


def bert_parts(encoder: Any) -> EncoderParts | None:
    """Return the modules of a BertModel, or of a model that is laid out like one."""
    config = encoder.config
    plain = (
        config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
        and not getattr(config, "is_decoder", False)
    )
    if not plain:
        return None
    tables = encoder.embeddings
    layers = tuple(
        LayerParts(
            layer.attention.self.query,
            layer.attention.self.key,
            layer.attention.self.value,
            layer.attention.output.dense,
            layer.attention.output.LayerNorm,
            layer.intermediate.dense,
            layer.output.dense,
            layer.output.LayerNorm,
        )
        for layer in encoder.encoder.layer
    )
    return EncoderParts(
        tables.word_embeddings,
        tables.position_embeddings,
        tables.token_type_embeddings,
        tables.LayerNorm,
        layers,
        heads=int(config.num_attention_heads),
        pad=None,
    )


FAMILY = Family(
    classes={"bert": "BertModel"},
    embeddings="embeddings.word_embeddings.weight",
    positions="embeddings.position_embeddings.weight",
    layer="encoder.layer.{number}",
    outside=("embeddings.",),
    optional=("pooler.",),
    config_keys=CONFIG_KEYS,
    first_position=from_zero,
    parts=bert_parts,
)

"""RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT, its positions counted from behind the pad id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from babelpress.architectures.bert import FAMILY as BERT
from babelpress.architectures.bert import bert_parts
from babelpress.architectures.family import EncoderParts, behind_pad


def roberta_parts(encoder: Any) -> EncoderParts | None:
    """Return the modules of an XLMRobertaModel or RobertaModel."""
    parts = bert_parts(encoder)
    return parts and parts._replace(pad=int(encoder.config.pad_token_id))


FAMILY = replace(
    BERT,
    classes={"xlm-roberta": "XLMRobertaModel", "roberta": "RobertaModel"},
    first_position=behind_pad,
    parts=roberta_parts,
)

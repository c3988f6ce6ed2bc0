"""What babelpress knows about a family of encoders: names of tensors, sizes, positions, and parts of a loaded model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from babelpress.errors import TeacherError

Config = Mapping[str, Any]


class Widths(Protocol):
    """The widths of a layer."""

    @property
    def hidden(self) -> int:
        """Return the width of the hidden states."""

    @property
    def feed_forward(self) -> int:
        """Return the width between the two matrices of the feed-forward block."""


class LayerWidths(NamedTuple):
    """The widths of a layer, where there is no model or teacher that has them."""

    hidden: int
    feed_forward: int


class Keys(NamedTuple):
    """What config.json calls the sizes of an encoder."""

    layers: str = "num_hidden_layers"
    hidden: str = "hidden_size"
    heads: str = "num_attention_heads"
    feed_forward: str = "intermediate_size"
    positions: str = "max_position_embeddings"


BERT_KEYS = Keys()


class LayerParts(NamedTuple):
    """The modules of one layer of a loaded encoder: attention, then feed-forward, each followed by a norm."""

    query: Any
    key: Any
    value: Any
    attention_output: Any
    attention_norm: Any
    inner: Any
    output: Any
    norm: Any


class EncoderParts(NamedTuple):
    """The modules of a loaded encoder with absolute positions, gelu, and norms after each block.

    `types` is the table of token types, None where there is none. `pad` is the id from which positions are counted,
    None where they are counted from 0.
    """

    words: Any
    positions: Any
    types: Any
    norm: Any
    layers: tuple[LayerParts, ...]
    heads: int
    pad: int | None


@dataclass(frozen=True)
class Family:
    """One family of encoders.

    `classes` maps each `model_type` of config.json to the class of transformers that holds it. Names of tensors are
    those of the bare encoder: `embeddings` has a row for each piece, `layer` is the pattern of a layer's tensors with
    `{number}`, `outside` are the prefixes of the other parameters, `optional` those that sentence embeddings do not
    use. `config_keys` are the keys that a student's config.json keeps besides sizes. `first_position` returns the row
    of the position table at which texts begin. `parts` returns the modules of a loaded encoder that the packed pass
    and the exports can run, None for one that they cannot.
    """

    classes: Mapping[str, str]
    embeddings: str
    positions: str
    layer: str
    outside: tuple[str, ...]
    optional: tuple[str, ...]
    config_keys: tuple[str, ...]
    first_position: Callable[[Config], int]
    parts: Callable[[Any], EncoderParts | None]
    keys: Keys = BERT_KEYS

    @cached_property
    def _layer(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.layer).replace(re.escape("{number}"), r"(\d+)") + r"\.(.+)")

    def layer_of(self, name: str) -> tuple[int, str] | None:
        """Return a tensor's layer and its name within it; None for a tensor outside of layers."""
        match = self._layer.fullmatch(name)
        return (int(match.group(1)), match.group(2)) if match else None

    def in_layer(self, number: int, rest: str) -> str:
        """Return the full name of a layer's tensor."""
        return f"{self.layer.format(number=number)}.{rest}"

    def is_parameter(self, name: str) -> bool:
        """Tell whether a tensor is a parameter of the encoder: not a buffer, not another head."""
        if "position_ids" in name:
            return False
        return self.layer_of(name) is not None or name.startswith((*self.outside, *self.optional))

    def is_optional(self, name: str) -> bool:
        """Tell whether sentence embeddings do not use a parameter."""
        return bool(self.optional) and name.startswith(self.optional)

    def prefix(self, names: list[str], *, model: str) -> str:
        """Return what the names of a checkpoint's tensors begin with. Raises TeacherError."""
        matching = [name for name in names if name == self.embeddings or name.endswith(f".{self.embeddings}")]
        if len(matching) != 1:
            raise TeacherError(f"{model}: {len(matching)} tensors end in {self.embeddings}; exactly one was expected")
        return matching[0].removesuffix(self.embeddings)

    def check_config(self, config: Config, *, model: str) -> None:
        """Raise TeacherError for a config without the sizes that pressing needs."""
        needed = (self.keys.layers, self.keys.hidden, self.keys.heads, self.keys.feed_forward, self.keys.positions)
        missing = [key for key in needed if not _is_size(config.get(key))]
        if missing:
            raise TeacherError(f"{model}: config.json has no whole number above 0 for {', '.join(missing)}")

    def longest_input(self, config: Config) -> int:
        """Return how many tokens the position table allows."""
        return int(config[self.keys.positions]) - self.first_position(config)

    def layer_parameters(self, widths: Widths) -> int:
        """Count the parameters of one layer: four projections, two matrices, two norms, all biases."""
        attention = 4 * (widths.hidden**2 + widths.hidden)
        feed_forward = 2 * widths.hidden * widths.feed_forward + widths.feed_forward + widths.hidden
        return attention + feed_forward + 2 * 2 * widths.hidden

    def layer_operations(self, widths: Widths) -> int:
        """Count the floating-point operations of one layer's matrix products for one token of a forward pass.

        Queries, keys, values and output (4 x hidden²) and the two of the feed-forward block, two operations each.
        Attention itself, a few percent for texts of some dozen tokens, is left out. A training step takes three times
        as many: the backward pass twice those of the forward pass.
        """
        return 2 * (4 * widths.hidden**2 + 2 * widths.hidden * widths.feed_forward)

    def student_config(self, config: Config, *, layers: int, rows: int, token_ids: Mapping[str, int]) -> dict[str, Any]:
        """Return the part of a student's config.json that the family decides.

        Raises TeacherError where positions are counted from the pad id and it would change (FIELD_NOTES B4).
        """
        kept = {key: config[key] for key in ("model_type", *self.config_keys) if key in config} | dict(token_ids)
        if self.first_position(config) != self.first_position({**config, **token_ids}):
            raise TeacherError(
                f"config.json has pad_token_id {config.get('pad_token_id')}, the student's tokenizer "
                f"{token_ids.get('pad_token_id')}; {config['model_type']} counts positions from it, so every position "
                "would move"
            )
        return {
            "architectures": [self.classes[config["model_type"]]],
            **kept,
            self.keys.layers: layers,
            "vocab_size": rows,
        }


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def from_zero(_: Config) -> int:
    """Positions are counted from 0."""
    return 0


def behind_pad(config: Config) -> int:
    """Positions are counted from behind the pad id, as fairseq's RoBERTa does; without one they cannot be."""
    pad = config.get("pad_token_id", 1)
    return 0 if pad is None else int(pad) + 1

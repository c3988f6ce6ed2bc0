"""Run an encoder on sentences laid end to end: nothing is spent on padding.

The matrix products see one long row of tokens. Attention and pooling see the sentences of one length together and
need no mask; on a GPU, where many small kernels cost more than a little padding, all sentences at once. The
numbers are those of the padded pass (the tests hold them against it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from babelpress.architectures import family_of, find_family
from babelpress.architectures.family import EncoderParts, Family, LayerParts
from babelpress.errors import TeacherError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Group(NamedTuple):
    """Sentences of equal length."""

    sentences: int
    length: int

    @property
    def tokens(self) -> int:
        """Return the tokens of the group."""
        return self.sentences * self.length


@dataclass(frozen=True)
class Packed:
    """Sentences in order of their length, laid flat, `groups` of one length each.

    Of every token, `ids`, `positions` (its place in its sentence) and `owners` (its sentence's number): shape
    (tokens,) each.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    owners: torch.Tensor
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, flat: NDArray[np.generic], lengths: Iterable[int]) -> Packed:
        """Wrap ids that lie flat already, in order of length. Raises ValueError where they do not."""
        every = np.fromiter(lengths, dtype=np.int64)
        if (np.diff(every) < 0).any():
            raise ValueError("packed sentences stand in order of their length")
        starts = np.cumsum(every) - every
        positions = np.arange(len(flat)) - np.repeat(starts, every)
        owners = np.repeat(np.arange(len(every)), every)
        groups = tuple(Group(len(list(same)), length) for length, same in groupby(every.tolist()))
        ids = torch.from_numpy(flat.astype(np.int64))
        return cls(ids, torch.from_numpy(positions), torch.from_numpy(owners), groups)

    @property
    def sentences(self) -> int:
        """Return how many sentences there are."""
        return sum(group.sentences for group in self.groups)

    @property
    def longest(self) -> int:
        """Return the tokens of the longest sentence."""
        return self.groups[-1].length

    @property
    def places(self) -> torch.Tensor:
        """Return where each token lies among sentences padded to the longest, flat."""
        return self.owners * self.longest + self.positions

    def to(self, device: torch.device) -> Packed:
        """Return the same on a device."""
        ids, positions, owners = (
            each.to(device, non_blocking=True) for each in (self.ids, self.positions, self.owners)
        )
        return Packed(ids, positions, owners, self.groups)


def pack(sentences: Sequence[Sequence[int]]) -> tuple[Packed, NDArray[np.int64]]:
    """Pack sentences of any lengths; also return the order in which they stand there."""
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    order = np.argsort(lengths, kind="stable")
    flat = np.concatenate([np.asarray(sentences[row], dtype=np.int64) for row in order])
    return Packed.of(flat, lengths[order]), order


def parts_of(model: SentenceTransformer) -> EncoderParts | None:
    """Return the modules of a model that `PackedEncoder` can run, None for any other model."""
    first: Any = model[0]
    encoder = getattr(first, "auto_model", None)
    family = find_family(encoder.config.model_type) if encoder is not None else None
    return family.parts(encoder) if family else None


class PackedEncoder(nn.Module):
    """A SentenceTransformer on packed sentences, sharing its parameters.

    `dtype` is that of the matrix products; sums, norms and weights stay fp32, without which a bf16 teacher
    of 12 layers loses a hundred times as much. There is no dropout. With `checkpointing`, layers are computed
    again in the backward pass instead of being kept; with `compiled`, what follows attention goes through
    torch.compile. `padded` says whether attention and pooling pad; unless given, they do on a GPU. Raises
    TeacherError for a model without a packed pass (`padded.PaddedEncoder` runs those).
    """

    def __init__(
        self, model: SentenceTransformer, *, dtype: torch.dtype = torch.float32, checkpointing: bool = False,
        compiled: bool = False, padded: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        parts = parts_of(model)
        if parts is None:
            raise TeacherError(
                "this model has no packed pass; encoders with absolute positions, gelu, and norms after each block have"
            )
        self.model = model
        self._parts = parts
        self.dtype = dtype
        self._padded = padded
        self._checkpointing = checkpointing
        block = _attention_output_and_feed_forward
        self._rest = torch.compile(block, dynamic=True) if compiled else block

    @property
    def layers(self) -> int:
        """Return the number of layers."""
        return len(self._parts.layers)

    @property
    def hidden(self) -> int:
        """Return the width of the hidden states."""
        return int(self._parts.words.weight.shape[1])

    @property
    def feed_forward(self) -> int:
        """Return the width between the two matrices of the feed-forward block."""
        return int(self._parts.layers[0].inner.out_features)

    @property
    def family(self) -> Family:
        """Return the family of the encoder."""
        first: Any = self.model[0]
        return family_of(first.auto_model.config.model_type, model="the model")

    def forward(self, packed: Packed) -> torch.Tensor:
        """Return the sentence embeddings in the order of `packed`, fp32, shape (sentences, dimensions)."""
        return self._sentence_embeddings(self.hidden_states(packed), packed)

    def forward_layers(self, packed: Packed, *, layers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sentence embeddings, and the mean hidden states after some layers: (layers, sentences, width)."""
        kept: dict[int, torch.Tensor] = {}
        last = self.hidden_states(packed, keep=kept, wanted=frozenset(layers))
        means = [torch.cat([states.float().mean(1) for states in _split(kept[layer], packed)]) for layer in layers]
        return self._sentence_embeddings(last, packed), torch.stack(means)

    def hidden_states(
        self, packed: Packed, *, keep: dict[int, torch.Tensor] | None = None, wanted: frozenset[int] = frozenset()
    ) -> torch.Tensor:
        """Return the last hidden states, shape (tokens, width)."""
        states = self._embed(packed)
        for number, layer in enumerate(self._parts.layers):
            if self._checkpointing and torch.is_grad_enabled():
                states = checkpoint(self._layer, layer, states, packed, use_reentrant=False)
            else:
                states = self._layer(layer, states, packed)
            if keep is not None and number in wanted:
                keep[number] = states
        return states

    def _embed(self, packed: Packed) -> torch.Tensor:
        parts = self._parts
        states = functional.embedding(packed.ids, parts.words.weight) + functional.embedding(
            self._positions(packed), parts.positions.weight
        )
        if parts.types is not None:
            states = states + parts.types.weight[0]
        norm = parts.norm
        return functional.layer_norm(states, norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def _positions(self, packed: Packed) -> torch.Tensor:
        """Return the rows of the position table."""
        pad = self._parts.pad
        if pad is None:
            return packed.positions
        real = packed.ids.ne(pad).long()
        upto = real.cumsum(0)
        first = torch.arange(len(upto), device=upto.device) - packed.positions  # where each token's sentence begins
        return (upto - upto[first] + real[first]) * real + pad

    def _pads(self, packed: Packed) -> bool:
        return packed.ids.is_cuda if self._padded is None else self._padded

    def _layer(self, layer: LayerParts, states: torch.Tensor, packed: Packed) -> torch.Tensor:
        three = (layer.query, layer.key, layer.value)
        qkv = functional.linear(
            states.to(self.dtype),
            torch.cat([part.weight for part in three]).to(self.dtype),
            torch.cat([part.bias for part in three]).to(self.dtype),
        )
        attend = _attend_padded if self._pads(packed) else _attend
        parts = (layer.attention_output, layer.attention_norm, layer.inner, layer.output, layer.norm)
        weights = tuple(part.weight for part in parts)
        biases = tuple(part.bias for part in parts)
        attended = attend(qkv, packed, self._parts.heads)
        return self._rest(attended, states, weights, biases, layer.attention_norm.eps)

    def _sentence_embeddings(self, states: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Apply the model's own further modules (pooling, normalisation, ...)."""
        if self._pads(packed):
            return self._finish(pad_packed(states.float(), packed), mask_of(packed).long())
        ones = [torch.ones(group.sentences, group.length, dtype=torch.int64) for group in packed.groups]
        parts = zip(_split(states.float(), packed), ones, strict=True)
        return torch.cat([self._finish(part, mask.to(part.device)) for part, mask in parts])

    def _finish(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        features: dict[str, Any] = {"token_embeddings": states, "attention_mask": mask}
        for module in list(self.model)[1:]:
            features = module(features)
        return features["sentence_embedding"]


def _attend(qkv: torch.Tensor, packed: Packed, heads: int) -> torch.Tensor:
    """Attend within each sentence; `qkv` holds queries, keys and values, shape (tokens, 3 * width)."""
    width = qkv.shape[1] // 3
    outputs = []
    for part in _split(qkv, packed):
        shaped = part.view(*part.shape[:2], 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        attended = _attention(shaped[0], shaped[1], shaped[2])
        outputs.append(attended.transpose(1, 2).reshape(-1, width))
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def _attend_padded(qkv: torch.Tensor, packed: Packed, heads: int) -> torch.Tensor:
    """Do what `_attend` does, for all sentences at once."""
    width = qkv.shape[1] // 3
    padded = pad_packed(qkv, packed)
    shaped = padded.view(*padded.shape[:2], 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    mask = mask_of(packed)[:, None, None, :]
    attended = functional.scaled_dot_product_attention(shaped[0], shaped[1], shaped[2], attn_mask=mask)
    return attended.transpose(1, 2).reshape(-1, width)[packed.places]


def pad_packed(flat: torch.Tensor, packed: Packed) -> torch.Tensor:
    """Pad sentences with zeros, shape (sentences, longest, ...)."""
    room = flat.new_zeros(packed.sentences * packed.longest, *flat.shape[1:])
    return room.index_copy(0, packed.places, flat).view(packed.sentences, packed.longest, *flat.shape[1:])


def mask_of(packed: Packed) -> torch.Tensor:
    """Return which tokens of padded sentences are real, shape (sentences, longest)."""
    real = torch.zeros(packed.sentences * packed.longest, dtype=torch.bool, device=packed.ids.device)
    return real.index_fill(0, packed.places, True).view(packed.sentences, packed.longest)


def _attention(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Attend; shapes (sentences, heads, length, width of a head).

    torch's fused attention is best but for its backward pass on the CPU, which takes several times as long in bf16
    as plain products do (benchmarks/distillation.py).
    """
    if queries.device.type == "cpu" and queries.dtype is torch.bfloat16 and queries.requires_grad:
        scores = torch.matmul(queries * queries.shape[-1] ** -0.5, keys.transpose(-1, -2))
        return torch.matmul(scores.softmax(dim=-1), values)
    return functional.scaled_dot_product_attention(queries, keys, values)


def _attention_output_and_feed_forward(
    attended: torch.Tensor, states: torch.Tensor, weights: tuple[torch.Tensor, ...], biases: tuple[torch.Tensor, ...],
    eps: float,
) -> torch.Tensor:  # fmt: skip
    """Return a layer's states after attention: a function of tensors alone, so that one compilation serves all.

    Weights and biases are those of the output of attention, its norm, the two linear maps and the last norm. Products
    are taken in the type of `attended`.
    """

    def linear(inputs: torch.Tensor, number: int) -> torch.Tensor:
        dtype = attended.dtype
        return functional.linear(inputs.to(dtype), weights[number].to(dtype), biases[number].to(dtype))

    def norm(inputs: torch.Tensor, number: int) -> torch.Tensor:
        return functional.layer_norm(inputs, inputs.shape[-1:], weights[number], biases[number], eps)

    states = norm(linear(attended, 0) + states, 1)
    return norm(linear(functional.gelu(linear(states, 2)), 3) + states, 4)


def _split(flat: torch.Tensor, packed: Packed) -> list[torch.Tensor]:
    """Cut what lies flat into its groups, shape (sentences, length, ...) each."""
    parts = flat.split([group.tokens for group in packed.groups])
    return [
        part.view(group.sentences, group.length, *flat.shape[1:])
        for part, group in zip(parts, packed.groups, strict=True)
    ]

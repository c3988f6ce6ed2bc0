"""A student as one graph: token ids in, the sentence's embedding out, written by torch's own exporter.

The graph has two inputs and two outputs. `input_ids` and `attention_mask` are int64, shape (batch, length);
`last_hidden_state` is fp32, shape (batch, length, width), `sentence_embedding` fp32, shape (batch, dimensions), pooled
and normalised as the folder's modules say. Both sizes of a batch are free.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional

from babelpress.architectures import find_family
from babelpress.architectures.family import EncoderParts, LayerParts
from babelpress.errors import ExportError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from babelpress.exports.calibration import LayerCalibration

OPSET = 18  # the first one with bitwise operators, which 4-bit rows need
INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("last_hidden_state", "sentence_embedding")
# What a padded place's score is lowered by: its share is 4e-18 of the first token's, which no fp32 sum can see.
_LOWERED = -40.0
_APART = "outlier"  # part of the names of weights that outlier units have of their own


class SentenceGraph(nn.Module):
    """A whole SentenceTransformer as a function of ids and mask.

    Encoders whose family gives their parts are written anew, smaller for every runtime: queries, keys and values are
    one product, the only token type is part of the position table, the mask is a sum. Others are run as transformers
    runs them. With `half`, the encoder is fp16; outputs and the sums of the pooling stay fp32. With `calibration`,
    which only those have, activations are ready for 8 bits, except in products that `is_apart` knows.
    """

    def __init__(
        self, model: SentenceTransformer, *, half: bool = False, calibration: Sequence[LayerCalibration] = ()
    ) -> None:
        super().__init__()
        first: Any = model[0]
        encoder = copy.deepcopy(first.auto_model)
        family = find_family(encoder.config.model_type)
        parts = family.parts(encoder) if family else None
        self.encoder = _LeanEncoder(parts, calibration) if parts else _AsItIs(encoder)
        if half:
            self.encoder.half()
        self.pooling = nn.ModuleList(list(model)[1:])
        self.eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the hidden states of every token and the sentence embeddings."""
        states = self.encoder(input_ids, attention_mask).float()
        features: dict[str, Any] = {"token_embeddings": states, "attention_mask": attention_mask}
        for module in self.pooling:
            features = module(features)
        return states, features["sentence_embedding"]


class _LeanEncoder(nn.Module):
    """An encoder with absolute positions, without what a graph need not hold."""

    def __init__(self, parts: EncoderParts, calibration: Sequence[LayerCalibration]) -> None:
        super().__init__()
        self.heads, self.pad = parts.heads, parts.pad
        positions = parts.positions.weight if parts.types is None else parts.positions.weight + parts.types.weight[0]
        self.words = nn.Parameter(parts.words.weight.detach().float())
        self.positions = nn.Parameter(positions.detach().float())
        self.norm = parts.norm
        layers = [_LeanLayer(layer, self.heads) for layer in parts.layers]
        for layer, values in zip(layers, calibration, strict=False):
            layer.calibrate(values)
        self.layers = nn.ModuleList(layers)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states, at padded places those of the row's first token.

        With such places all scores of a row are near one another, so that lowering some by a little hides them. The
        usual -10,000 gives shares below 1e-38, denormal numbers, which processors compute several times slower.
        """
        batch, length = input_ids.shape[0], input_ids.shape[1]
        real = attention_mask.ne(0)
        first = attention_mask.argmax(dim=1, keepdim=True)
        ids = torch.where(real, input_ids, input_ids.gather(1, first))
        places = self._places(input_ids)
        places = torch.where(real, places, places.gather(1, first))
        states = self.norm(functional.embedding(ids, self.words) + functional.embedding(places, self.positions))
        lowered = (1.0 - real[:, None, None, :].to(self.words.dtype)) * _LOWERED
        # One row a token: ONNX Runtime fuses sums and norms of three dimensions, into a slower kernel.
        states = states.reshape(-1, states.shape[2])
        for layer in self.layers:
            states = layer(states, lowered, batch, length)
        return states.reshape(batch, length, -1)

    def _places(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return rows of the position table, shape (batch, length)."""
        if self.pad is None:
            return torch.arange(input_ids.shape[1]).expand(input_ids.shape)
        real = input_ids.ne(self.pad).long()
        return real.cumsum(1) * real + self.pad


class _LeanLayer(nn.Module):
    """One layer, its three projections in one."""

    def __init__(self, layer: LayerParts, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = layer.query.out_features
        # The scale of the scores is part of the queries' weights.
        scale = (self.width // heads) ** -0.5
        three = (layer.query, layer.key, layer.value)
        self.mixed = nn.Linear(layer.query.in_features, 3 * self.width)
        factors = (scale, 1.0, 1.0)
        with torch.no_grad():
            self.mixed.weight.copy_(torch.cat([p.weight * f for p, f in zip(three, factors, strict=True)]))
            self.mixed.bias.copy_(torch.cat([p.bias * f for p, f in zip(three, factors, strict=True)]))
        self.attended, self.attended_norm = layer.attention_output, layer.attention_norm
        self.inner, self.outer, self.outer_norm = layer.inner, layer.output, layer.norm
        self.before: nn.Parameter | None = None  # what states are multiplied by before the first product, for 8 bits
        self.between: nn.Parameter | None = None  # and before the feed-forward part
        self.outlier_inner: nn.Linear | None = None

    def calibrate(self, found: LayerCalibration) -> None:
        """Divide states before products, whose weights make up for it, and compute outlier units apart.

        In their old place outlier units leave zeros: all products keep their shapes.
        """
        before, between = torch.from_numpy(found.attention), torch.from_numpy(found.feed_forward)
        self.before, self.between = nn.Parameter(1 / before), nn.Parameter(1 / between)
        units = list(found.outliers)
        with torch.no_grad():
            if units:
                self.outlier_inner = nn.Linear(self.inner.in_features, len(units))
                self.outlier_inner.weight.copy_(self.inner.weight[units])
                self.outlier_inner.bias.copy_(self.inner.bias[units])
                self.outlier_outer = nn.Parameter(self.outer.weight[:, units].T.clone())
                self.inner.weight[units] = 0
                self.inner.bias[units] = 0
                self.outer.weight[:, units] = 0
            self.mixed.weight *= before
            self.inner.weight *= between

    def forward(self, states: torch.Tensor, lowered: torch.Tensor, batch: Any, length: Any) -> torch.Tensor:
        """Return the states after this layer, shape (batch * length, width)."""
        eased = states if self.before is None else states * self.before
        mixed = self.mixed(eased).reshape(batch, length, 3, self.heads, self.width // self.heads)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        shares = (torch.matmul(queries, keys.transpose(2, 3)) + lowered).softmax(dim=-1)
        seen = torch.matmul(shares, values).transpose(1, 2).reshape(-1, self.width)
        states = self.attended_norm(self.attended(seen) + states)
        kept = states
        if self.outlier_inner is not None:
            kept = torch.addmm(states, functional.gelu(self.outlier_inner(states)), self.outlier_outer)
        eased = states if self.between is None else states * self.between
        return self.outer_norm(self.outer(functional.gelu(self.inner(eased))) + kept)


class _AsItIs(nn.Module):
    """Any other encoder of transformers."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        encoder.set_attn_implementation("eager")  # the exporter's fused attention mixes types in fp16
        self.inside = encoder
        self.has_types = bool(getattr(encoder.config, "type_vocab_size", 0))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states."""
        types = {"token_type_ids": torch.zeros_like(input_ids)} if self.has_types else {}
        states: torch.Tensor = self.inside(input_ids=input_ids, attention_mask=attention_mask, **types)[0]
        return states


def is_apart(weights: str) -> bool:
    """Tell whether weights of a traced graph, by their name, are those of outlier units."""
    return _APART in weights


def trace_graph(
    model: SentenceTransformer, *, half: bool = False, calibration: Sequence[LayerCalibration] = ()
) -> bytes:
    """Return the ONNX file of a model, in fp32 or with an encoder in fp16, or calibrated for 8 bits.

    Raises ExportError for a model that is no function of ids and mask.
    """
    if any(getattr(module, "include_prompt", True) is False for module in model):
        raise ExportError("its pooling leaves prompts out, which a graph of ids and mask cannot do")
    if not hasattr(model[0], "auto_model") or model.tokenizer.pad_token_id is None:
        raise ExportError("it is no transformer with a tokenizer that pads; there is no graph of ids and mask of it")
    graph = SentenceGraph(model, half=half, calibration=calibration)
    ids = torch.full((2, 5), int(model.tokenizer.pad_token_id), dtype=torch.int64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    ids = torch.where(mask.bool(), torch.tensor(int(model.tokenizer.eos_token_id or 0)), ids)
    file = io.BytesIO()
    free = {0: "batch", 1: "length"}
    axes = {"input_ids": free, "attention_mask": free, OUTPUTS[0]: free, OUTPUTS[1]: {0: "batch"}}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter that needs no further package calls itself old
        torch.onnx.export(
            graph, (ids, mask), cast(Any, file), input_names=list(INPUTS), output_names=list(OUTPUTS),
            opset_version=OPSET, dynamic_axes=axes, dynamo=False, training=torch.onnx.TrainingMode.EVAL,
        )  # fmt: skip
    return file.getvalue()

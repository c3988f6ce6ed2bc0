"""What a student's activations need before 8 bits can hold them, found on bundled training sentences.

Inputs of products are quantised with one scale for a whole batch, which its largest number decides. Two things in
trained transformers make that number large, and neither hangs on the text:

- A few units of feed-forward layers outgrow all others on some tokens ("massive activations", Sun et al. 2024, arXiv
  2402.17762): in multilingual-e5-small's first layers one of 1,536 reaches 35 or 70 where no other exceeds 7. These
  outlier units are computed apart, in fp32.
- A few channels of the states are larger than others on all tokens. The states are divided by factors before a product,
  and its weights multiplied by them, so that both are hard to quantise to the same degree (SmoothQuant, Xiao et al.
  2022, arXiv 2211.10438).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.architectures.encoders import encode_texts
from babelpress.architectures.packed import parts_of
from babelpress.corpus.bundled import load_meanings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MEANINGS = 4  # in all languages
_MOST = 8  # outlier units of a layer
_RATIO = 2.0  # of them to all others: one bit

Channels = NDArray[np.float32]


@dataclass(frozen=True)
class LayerCalibration:
    """A layer's outlier units, and the factors of the states before its first and its second product of states."""

    outliers: tuple[int, ...]
    attention: Channels
    feed_forward: Channels


def calibrate(model: SentenceTransformer) -> tuple[LayerCalibration, ...]:
    """Return what every layer needs; nothing for encoders without a packed pass."""
    parts = parts_of(model)
    if parts is None:
        return ()
    products = [product for layer in parts.layers for product in (layer.query, layer.inner, layer.output)]
    largest = _largest_inputs(model, products)
    calibrations = []
    for place, layer in enumerate(parts.layers):
        attention, feed_forward, units = largest[3 * place : 3 * place + 3]
        outliers = choose_outliers(units)
        others = [unit for unit in range(len(units)) if unit not in outliers]
        calibrations.append(
            LayerCalibration(
                outliers,
                balance(attention, _largest_weights(layer.query.weight, layer.key.weight, layer.value.weight)),
                balance(feed_forward, _largest_weights(layer.inner.weight[others])),
            )
        )
    return tuple(calibrations)


def choose_outliers(largest: Channels) -> tuple[int, ...]:
    """Return the units, a few at most, that are twice as large as all units but these few; the largest first."""
    if len(largest) <= _MOST:
        return ()
    order = np.argsort(-largest, kind="stable")
    limit = _RATIO * largest[order[_MOST]]
    return tuple(int(unit) for unit in order[:_MOST] if largest[unit] > limit)


def balance(inputs: Channels, weights: Channels) -> Channels:
    """Return what channels are divided by so that they are as large as their weights, which are multiplied by it.

    Both are the largest magnitudes of every channel; one without any stays as it is.
    """
    used = (inputs > 0) & (weights > 0)
    ratio = np.divide(inputs, weights, out=np.ones_like(inputs), where=used)
    return np.sqrt(ratio).astype(np.float32)


def _largest_inputs(model: SentenceTransformer, products: Sequence[Any]) -> list[Channels]:
    """Return the largest magnitude of every channel that goes into products, over all tokens."""
    largest = [torch.zeros(product.in_features) for product in products]

    def watch(number: int) -> Any:
        def see(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            seen = inputs[0].detach().abs().flatten(0, -2).amax(dim=0)
            largest[number] = torch.maximum(largest[number], seen.float().cpu())

        return products[number].register_forward_pre_hook(see)

    hooks = [watch(number) for number in range(len(products))]
    try:
        encode_texts(model, _training_sentences(), batch_size=1)  # no padding, which is no token
    finally:
        for hook in hooks:
            hook.remove()
    return [one.numpy() for one in largest]


def _largest_weights(*weights: torch.Tensor) -> Channels:
    """Return the largest magnitude of every input channel's weights."""
    found: Channels = torch.cat(weights).detach().abs().amax(dim=0).cpu().numpy()
    return found


def _training_sentences() -> list[str]:
    meanings = [meaning for meaning in load_meanings() if not meaning.held_out][:_MEANINGS]
    return [text for meaning in meanings for text in meaning.texts.values()]

"""The optimizer, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any

import torch

from babelpress.recipe import DistillationSection

_ADAM_BETAS = (0.9, 0.999)


def make_optimizer(parameters: dict[str, torch.nn.Parameter], settings: DistillationSection) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) in its fused form."""
    groups = decay_groups(parameters, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=_ADAM_BETAS, fused=True)


def decay_groups(parameters: dict[str, torch.nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Decay the matrices alone: decay would pull the rows of pieces that are never seen towards 0."""
    decayed = [value for name, value in parameters.items() if value.ndim > 1 and not name.startswith("embeddings.")]
    others = [value for name, value in parameters.items() if value.ndim == 1 or name.startswith("embeddings.")]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def learning_rate(step: int, *, total: int, peak: float, warmup: float) -> float:
    """Return the rate of a step: linear warm-up over a share of all steps, then half a cosine down to 0.

    Loshchilov and Hutter 2017 (SGDR), equation 5, with one cycle.
    """
    rising = int(total * warmup)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(1, total - rising)))

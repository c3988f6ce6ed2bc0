"""The optimizer, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any

import torch

from babelpress.recipe import DistillationSection

_ADAM_BETAS = (0.9, 0.999)


def make_optimizer(
    parameters: dict[str, torch.nn.Parameter], settings: DistillationSection, *, embeddings: tuple[str, ...]
) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) in its fused form; `embeddings` are prefixes of names."""
    groups = parameter_groups(
        parameters, embeddings=embeddings, weight_decay=settings.weight_decay, embedding_rate=settings.embedding_rate
    )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=_ADAM_BETAS, fused=True)


def parameter_groups(
    parameters: dict[str, torch.nn.Parameter],
    *,
    embeddings: tuple[str, ...],
    weight_decay: float,
    embedding_rate: float = 1.0,
) -> list[dict[str, Any]]:
    """Return the optimizer's groups, each with a `rate` that multiplies the learning rate.

    Only matrices decay, embeddings apart: decay would pull the rows of pieces that are never seen towards 0.
    """
    others = {name: value for name, value in parameters.items() if not name.startswith(embeddings)}
    matrices = [value for value in others.values() if value.ndim > 1]
    vectors = [value for value in others.values() if value.ndim == 1]
    rows = [value for name, value in parameters.items() if name.startswith(embeddings)]
    groups = [(matrices, weight_decay, 1.0), (vectors, 0.0, 1.0), (rows, 0.0, embedding_rate)]
    return [{"params": params, "weight_decay": decay, "rate": rate} for params, decay, rate in groups]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its learning rate for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def learning_rate(step: int, *, total: int, peak: float, warmup: float, cycles: int = 1, final: float = 0.0) -> float:
    """Return the rate of a step: linear warm-up over a share of all steps, then `cycles` halves of a cosine.

    Each falls from the peak to `final` times the peak, and the next starts at the peak again (Loshchilov and Hutter
    2017, SGDR, equation 5, with cycles of equal length).
    """
    rising = int(total * warmup)
    if step < rising:
        return peak * (step + 1) / rising
    done = (step - rising) / max(1, total - rising) * cycles
    within = done - min(int(done), cycles - 1)
    return peak * (final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * within)))

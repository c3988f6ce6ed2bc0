"""How far the student's embeddings are from the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from babelpress.recipe import LossSection, Reduction


@dataclass(frozen=True)
class LossParts:
    """The weighted sum that is minimised, and each term in its own unit (detached). All are scalars."""

    total: torch.Tensor
    mse: torch.Tensor
    cosine: torch.Tensor


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, weights: LossSection) -> LossParts:
    """Compare embeddings of shape (batch, dimensions), both normalised here first.

    `mse` is the squared distance, summed over the dimensions or (as torch's MSELoss does) their mean;
    `cosine` is 1 - cosine. For unit vectors the summed mse is exactly twice that, and the mean one
    2/dimensions of it: at 384 dimensions next to nothing (FIELD_NOTES C1).
    """
    student = functional.normalize(student.float(), dim=1)
    teacher = functional.normalize(teacher.float(), dim=1)
    squared = (student - teacher).square().sum(dim=1).mean()
    mse = squared / student.shape[1] if weights.mse_reduction is Reduction.MEAN else squared
    cosine = (1.0 - (student * teacher).sum(dim=1)).mean()
    return LossParts(weights.mse * mse + weights.cosine * cosine, mse.detach(), cosine.detach())

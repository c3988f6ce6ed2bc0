"""How far the student is from the teacher: named terms, each in its own unit, and their weighted sum.

Embeddings have shape (batch, dimensions). They are normalised here, so what is compared is what is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from babelpress.errors import TrainingError
from babelpress.recipe import LossSection, Reduction
from babelpress.schema.losses import LOSSES


@dataclass(frozen=True)
class LossParts:
    """The weighted sum that is minimised, and each term in its own unit (detached). All are scalars."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor]


class Term(Protocol):
    """One way to compare unit vectors of shape (batch, dimensions)."""

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return a scalar, 0 where the student is the teacher."""


@dataclass(frozen=True)
class SquaredError:
    """The squared distance, summed over the dimensions or, as torch's MSELoss does, their mean.

    For unit vectors the sum is exactly 2 (1 - cosine), and the mean 2 / dimensions of it: at 384
    dimensions next to nothing beside a cosine term (FIELD_NOTES C1). Unit: squared length.
    """

    reduction: Reduction = Reduction.SUM

    @classmethod
    def of(cls, section: LossSection) -> SquaredError:
        """Return the term with the recipe's options."""
        return cls(section.mse_reduction)

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch."""
        squared = (student - teacher).square().sum(dim=1).mean()
        return squared / student.shape[1] if self.reduction is Reduction.MEAN else squared


@dataclass(frozen=True)
class Distance:
    """The Euclidean distance, not squared: small errors weigh as much as they do for a nearest-neighbour search.

    LEAF (Vujanic and Rueckstiess 2025, arXiv 2509.12539) distils with it alone. Unit: length.
    """

    @classmethod
    def of(cls, _: LossSection) -> Distance:
        """Return the term with the recipe's options."""
        return cls()

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch; its gradient is 0 where the two are equal."""
        return torch.linalg.vector_norm(student - teacher, dim=1).mean()


@dataclass(frozen=True)
class CosineDistance:
    """1 - cosine of the two embeddings of a sentence. Unit: cosine."""

    @classmethod
    def of(cls, _: LossSection) -> CosineDistance:
        """Return the term with the recipe's options."""
        return cls()

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch."""
        return (1.0 - (student * teacher).sum(dim=1)).mean()


@dataclass(frozen=True)
class SimilarityMatching:
    """Squared difference of the cosines of all pairs of the batch, a sentence with itself left out.

    Similarity-preserving distillation (Tung and Mori 2019, arXiv 1907.09682), on cosines. Unit: squared cosine.
    """

    @classmethod
    def of(cls, _: LossSection) -> SimilarityMatching:
        """Return the term with the recipe's options."""
        return cls()

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over the pairs; 0 for a batch of one."""
        pairs = len(student) * (len(student) - 1)
        difference = (student @ student.T - teacher @ teacher.T).square()
        return (difference.sum() - difference.diagonal().sum()) / max(1, pairs)


@dataclass(frozen=True)
class ScoreDistribution:
    """KL divergence of the student's scores of the rest of the batch from the teacher's, at a temperature.

    For every sentence the others are its candidates; scores are cosines / temperature, softmaxed
    (SEED, Fang et al. 2021, arXiv 2101.04731, with the batch as queue). Unit: nats.
    """

    temperature: float = 0.05

    @classmethod
    def of(cls, section: LossSection) -> ScoreDistribution:
        """Return the term with the recipe's options."""
        return cls(section.temperature)

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch; 0 for a batch of fewer than three."""
        if len(student) < 3:
            return student.sum() * 0.0
        own = torch.eye(len(student), dtype=torch.bool, device=student.device)

        def scores(embeddings: torch.Tensor) -> torch.Tensor:
            every = (embeddings @ embeddings.T / self.temperature).masked_select(~own)
            return functional.log_softmax(every.view(len(own), -1), dim=1)

        return functional.kl_div(scores(student), scores(teacher), reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class HiddenMatching:
    """Squared distance of mean hidden states of the student's layers and the teacher's that they came from.

    As TinyBERT's hidden term (Jiao et al. 2020, arXiv 1909.10351, equation 8), on sentence means, because the
    two have other tokens; the student's come through a learned projection. Unit: squared length, of unit vectors.
    """

    @classmethod
    def of(cls, _: LossSection) -> HiddenMatching:
        """Return the term with the recipe's options."""
        return cls()

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compare states of shape (batch, layers, width); return the mean over batch and layers."""
        own, wanted = (functional.normalize(states, dim=-1) for states in (student, teacher))
        return (own - wanted).square().sum(-1).mean()


def terms_of(section: LossSection, *, hidden: bool = False) -> dict[str, tuple[float, Term]]:
    """Return weight and term of those with a weight above 0: of sentence embeddings, or of hidden states."""
    return {
        name: (weight, LOSSES[name].build(section))
        for name, weight in section.weights().items()
        if LOSSES[name].hidden is hidden
    }


class DistillationLoss:
    """The recipe's terms.

    Where the recipe centres, the mean of a `sample` of the teacher's embeddings, shape (sentences, dimensions), is
    subtracted from both sides: E5-type embeddings sit in a narrow cone, and what tells sentences apart is what is
    left (Mu and Viswanath 2018, arXiv 1702.01417). With `matryoshka`, every term is also taken of the first so many
    dimensions, and the mean is minimised (Kusupati et al. 2022, arXiv 2205.13147). Raises TrainingError for more of
    them than there are.
    """

    def __init__(self, weights: LossSection, *, dimensions: int, sample: torch.Tensor | None = None) -> None:
        too_long = [short for short in weights.matryoshka if short > dimensions]
        if too_long:
            raise TrainingError(
                f"distillation.loss.matryoshka asks for {too_long[0]} dimensions, the embeddings have {dimensions}"
            )
        self._terms = terms_of(weights)
        self._hidden_terms = terms_of(weights, hidden=True)
        self._dimensions = (dimensions, *(short for short in weights.matryoshka if short < dimensions))
        centred = sample if weights.centre else None
        self._means = {
            each: functional.normalize(centred[:, :each].float(), dim=1).mean(0) if centred is not None else None
            for each in self._dimensions
        }

    def __call__(
        self, student: torch.Tensor, teacher: torch.Tensor,
        hidden: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> LossParts:  # fmt: skip
        """Compare embeddings, and mean hidden states (student's, teacher's) where there are any."""
        student, teacher = student.float(), teacher.float()
        values: dict[str, torch.Tensor] = {}
        total = torch.zeros((), device=student.device)
        for dimensions in self._dimensions:
            ours, theirs = (self._unit(every[:, :dimensions]) for every in (student, teacher))
            for name, (weight, term) in self._terms.items():
                value = term(ours, theirs)
                total = total + weight / len(self._dimensions) * value
                values[name if dimensions == self._dimensions[0] else f"{name}@{dimensions}"] = value.detach()
        if hidden is not None:
            ours, theirs = (states.float() for states in hidden)
            for name, (weight, term) in self._hidden_terms.items():
                value = term(ours, theirs)
                total = total + weight * value
                values[name] = value.detach()
        return LossParts(total, values)

    def _unit(self, embeddings: torch.Tensor) -> torch.Tensor:
        unit = functional.normalize(embeddings, dim=1)
        mean = self._means[unit.shape[1]]
        return unit if mean is None else functional.normalize(unit - mean.to(unit.device), dim=1)

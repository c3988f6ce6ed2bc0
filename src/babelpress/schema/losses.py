"""The loss terms of distillation: each with its name, default weight, label, unit, source and class in one place.

Recipes, the log, the plot, the card and the page iterate over `LOSSES`; `register_loss` adds a term to all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babelpress.recipe import LossSection


def _no_options(_: LossSection) -> str:
    return ""


@dataclass(frozen=True)
class LossTerm:
    """One way to compare the student with its teacher.

    `name` is its key in recipes and in the log, `default` its weight unless the recipe gives one. `label` is what
    people read, `unit` the unit of its value, `source` the paper that it is from. `implementation` names a function of
    the recipe's section that returns the term, `module:name`; it is imported when training starts, because it needs
    torch. `options` returns the recipe's options of the term in words. `hidden` says that it compares hidden states
    instead of sentence embeddings. A term that is `late`, added after version 0.1, is left out of the keys of stages
    while its weight is the default, so that earlier results stay valid.
    """

    name: str
    label: str
    unit: str
    source: str
    implementation: str
    default: float = 0.0
    options: Callable[[LossSection], str] = _no_options
    hidden: bool = False
    late: bool = True

    def build(self, section: LossSection) -> Any:
        """Return the term as a function of (student, teacher)."""
        module, _, name = self.implementation.partition(":")
        return attrgetter(name)(import_module(module))(section)


LOSSES: dict[str, LossTerm] = {}


def register_loss(term: LossTerm) -> None:
    """Add a term under its name."""
    LOSSES[term.name] = term


def loss_words(section: LossSection) -> str:
    """Return the terms that have a weight, with weights and options, and how embeddings are prepared."""
    terms = []
    for name, weight in section.weights().items():
        details = ", ".join(filter(None, (f"{weight:g}", LOSSES[name].options(section))))
        terms.append(f"{LOSSES[name].label} ({details})")
    shorter = " and ".join(map(str, section.matryoshka))
    extras = (
        ", centred on the teacher's mean embedding" if section.centre else "",
        f", also on the first {shorter} dimensions" if shorter else "",
    )
    return " + ".join(terms) + "".join(extras)


_HERE = "babelpress.distillation.loss"

for _term in (
    LossTerm(
        "mse",
        label="squared distance",
        unit="squared length",
        source="Reimers and Gurevych 2020, arXiv 2004.09813",
        implementation=f"{_HERE}:SquaredError.of",
        default=1.0,
        options=lambda section: f"{section.mse_reduction} over dimensions",
        late=False,
    ),
    LossTerm(
        "l2",
        label="distance",
        unit="length",
        source="LEAF, Vujanic and Rueckstiess 2025, arXiv 2509.12539",
        implementation=f"{_HERE}:Distance.of",
    ),
    LossTerm(
        "cosine",
        label="cosine distance",
        unit="1 - cosine",
        source="Reimers and Gurevych 2019, arXiv 1908.10084",
        implementation=f"{_HERE}:CosineDistance.of",
        default=0.5,
        late=False,
    ),
    LossTerm(
        "similarity",
        label="similarities of pairs",
        unit="squared cosine",
        source="Tung and Mori 2019, arXiv 1907.09682",
        implementation=f"{_HERE}:SimilarityMatching.of",
        late=False,
    ),
    LossTerm(
        "distribution",
        label="score distributions",
        unit="nats",
        source="SEED, Fang et al. 2021, arXiv 2101.04731",
        implementation=f"{_HERE}:ScoreDistribution.of",
        options=lambda section: f"temperature {section.temperature:g}",
        late=False,
    ),
    LossTerm(
        "hidden",
        label="hidden states",
        unit="squared length of unit vectors",
        source="TinyBERT, Jiao et al. 2020, arXiv 1909.10351, equation 8",
        implementation=f"{_HERE}:HiddenMatching.of",
        hidden=True,
        late=False,
    ),
):
    register_loss(_term)

"""What fills a vocabulary's budget: objectives by name, with the words of reports and the function that chooses."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Objective:
    """A way to choose pieces.

    `words` complete "15,424 rows, …". `implementation` names, as `module:name`, a function of a lexicon and of the
    pieces' weights, shape (ids,), with the keywords `must` (a mask of pieces that stay) and `room` (how many pieces
    stay in all); it returns the mask of the kept pieces.
    """

    name: str
    words: str
    implementation: str

    def choose(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        module, _, name = self.implementation.partition(":")
        return getattr(import_module(module), name)(*arguments, **named)


OBJECTIVES: dict[str, Objective] = {}


def register_objective(objective: Objective) -> None:
    """Add an objective under its name."""
    OBJECTIVES[objective.name] = objective


FERTILITY, FREQUENCY = "fertility", "frequency"
register_objective(
    Objective(FERTILITY, "so that text is shortest in tokens", "babelpress.vocabulary.choose:fewest_tokens")
)
register_objective(Objective(FREQUENCY, "the most frequent pieces", "babelpress.vocabulary.choose:most_frequent"))

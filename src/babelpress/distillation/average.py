"""A running mean of the weights, which is what is kept where a recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Average:
    """An exponential moving average of parameters (Polyak and Juditsky 1992; Tarvainen and Valpola 2017).

    Each step moves it by 1 - `decay` of the way to the weights. In the first steps it moves further, so that it does
    not hang on to the weights of the start: after n steps at most n / (n + 9) of it stays.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], *, decay: float) -> None:
        self._parameters, self._decay = dict(parameters), decay
        self.values = {name: value.detach().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps (1 after the first)."""
        decay = min(self._decay, step / (step + 9))
        torch._foreach_lerp_(list(self.values.values()), list(self._parameters.values()), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mean in the place of the weights while the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            trained = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(trained)

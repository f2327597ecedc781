"""When to stop learning, and which weights to keep: by what posts never learned from cost.

A second look at the posts teaches some accounts a lot, and others little but their own posts by
heart. Nobody can tell beforehand which, so some posts of the training side are set aside and asked
at the end of the first half, after three quarters and at the end: a training ends as soon as they
cost no less than before, and the weights that they cost least with are kept (Prechelt 1998, "Early
Stopping - But When?", doi:10.1007/3-540-49430-8_3). They are not the held-out posts, which judge
the bot and have no part in making it.

What is asked, and kept, is the mean of the weights of the last steps: half-way the rate is still
high, and a single step's weights are off to one side (Polyak and Juditsky 1992, "Acceleration of
Stochastic Approximation by Averaging", doi:10.1137/0330046).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from mynah.fast_llama import Body
from mynah.learner import Rows, nats_a_token
from mynah.model import Base
from mynah.replicas import ALONE, Replicas

LOOKS = (0.5, 0.75, 1.0)  # parts of the steps after which is asked
_STEPS = 30  # over which weights are averaged: each step counts 1/30 less than the next

Weights = dict[str, Tensor]


class Standing(Protocol):
    """What is noted of a training that may stop early."""

    step: int  # steps done
    best_step: int  # whose weights the posts set aside cost least with, so far; 0: not asked yet
    best_nats: float | None  # what they cost with them, a token


class EarlyStopping:
    """Asks the posts set aside; without any, never stops and averages nothing."""

    def __init__(
        self,
        base: Base,
        body: Body,
        rows: Rows,
        steps: int,
        parameters: Mapping[str, nn.Parameter],
        replicas: Replicas = ALONE,
    ) -> None:
        """Take the posts set aside and what computes their cost.

        Args:
            base: the model that learns.
            body: what computes its hidden states.
            rows: token ids of the posts set aside.
            steps: how many there will be at most.
            parameters: what is trained.
            replicas: the processes that learn together.
        """
        self._base, self._body, self._rows, self._replicas = base, body, rows, replicas
        self._places = {max(1, round(part * steps)) for part in LOOKS}
        self._parameters = parameters
        self.mean = _copies(parameters) if rows else {}
        self.best: Weights = {}

    def over(self, course: Standing) -> bool:
        """Take in the weights after a step; tell whether to stop, else note what is best."""
        if not self._rows:
            return False
        self._average(max(1 / course.step, 1 / _STEPS))
        if course.step not in self._places:
            return False
        with self._swapped():
            nats = self._replicas.agree(nats_a_token(self._base, self._body, self._rows))
        if course.best_nats is not None and nats >= course.best_nats:
            return True
        course.best_step, course.best_nats, self.best = course.step, nats, _copies(self.mean)
        return False

    def keep_best(self) -> None:
        """Give the model the weights that were cheapest."""
        self._put(self.best)

    @torch.no_grad()
    def _average(self, share: float) -> None:
        """Move the mean towards the weights as they are now."""
        torch._foreach_lerp_(list(self.mean.values()), list(self._parameters.values()), share)

    @contextmanager
    def _swapped(self) -> Iterator[None]:
        """Let the model have the mean for a moment."""
        own = _copies(self._parameters)
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(own)

    def _put(self, weights: Weights) -> None:
        for name, weight in weights.items():
            self._parameters[name].data.copy_(weight)


def _copies(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: each.detach().clone() for name, each in tensors.items()}

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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mynah.fast_llama import Body
from mynah.learner import Rows
from mynah.loss import post_nats
from mynah.model import Base
from mynah.replicas import ALONE, Replicas

if TYPE_CHECKING:
    from torch import Tensor, nn

LOOKS = (0.5, 0.75, 1.0)  # parts of the steps after which is asked
_STEPS = 30  # over which weights are averaged: each step counts 1/30 less than the next
_BUDGET = 512  # padded tokens that go through the model at once

Weights = dict[str, "Tensor"]


@dataclass(kw_only=True)
class Best:
    """The weights that the posts set aside cost least with, so far."""

    nats: float | None = None  # a token
    step: int = 0
    weights: Weights = field(default_factory=dict)


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
        self._places = {max(1, round(part * steps)) for part in LOOKS} if rows else set()
        self._parameters = parameters
        self.mean = _copies(parameters) if rows else {}
        self.best = Best()

    def over(self, step: int) -> bool:
        """Take in the weights after a step (from 1); tell whether to stop."""
        if not self._rows:
            return False
        self._average(max(1 / step, 1 / _STEPS))
        if step not in self._places:
            return False
        with self._swapped():
            nats = self._replicas.agree(self._ask())
        if self.best.nats is not None and nats >= self.best.nats:
            return True
        self.best = Best(nats=nats, step=step, weights=_copies(self.mean))
        return False

    def keep_best(self) -> None:
        """Give the model the weights that were cheapest."""
        for name, weight in self.best.weights.items():
            self._parameters[name].data.copy_(weight)

    def _average(self, share: float) -> None:
        """Move the mean towards the weights as they are now."""
        import torch

        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.values()), list(self._parameters.values()), share)

    @contextmanager
    def _swapped(self) -> Iterator[None]:
        """Let the model have the mean for a moment."""
        own = _copies(self._parameters)
        for name, each in self._parameters.items():
            each.data.copy_(self.mean[name])
        yield
        for name, each in self._parameters.items():
            each.data.copy_(own[name])

    def _ask(self) -> float:
        """Return the loss of the posts set aside in nats a token."""
        model = self._base.model
        learning = model.training
        model.eval()  # no dropout
        nats = post_nats(model, self._rows, self._base.separator, _BUDGET, self._body)
        model.train(learning)
        return float(nats.sum()) / sum(len(row) - 1 for row in self._rows)


def _copies(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: each.detach().clone() for name, each in tensors.items()}

"""When to stop learning, and which weights to keep: by what posts never learned from cost.

A second look at the posts teaches some accounts a lot, and others little but their own posts by
heart. Nobody can tell beforehand which, so some posts of the training side are set aside and asked
at the end of the first half, after three quarters and at the end: a training is over as soon as
they cost no less than before, and goes back to the weights that they cost least with (Prechelt
1998, "Early Stopping - But When?", doi:10.1007/3-540-49430-8_3). They are not the held-out posts,
which judge the bot and have no part in making it.

What is asked, and kept, is the mean of the weights of the last steps: half-way the rate is still
high, and a single step's weights are off to one side (Polyak and Juditsky 1992, "Acceleration of
Stochastic Approximation by Averaging", doi:10.1137/0330046).

Then the posts set aside have told what they can, and are learned from like all others: once, at
the rate of the weights that were gone back to, which falls to zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from mynah.fast_llama import Body
from mynah.learner import Rows, nats_a_token
from mynah.model import Base
from mynah.plan import Plan, rate_at
from mynah.replicas import ALONE, Replicas

LOOKS = (0.5, 0.75, 1.0)  # parts of the steps after which is asked
_STEPS = 30  # over which weights are averaged: each step counts 1/30 less than the next
_LEAST_RATE = 0.1  # of the peak, at which the posts set aside are learned from

Weights = dict[str, Tensor]


class Standing(Protocol):
    """What is noted of a training that may stop early."""

    step: int  # which comes next
    best_step: int  # whose weights the posts set aside cost least with, so far; 0: not asked yet
    best_nats: float | None  # what they cost with them, a token


class EarlyStopping:
    """Asks the posts set aside; without any, never stops and averages nothing."""

    def __init__(
        self,
        base: Base,
        body: Body,
        rows: Rows,
        steps: Sequence[Sequence[int]],
        validation: Sequence[int],
        parameters: Mapping[str, nn.Parameter],
        replicas: Replicas = ALONE,
    ) -> None:
        """Take the posts set aside and what computes their cost.

        Args:
            base: the model that learns.
            body: what computes its hidden states.
            rows: token ids of all posts.
            steps: which rows each step learns from; those of rows set aside are the last ones.
            validation: which rows are set aside.
            parameters: what is trained.
            replicas: the processes that learn together.
        """
        self._base, self._body, self._replicas = base, body, replicas
        self._rows = [rows[at] for at in validation]
        self._steps = len(steps)
        self._last = main_steps(steps, validation)
        self._places = {max(1, round(part * self._last)) for part in LOOKS}
        self._parameters = parameters
        self.mean = _copies(parameters) if validation else {}
        self.best: Weights = {}

    def rate(self, course: Standing, plan: Plan) -> float:
        """Return the learning rate of the step that comes next."""
        if course.step < self._last:
            return rate_at(course.step, self._last, plan)
        least = _LEAST_RATE * plan.learning_rate
        left = (self._steps - course.step) / (self._steps - self._last)
        return left * max(rate_at(course.best_step, self._last, plan), least)

    def look(self, course: Standing) -> None:
        """Take in the weights after a step; where due, ask, and note or go back to the best.

        Going back means that the steps of the posts set aside come next.
        """
        if not self._rows or course.step > self._last:
            return
        self._average(max(1 / course.step, 1 / _STEPS))
        if course.step in self._places and self._over(course):
            self._put(self.best)
            course.step = self._last

    def _over(self, course: Standing) -> bool:
        """Ask the posts set aside; tell whether nothing is left to gain, else note what is best."""
        with self._swapped():
            nats = self._replicas.agree(nats_a_token(self._base, self._body, self._rows))
        if course.best_nats is not None and nats >= course.best_nats:
            return True
        course.best_step, course.best_nats, self.best = course.step, nats, _copies(self.mean)
        return course.step == self._last

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


def main_steps(steps: Sequence[Sequence[int]], validation: Sequence[int]) -> int:
    """Return how many steps come before those that learn from posts set aside."""
    aside = set(validation)
    return next((at for at, step in enumerate(steps) if aside.intersection(step)), len(steps))


def _copies(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: each.detach().clone() for name, each in tensors.items()}

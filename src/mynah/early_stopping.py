"""When to stop learning, and which weights to keep: by what posts never learned from cost.

A second look at the posts teaches some accounts a lot, and others little but their own posts by
heart. Nobody can tell beforehand which, so some posts of the training side are set aside and asked
when all others have been read once, half-way from there, and at the end: a training is over as soon
as they cost no less than before, and goes back to the weights that they cost least with (Prechelt
1998, "Early Stopping - But When?", doi:10.1007/3-540-49430-8_3). They are not the held-out posts,
which judge the bot and have no part in making it.

What is asked, and kept, is the mean of the weights of the last steps: on the way the rate is still
high, and a single step's weights are off to one side (Polyak and Juditsky 1992, "Acceleration of
Stochastic Approximation by Averaging", doi:10.1137/0330046). Members of an ensemble are asked as
the one adapter that they will be: what making one of them costs is less when they agree.

Then the posts set aside have told what they can, and are learned from like all others: once, at
the rate of the weights that were gone back to, which falls to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from mynah.fast_llama import Body
from mynah.flat_parameter import standing_in
from mynah.learner import Rows, nats_a_token
from mynah.lora import joined
from mynah.model import Base
from mynah.plan import Plan, rate_at
from mynah.replicas import ALONE, Replicas

_STEPS = 30  # over which weights are averaged at most: each step counts 1/30 less than the next
_PART = 1 / 8  # of all steps: a short training's first ones are far from its last
_LEAST_RATE = 0.1  # of the peak, at which the posts set aside are learned from


class Standing(Protocol):
    """What is noted of a training that may stop early."""

    step: int  # which comes next
    best_step: int  # whose weights the posts set aside cost least with, so far; 0: not asked yet
    best_nats: float | None  # what they cost with them, a token


class EarlyStopping:
    """Asks the posts set aside; without any, never stops, and ends with the mean if it teaches."""

    def __init__(
        self,
        base: Base,
        body: Body,
        rows: Rows,
        steps: Sequence[Sequence[int]],
        validation: Sequence[int],
        weights: nn.Parameter,
        plan: Plan,
        replicas: Replicas = ALONE,
    ) -> None:
        """Take the posts set aside and what computes their cost.

        Args:
            base: the model that learns.
            body: what computes its hidden states.
            rows: token ids of all posts.
            steps: which rows each step learns from; those of rows set aside are the last ones.
            validation: which rows are set aside.
            weights: all that is trained, as one.
            plan: how often the others are read, at which rate.
            replicas: the processes that learn together.
        """
        self._base, self.body, self.plan, self._replicas = base, body, plan, replicas
        self._rows = [rows[at] for at in validation]
        self._steps = len(steps)
        self._last = main_steps(steps, validation)
        self._places = {max(1, round(part * self._last)) for part in looks(plan.epochs)}
        self.weights = weights.data
        self._share = 1 / max(1, min(_STEPS, round(_PART * self._last)))
        self.mean = self.weights.clone() if validation or plan.distill else None
        self.best: Tensor | None = None
        self.first: Tensor | None = None  # that teach: as they were when all had been read once

    def before(self, course: Standing) -> Tensor | None:
        """Return the weights that teach the next step; None: nobody does, it reads new posts."""
        return self.first if course.step < self._last else None

    def rate(self, course: Standing) -> float:
        """Return the learning rate of the step that comes next."""
        if course.step < self._last:
            return rate_at(course.step, self._last, self.plan)
        least = _LEAST_RATE * self.plan.learning_rate
        left = (self._steps - course.step) / (self._steps - self._last)
        return left * max(rate_at(course.best_step, self._last, self.plan), least)

    def look(self, course: Standing) -> None:
        """Take in the weights after a step; where due, ask, and note or go back to the best.

        Going back means that the steps of the posts set aside come next.
        """
        if self.mean is None or course.step > self._last:
            return
        self.mean.lerp_(self.weights, max(1 / course.step, self._share))
        if course.step in self._places:
            if self.first is None and self.plan.distill:
                self.first = self.mean.clone()
            if self._rows:
                self._ask(course, self.mean)
            elif course.step == self._last:
                self.weights.copy_(self.mean)

    def _ask(self, course: Standing, mean: Tensor) -> None:
        nats = self._replicas.agree(self._cost_with(mean))
        over = course.best_nats is not None and nats >= course.best_nats
        if not over:
            course.best_step, course.best_nats = course.step, nats
            self.best = mean.clone()
        if over or course.step == self._last:
            self._go_back(course)

    def _go_back(self, course: Standing) -> None:
        assert self.best is not None
        self.weights.copy_(self.best)
        course.step = self._last

    def _cost_with(self, weights: Tensor) -> float:
        """Return what the posts set aside cost, in nats a token, with these weights."""
        with standing_in(self.weights, weights), joined(self._base.model):
            return nats_a_token(self._base, self.body, self._rows)


def looks(epochs: float) -> tuple[float, float, float]:
    """Return the parts of the steps after which is asked, of so many epochs, more than one."""
    once = 1 / max(epochs, 1)
    return once, (once + 1) / 2, 1.0


def main_steps(steps: Sequence[Sequence[int]], validation: Sequence[int]) -> int:
    """Return how many steps come before those that learn from posts set aside."""
    aside = set(validation)
    return next((at for at, step in enumerate(steps) if aside.intersection(step)), len(steps))

"""What a post teaches when it comes again: in part itself, in part what was made of it before.

A second look teaches an account's words and ways, but its very posts by heart as well. So from then
on a target is not the next token alone: a share of it is what the bot itself expected there, with
the weights that it had when it had read all posts once (Furlanello et al. 2018, "Born-Again Neural
Networks", arXiv:1805.04770; Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
arXiv:1503.02531, at temperature 1). Those weights never change: a teacher that learns along learns
the posts by heart too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mynah.early_stopping import EarlyStopping, Standing
from mynah.fast_llama import Body
from mynah.flat_parameter import standing_in
from mynah.loss import Soft
from mynah.model import Base
from mynah.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """The bot as it was before it read posts again."""

    base: Base
    body: Body
    weights: Tensor  # that learn [count]
    before: Tensor  # that teach [count]
    share: float  # of a target, 0 to 1
    again: int = 0  # times that a batch comes back
    said: dict[bytes, tuple[Tensor, int]] = field(default_factory=dict)  # and how often it will

    @torch.no_grad()
    def __call__(self, ids: Tensor) -> Soft:
        """Return what was made of posts [posts, tokens]; all members of an ensemble say it.

        Each member reads a batch, so what was made of it is kept until the last one has.
        """
        key = ids.numpy().tobytes()
        hidden, left = self.said.pop(key, (None, self.again))
        if hidden is None:
            with standing_in(self.weights, self.before):
                hidden = self.body(ids.to(self.base.device.name))
        else:
            left -= 1
        if left:
            self.said[key] = hidden, left
        return Soft(hidden=hidden, share=self.share)


def can_teach(base: Base, plan: Plan) -> bool:
    """Tell whether a bot will teach itself: heads with a bias have no such loss."""
    return plan.distill > 0 and base.model.get_output_embeddings().bias is None


class Teaching:
    """Says who teaches a step."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self._able = can_teach(stopping.base, stopping.plan)
        self._stopping = stopping
        self._teacher: Teacher | None = None

    def teacher(self, course: Standing) -> Teacher | None:
        """Return who teaches the next step; nobody, while posts are read for the first time."""
        before = self._stopping.teaching(course) if self._able else None
        if before is None:
            self._teacher = None
        elif self._teacher is None:
            self._teacher = Teacher(
                base=self._stopping.base,
                body=self._stopping.body,
                weights=self._stopping.weights,
                before=before,
                share=self._stopping.plan.distill,
                again=self._stopping.plan.members - 1,
            )
        return self._teacher

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


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """The bot as it was before it read posts again."""

    body: Body
    weights: Tensor  # that learn [count]
    before: Tensor  # that teach [count]
    share: float  # of a target, 0 to 1
    readers: int = 1  # members of an ensemble, each of which reads every batch
    # Of a batch: what was made of it, and how many have still to hear that.
    said: dict[bytes, tuple[Tensor, int]] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(self, ids: Tensor) -> Soft:
        """Return what was made of posts [posts, tokens]; all members of an ensemble say it.

        It is kept until the last of those who read it has.
        """
        key = ids.numpy().tobytes()
        known = key in self.said
        hidden, readers = self.said.pop(key) if known else (self._ask(ids), self.readers)
        if readers > 1:
            self.said[key] = hidden, readers - 1
        return Soft(hidden=hidden, share=self.share)

    def _ask(self, ids: Tensor) -> Tensor:
        with standing_in(self.weights, self.before):
            return self.body(ids.to(self.weights.device))


def teacher_of(
    stopping: EarlyStopping, course: Standing, last: Teacher | None = None
) -> Teacher | None:
    """Return who teaches the next step, `last` if it was somebody; nobody, while posts are new."""
    before = stopping.before(course)
    if before is None:
        return None
    return last or Teacher(
        body=stopping.body,
        weights=stopping.weights,
        before=before,
        share=stopping.plan.distill,
        readers=stopping.plan.members,
    )

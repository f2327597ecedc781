"""What a post teaches when it comes again: in part itself, in part what was made of it before.

A second look teaches an account's words and ways, but its very posts by heart as well. So from then
on a target is not the next token alone: a share of it is what the bot itself expected there, with
the weights that it had when it had read all posts once (Furlanello et al. 2018, "Born-Again Neural
Networks", arXiv:1805.04770; Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
arXiv:1503.02531, at temperature 1). Those weights never change: a teacher that learns along learns
the posts by heart too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mynah.early_stopping import EarlyStopping, Standing
from mynah.fast_llama import Body
from mynah.flat_parameter import standing_in
from mynah.loss import Soft
from mynah.model import Base


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """The bot as it was before it read posts again."""

    base: Base
    body: Body
    weights: Tensor  # that learn [count]
    before: Tensor  # that teach [count]
    share: float  # of a target, 0 to 1

    @torch.no_grad()
    def __call__(self, ids: Tensor) -> Soft:
        """Return what was made of posts [posts, tokens]; all members of an ensemble say it."""
        with standing_in(self.weights, self.before):
            return Soft(hidden=self.body(ids.to(self.base.device.name)), share=self.share)


def teacher_of(stopping: EarlyStopping, course: Standing) -> Teacher | None:
    """Return who teaches the next step; nobody, while posts are read for the first time."""
    base, before, share = stopping.base, stopping.teaching(course), stopping.plan.distill
    plain = base.model.get_output_embeddings().bias is None
    if before is None or not share or not plain:
        return None
    return Teacher(
        base=base, body=stopping.body, weights=stopping.weights, before=before, share=share
    )

"""Sampled softmax: the columns of a frozen head that a step of training multiplies with.

The head takes a fifth of a step's time, and nearly all of the 49,152 words of its vocabulary never
matter to one person's posts. A step therefore sums over

- every token of the posts, and those that the model finds likeliest in them: always, exactly;
- some of the rest, drawn anew at each step, each standing for as many as were not drawn.

The normaliser's estimate is unbiased, and the target is always among the exact ones (Jean et al.
2015, "On Using Very Large Target Vocabulary", arXiv:1412.2007; Bengio and Senecal 2008). Held-out
posts are judged with the whole vocabulary: this is about learning only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LIKELY = 3_072  # tokens that the posts do not have and the model expects most
_DRAWN = 2_048  # of all the rest, at each step
_PIECE = 128  # positions whose logits exist at once
_WORTH = 0.5  # with a larger share of the vocabulary than this, all of it is used


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What one step's softmax runs over; the next draw is made in the same place."""

    weight: Tensor  # [columns, width]
    correction: Tensor  # [columns], log of how many tokens a column stands for
    place: Tensor  # [vocabulary], the column of a token; of one that has none, 0


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """Which tokens take part always, and which by lot."""

    head: Tensor  # the frozen head [vocabulary, width]
    always: Tensor  # token ids, ascending
    rest: Tensor  # all others
    weight: Tensor  # the head's rows of `always`, then of those drawn last [columns, width]

    def draw(self, seed: int) -> Columns:
        """Return the columns of one step; the same seed draws the same.

        They last until the next draw: tens of megabytes are not copied, and not held twice.
        """
        generator = torch.Generator().manual_seed(seed)
        exact, weight = len(self.always), self.weight
        order = torch.randperm(len(self.rest), generator=generator)
        lot = self.rest[order[: len(weight) - exact]]
        torch.index_select(self.head, 0, lot, out=weight[exact:])
        correction = weight.new_zeros(len(weight))
        correction[exact:] = math.log(len(self.rest) / max(len(lot), 1))
        place = torch.zeros(len(self.head), dtype=torch.long, device=self.head.device)
        place[torch.cat([self.always, lot])] = torch.arange(len(weight), device=place.device)
        return Columns(weight=weight, correction=correction, place=place)


@torch.no_grad()
def choose_shortlist(
    head: Tensor, hidden: Tensor, rows: Sequence[Sequence[int]], *, likely: int = _LIKELY
) -> Shortlist | None:
    """Return the tokens that matter to posts; None where that is most of the vocabulary.

    Args:
        head: the frozen head [vocabulary, width].
        hidden: hidden states of some of the posts [positions, width]: what the model expects there.
        rows: token ids of every example.
        likely: how many of the tokens that no example has take part exactly.
    """
    own = torch.tensor(sorted({token for row in rows for token in row}), device=head.device)
    if len(own) + likely + _DRAWN > _WORTH * len(head):
        return None
    expected = torch.zeros(len(head), device=head.device)
    for start in range(0, len(hidden), _PIECE):
        piece = hidden[start : start + _PIECE]
        expected += torch.softmax((piece @ head.T).float(), dim=-1).sum(dim=0)
    expected[own] = math.inf
    order = torch.argsort(expected, descending=True, stable=True)
    always = order[: len(own) + likely].sort().values
    rest = order[len(own) + likely :].sort().values
    return make_shortlist(head, always, rest, _DRAWN)


@torch.no_grad()
def make_shortlist(head: Tensor, always: Tensor, rest: Tensor, drawn: int) -> Shortlist:
    """Return a shortlist of which nothing is drawn yet.

    Args:
        head: the frozen head [vocabulary, width].
        always: ids of tokens that take part always.
        rest: all others.
        drawn: how many of these take part in a step; all, where they are no more.
    """
    exact = len(always)
    weight = head.new_empty(exact + min(drawn, len(rest)), head.shape[1])
    torch.index_select(head, 0, always, out=weight[:exact])
    return Shortlist(head=head, always=always, rest=rest, weight=weight)

"""Adapters that learn side by side from the posts of one step, and end as one: their mean.

Two trainings from different beginnings, in different orders, go wrong in different places, and the
mean of what they add to the weights is better than either (Wortsman et al. 2022, "Model soups",
arXiv:2203.05482). Twice the time is a high price; but the frozen products of a step of twice the
posts cost far less than twice, and the members' own are thin. So each post of a step goes through
one member of the adapter (Wang et al. 2022, "AdaMix", arXiv:2205.12410, draw it for whole batches),
and once all members have had a post, it has been read by each. They begin together, in steps of
which all see all: members that part from the first step on may end in different valleys, and what
lies between is worse than either (Frankle et al. 2020, "Linear Mode Connectivity and the Lottery
Ticket Hypothesis", arXiv:1912.05671). What judges sees their mean throughout; `lora.join_members`
makes one adapter of it in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mynah.curriculum import ALL
from mynah.fast_llama import Body, FastLlama


def routes_of(posts: int, turn: int, members: int) -> Tensor | None:
    """Return which member each post of a step goes through [posts]; None: all see all.

    Over as many turns as there are members, each post goes through all of them.
    """
    return None if turn == ALL or members == 1 else (torch.arange(posts) + turn) % members


@contextmanager
def routed(body: Body, routes: Tensor | None) -> Iterator[None]:
    """Let posts go through members of their own, forward and back."""
    if routes is None:
        yield
        return
    assert isinstance(body, FastLlama)  # the plan has several members for no other
    body.routes = routes
    try:
        yield
    finally:
        body.routes = None

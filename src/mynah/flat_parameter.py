"""All numbers that are trained, as one parameter: what an optimizer does to each, it does at once.

An adapter is hundreds of small tensors, and to go through them one by one costs more than the
arithmetic ("FlatParameter", Zhao et al. 2023, "PyTorch FSDP", arXiv:2304.11277).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_PIECE = 2**18  # numbers: a megabyte, which stays in the processor's cache


@torch.no_grad()
def flatten(parameters: Iterable[nn.Parameter]) -> nn.Parameter:
    """Lay parameters of one kind and device side by side, in place, and return them as one.

    Each of them and its gradient, now 0, are views into it until `unflatten`.

    Returns:
        All numbers [count], in the order of the parameters.
    """
    held = list(parameters)
    flat = nn.Parameter(torch.cat([each.detach().flatten() for each in held]))
    flat.grad = torch.zeros_like(flat)
    sizes = [each.numel() for each in held]
    parts = torch.split(flat.data, sizes), torch.split(flat.grad, sizes)
    for each, weight, gradient in zip(held, *parts, strict=True):
        each.data, each.grad = weight.view_as(each), gradient.view_as(each)
    return flat


@torch.no_grad()
def unflatten(parameters: Iterable[nn.Parameter]) -> None:
    """Give each parameter memory of its own again, and no gradient."""
    for each in parameters:
        each.data, each.grad = each.data.clone(), None


def gradient_of(flat: nn.Parameter) -> Tensor:
    """Return the gradient of flat weights, which always have one."""
    assert flat.grad is not None
    return flat.grad


@contextmanager
def standing_in(weights: Tensor, others: Tensor) -> Iterator[None]:
    """Let flat weights have the values of others [count] for a while, and these have theirs."""
    _swap(weights, others)
    try:
        yield
    finally:
        _swap(weights, others)


def _swap(one: Tensor, other: Tensor) -> None:
    """Exchange values, a piece at a time: no copy of them all is ever held."""
    for mine, yours in zip(torch.split(one, _PIECE), torch.split(other, _PIECE), strict=True):
        held = mine.clone()
        mine.copy_(yours)
        yours.copy_(held)

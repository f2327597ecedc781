"""Many parameters as one, and apart again."""

from __future__ import annotations

import torch
from torch import nn

from mynah.flat_parameter import flatten, gradient_of, unflatten


def two() -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]])), nn.Parameter(torch.tensor([5.0]))]


def test_what_is_done_to_all_is_done_to_each() -> None:
    held = two()
    flat = flatten(held)
    assert flat.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    with torch.no_grad():
        flat += 1
    assert [each.tolist() for each in held] == [[[2.0, 3.0], [4.0, 5.0]], [6.0]]


def test_gradients_of_each_are_those_of_all() -> None:
    first, second = held = two()
    flat = flatten(held)
    for _ in range(2):
        (3 * first.sum() + 5 * second.sum()).backward()
    assert gradient_of(flat).tolist() == [6.0, 6.0, 6.0, 6.0, 10.0]


def test_apart_again_they_share_nothing() -> None:
    held = two()
    flat = flatten(held)
    unflatten(held)
    with torch.no_grad():
        flat += 1
    assert [each.tolist() for each in held] == [[[1.0, 2.0], [3.0, 4.0]], [5.0]]
    assert [each.grad for each in held] == [None, None]


def test_laid_out_twice_they_follow_the_second() -> None:
    held = two()
    flatten(held)
    flat = flatten(held)
    held[1].sum().backward()
    assert gradient_of(flat).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]

"""Looking at two parts of a text apart, and putting together what was seen: against one softmax."""

from __future__ import annotations

import pytest
import torch

from mynah.laid_out import look, look_plainly, together


@pytest.fixture
def parts() -> tuple[torch.Tensor, ...]:
    """Return queries [2, 3, 5, 8], keys and values of 7 tokens, and a mask over them."""
    dice = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, generator=dice) for n in (5, 7, 7))
    mask = torch.zeros(1, 1, 5, 7)
    mask[..., 0, 3:] = -torch.inf
    return q, k, v, mask


def test_torchs_operator_and_the_plain_products_see_the_same(
    parts: tuple[torch.Tensor, ...],
) -> None:
    for mask in (None, parts[3]):
        for one, other in zip(look(*parts[:3], mask), look_plainly(*parts[:3], mask), strict=True):
            torch.testing.assert_close(one, other)


def test_two_halves_put_together_are_one_softmax(parts: tuple[torch.Tensor, ...]) -> None:
    q, k, v, mask = parts
    halves = [look(q, k[..., at, :], v[..., at, :]) for at in (slice(0, 3), slice(3, 7))]
    scores = q @ k.transpose(-1, -2) / 8**0.5
    torch.testing.assert_close(together(*halves), scores.softmax(-1) @ v)
    assert not torch.allclose(look(q, k, v, mask)[0], scores.softmax(-1) @ v), "the mask counts"

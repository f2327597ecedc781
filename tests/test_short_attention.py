"""Attention of short posts: what torch's own attention computes, forward and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mynah.rotary import rotary, turn
from mynah.short_attention import Shape, attend, attend_back, tables_of

SHAPE = Shape(posts=3, length=7, heads=6, groups=2, head=8)
ROWS = 24  # three more than the posts have
THETA = 10_000.0


def drawn(width: int, seed: int) -> Tensor:
    return torch.randn(ROWS, width, generator=torch.Generator().manual_seed(seed))


def reference(qkv: Tensor, shape: Shape) -> Tensor:
    """Return what scaled_dot_product_attention gathers [tokens, heads x head]."""
    posts, length, heads, groups, head = shape
    rows = qkv[: posts * length].view(posts, length, heads + 2 * groups, head)
    q, k, v = torch.split(rows, [heads, groups, groups], dim=2)
    cosine, sine = rotary(length, head, THETA)
    q, k = turn(q, cosine, sine), turn(k, cosine, sine)
    out = nn.functional.scaled_dot_product_attention(
        *(each.transpose(1, 2) for each in (q, k, v)), is_causal=True, enable_gqa=True
    )
    return out.transpose(1, 2).reshape(posts * length, heads * head)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_it_gathers_and_goes_back_as_torch_does(groups: int) -> None:
    shape = SHAPE._replace(groups=groups)
    real = shape.posts * shape.length
    qkv = drawn((shape.heads + 2 * groups) * shape.head, 1)
    d = drawn(shape.heads * shape.head, 2)
    tables = tables_of(shape, THETA, qkv.device)
    out, seen = attend(qkv, shape, tables)
    d_qkv = attend_back(d, seen, shape, tables)

    qkv.requires_grad_()
    wanted = reference(qkv, shape)
    wanted.backward(d[:real])
    assert qkv.grad is not None
    torch.testing.assert_close(out[:real], wanted.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(d_qkv[:real], qkv.grad[:real], rtol=1e-4, atol=1e-5)


def test_rows_after_the_posts_neither_give_nor_get_anything() -> None:
    real = SHAPE.posts * SHAPE.length
    tables = tables_of(SHAPE, THETA, torch.device("cpu"))
    found = []
    for seed in (3, 4):
        qkv, d = drawn(80, 1), drawn(48, 2)
        qkv[real:] = drawn(80, seed)[real:]
        d[real:] = drawn(48, seed)[real:]
        out, seen = attend(qkv, SHAPE, tables)
        found.append((out, attend_back(d, seen, SHAPE, tables)))
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)
        assert not first[real:].any()


def test_what_is_gathered_has_the_precision_of_what_was_given() -> None:
    tables = tables_of(SHAPE, THETA, torch.device("cpu"))
    qkv = drawn(80, 1)
    out, seen = attend(qkv.bfloat16(), SHAPE, tables)
    back = attend_back(drawn(48, 2).bfloat16(), seen, SHAPE, tables)
    assert out.dtype == back.dtype == torch.bfloat16
    exact = attend(qkv.bfloat16().float(), SHAPE, tables)[0]
    assert torch.equal(out, exact.bfloat16())

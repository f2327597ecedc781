"""Attention of short posts, forward and back: plain batched products of small matrices in fp32.

For posts of 30 tokens a tiled kernel's own bookkeeping costs more than the scores, and its backward
pass ten times more. In fp32, since the lower precision would have a library write a kernel for each
length of posts, which takes it longer than all products with it.

Queries that look at the same keys are one matrix: heads are grouped as their keys are (Ainslie et
al. 2023, "GQA", arXiv:2305.13245).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mynah.rotary import rotary


class Shape(NamedTuple):
    """What attention has to know of its rows."""

    posts: int
    length: int  # tokens of each, padding included
    heads: int  # of queries
    groups: int  # heads of keys, each for as many of queries
    head: int  # width of one

    @property
    def several(self) -> int:
        """Return how many heads of queries look at the same keys."""
        return self.heads // self.groups


class Tables(NamedTuple):
    """What depends on where a token stands alone; fp32."""

    cosine: Tensor  # [heads a group + 1, tokens, head], those of queries by 1 / sqrt(head)
    sine: Tensor  # the same of half a head [heads a group + 1, tokens, head / 2]
    mask: Tensor  # causal, [1, heads a group x tokens, tokens]


class Seen(NamedTuple):
    """What the way back needs."""

    turned: Tensor  # queries and their keys [posts, groups, heads a group + 1, tokens, head]
    values: Tensor  # [posts x groups, tokens, head]
    chance: Tensor  # [posts x groups, heads a group x tokens, tokens]


def tables_of(shape: Shape, theta: float, device: torch.device) -> Tables:
    """Return the tables for posts of a length."""
    cosine, sine = (each.squeeze(1) for each in rotary(shape.length, shape.head, theta, device))
    scale = torch.full((shape.several + 1, 1, 1), 1 / math.sqrt(shape.head), device=device)
    scale[-1] = 1  # the keys
    mask = torch.full((shape.length, shape.length), -math.inf, device=device).triu_(1)
    return Tables(
        cosine=torch.cat([cosine, cosine], dim=-1) * scale,
        sine=sine * scale,
        mask=mask.repeat(shape.several, 1)[None],
    )


def attend(qkv: Tensor, shape: Shape, tables: Tables) -> tuple[Tensor, Seen]:
    """Return what each token gathers, and what the way back needs.

    Args:
        qkv: queries, keys and values [rows, (heads + 2 groups) x head]; rows after those of the
            posts are not looked at.
        shape: how many posts of which length, and the heads.
        tables: for that length.

    Returns:
        [rows, heads x head] in the precision of `qkv`, 0 after the posts.
    """
    parts = torch.empty(_grouped(shape, shape.several + 1), device=qkv.device)
    values = torch.empty(_grouped(shape, 1), device=qkv.device)
    q, k, v = _parts(qkv, shape)
    parts[:, :, :-1].copy_(q)
    parts[:, :, -1:].copy_(k)
    values.copy_(v)
    values = values.view(-1, shape.length, shape.head)
    turned = _turned(parts, tables.cosine, tables.sine)
    q, k = _pair(turned, shape)
    chance = torch.softmax(torch.baddbmm(tables.mask, q, k.mT), dim=-1)
    gathered = (chance @ values).view(_grouped(shape, shape.several))
    out = qkv.new_empty(len(qkv), shape.heads * shape.head)
    out[shape.posts * shape.length :] = 0
    _by_group(out, shape, shape.several).copy_(gathered)
    return out, Seen(turned, values, chance)


def attend_back(d: Tensor, seen: Seen, shape: Shape, tables: Tables) -> Tensor:
    """Return the gradient of `qkv` from that of what was gathered [rows, heads x head]."""
    q, k = _pair(seen.turned, shape)
    d_gathered = torch.empty(_grouped(shape, shape.several), device=d.device)
    d_gathered.copy_(_by_group(d, shape, shape.several))
    d_gathered = d_gathered.view(q.shape)
    d_chance = d_gathered @ seen.values.mT
    d_scores = torch._softmax_backward_data(d_chance, seen.chance, -1, d_chance.dtype)
    d_parts = torch.empty_like(seen.turned)
    d_q, d_k = _pair(d_parts, shape)
    torch.bmm(d_scores, k, out=d_q)
    torch.bmm(d_scores.mT, q, out=d_k)
    d_parts = _turned(d_parts, tables.cosine, -tables.sine)
    out = d.new_empty(len(d), (shape.heads + 2 * shape.groups) * shape.head)
    out[shape.posts * shape.length :] = 0
    into_q, into_k, into_v = _parts(out, shape)
    into_q.copy_(d_parts[:, :, :-1])
    into_k.copy_(d_parts[:, :, -1:])
    into_v.copy_((seen.chance.mT @ d_gathered).view(_grouped(shape, 1)))
    return out


def _grouped(shape: Shape, heads: int) -> tuple[int, ...]:
    return shape.posts, shape.groups, heads, shape.length, shape.head


def _parts(qkv: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Return views of queries, keys and values, each [posts, groups, its heads, tokens, head]."""
    widths = [shape.heads * shape.head, *[shape.groups * shape.head] * 2]
    q, k, v = torch.split(qkv, widths, dim=1)
    return _by_group(q, shape, shape.several), _by_group(k, shape, 1), _by_group(v, shape, 1)


def _by_group(x: Tensor, shape: Shape, heads: int) -> Tensor:
    """Return a view [posts, groups, heads, tokens, head] of [rows, groups x heads x head]."""
    posts, length, _, groups, head = shape
    rows = x[: posts * length].view(posts, length, groups, heads, head)
    return rows.permute(0, 2, 3, 1, 4)


def _pair(turned: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Return views of queries [posts x groups, heads a group x tokens, head], and of keys."""
    rows = turned.view(shape.posts * shape.groups, -1, shape.head)
    return rows[:, : -shape.length], rows[:, -shape.length :]


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate each head by its position; by minus the sine, back again."""
    out = x * cosine
    first, second = x.chunk(2, dim=-1)
    into_first, into_second = out.chunk(2, dim=-1)
    into_first.addcmul_(second, sine, value=-1)
    into_second.addcmul_(first, sine)
    return out

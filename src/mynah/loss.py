"""Bits per byte: the loss that everyone can compare, whatever the tokenizer.

    bits per byte = sum of -log2 p(token | tokens before) / number of UTF-8 bytes of the text

Cross-entropy a token depends on how long the tokenizer's tokens are; bits a byte do not (Gao et
al. 2020, "The Pile", arXiv:2101.00027, section 3.1). The post's own end token counts: a model that
does not know when a post is over pays for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mynah.fast_llama import Body, body_of, whole_rows
from mynah.shortlist import Columns

IGNORE = -100  # targets at padded places
_ROWS = 256  # rows of logits that exist at once: 256 x 49,152 bf16 numbers are 25 MB
_LOGITS = _ROWS * 49_152
_NEAR = 16  # rows of logits in fp32 at once


@dataclass(frozen=True, kw_only=True)
class Soft:
    """What is learned of a target besides the target itself."""

    hidden: Tensor  # what tells all tokens' chances there [posts, tokens, width] or [rows, width]
    share: float  # how much of the target they are


def pad(rows: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Return inputs and next-token targets [rows, longest - 1], targets IGNORE where padded."""
    width = max(len(row) for row in rows) - 1
    inputs = torch.full((len(rows), width), filler)
    targets = torch.full((len(rows), width), IGNORE)
    for at, row in enumerate(rows):
        length = len(row) - 1
        inputs[at, :length] = torch.tensor(row[:-1])
        targets[at, :length] = torch.tensor(row[1:])
    return inputs, targets


class _HeadLoss(torch.autograd.Function):
    """Sum of cross-entropies through a frozen head, in pieces.

    The gradient of the hidden states is worked out with the loss, piece by piece, so that the
    logits of all positions never exist at once and the softmax is computed only once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        correction: Tensor | None,
        soft: Soft | None,
    ) -> Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = _LOGITS // len(weight)
        for start in range(0, len(hidden), rows):
            piece = slice(start, start + rows)
            chance = _chances(hidden[piece], weight, correction)
            wanted = targets[piece]
            at = torch.arange(len(wanted), device=chance.device), wanted
            total -= chance[at].float().clamp_min(1e-30).log().sum()
            if soft:
                said = _chances(soft.hidden[piece], weight, correction)
                chance.sub_(said, alpha=soft.share)
            chance[at] -= 1 - soft.share if soft else 1
            torch.mm(chance, weight, out=gradient[piece])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * scale.to(gradient.dtype), None, None, None, None


def _chances(hidden: Tensor, weight: Tensor, correction: Tensor | None) -> Tensor:
    """Return the softmax of hidden states [rows, width] over a head's rows [rows, columns]."""
    logits = hidden @ weight.T
    if correction is not None:
        logits += correction
    return torch.softmax(logits, dim=-1)


def training_loss(
    model: Any,
    body: Body,
    ids: Tensor,
    targets: Tensor,
    columns: Columns | None = None,
    soft: Soft | None = None,
) -> Tensor:
    """Return the sum of cross-entropies in nats over real targets [posts, tokens].

    Args:
        model: whose head goes from a hidden state to logits.
        body: what computes hidden states.
        ids: tokens [posts, tokens].
        targets: the next ones, IGNORE where padded.
        columns: a part of the vocabulary, for an estimate; None: all of it.
        soft: what stands for a share of each target in the gradient; the sum is of the targets.
    """
    hidden = body(ids)
    real = targets != IGNORE
    head = model.get_output_embeddings()
    if head.weight.requires_grad or head.bias is not None:
        assert soft is None  # the plan knows of such heads
        logits = head(hidden[real]).float()
        return nn.functional.cross_entropy(logits, targets[real], reduction="sum")
    wanted = targets[real]
    weight, correction = head.weight, None
    if columns is not None:
        weight, correction, wanted = columns.weight, columns.correction, columns.place[wanted]
    rows = whole_rows(hidden[real])  # nothing is wanted of those behind
    if soft:
        soft = Soft(hidden=whole_rows(soft.hidden[real]), share=soft.share)
    loss: Tensor = _HeadLoss.apply(rows, weight, wanted, correction, soft)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def post_nats(
    model: Any,
    rows: Sequence[Sequence[int]],
    filler: int,
    budget: int,
    body: Body | None = None,
) -> Tensor:
    """Return -log p of each post in nats, fp32 [posts].

    Args:
        model: a causal language model.
        rows: token ids, each opening and ending with the separator.
        filler: id to pad with.
        budget: padded tokens that go through the model at once.
        body: what computes its hidden states, if not in the model's own precision.
    """
    body = body or body_of(model, int8=False)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    nats = torch.zeros(len(rows), dtype=torch.float32)
    for group in groups(order, rows, budget):
        ids, targets = pad([rows[at] for at in group], filler)
        hidden = body(ids.to(model.device))
        nats[group] = row_nats(model, hidden, targets.to(model.device)).cpu()
    return nats


def row_nats(model: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of cross-entropies of each row, exact in fp32, [rows].

    Args:
        model: whose head goes from a hidden state to logits.
        hidden: [rows, tokens, width].
        targets: [rows, tokens], IGNORE where padded.
    """
    head, real = model.get_output_embeddings(), targets != IGNORE
    flat, wanted = hidden[real], targets[real]
    pieces = [
        _nats(head(flat[start : start + _ROWS]), wanted[start : start + _ROWS])
        for start in range(0, len(flat), _ROWS)
    ]
    spread = torch.zeros(targets.shape, dtype=torch.float32, device=targets.device)
    spread[real] = torch.cat(pieces)
    return spread.sum(dim=1)


def _nats(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return cross-entropies in fp32; a few rows at a time stay in the processor's cache."""
    parts = zip(torch.split(logits, _NEAR), torch.split(wanted, _NEAR), strict=True)
    return torch.cat(
        [nn.functional.cross_entropy(part.float(), of, reduction="none") for part, of in parts]
    )


def groups(order: Sequence[int], rows: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """Return rows in groups of no more than `budget` padded tokens, in the order given."""
    groups: list[list[int]] = [[]]
    for at in order:
        group = groups[-1]
        if group and (len(group) + 1) * len(rows[at]) > budget:
            groups.append(group := [])
        group.append(at)
    return [group for group in groups if group]


def bits_per_byte(nats: Tensor, texts: Sequence[str]) -> float:
    """Return the bits a byte of posts that cost `nats` [posts]."""
    total = sum(len(text.encode()) for text in texts)
    return float(nats.sum()) / math.log(2) / total

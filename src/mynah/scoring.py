"""What a model makes of given texts, beside their cost: see `loss` for that."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mynah.fast_llama import Body, body_of
from mynah.loss import IGNORE, groups, pad, row_nats

_CACHED = 4_096  # tokens of a group whose keys and values are kept, those before it included


@torch.no_grad()
def nats_after(
    model: Any, shown: Sequence[int], rows: Sequence[Sequence[int]], filler: int
) -> list[float]:
    """Return -log p of each row after the tokens shown, in nats.

    What was shown is read once: its keys and values stand before all rows of a group.

    Args:
        model: a causal language model.
        shown: token ids, the opening separator first.
        rows: token ids of each text, its end last.
        filler: id to pad with.
    """
    before = torch.tensor([shown[:-1]], device=model.device)
    cache = model.base_model(input_ids=before, use_cache=True).past_key_values
    whole = [[shown[-1], *row] for row in rows]
    nats = torch.zeros(len(rows))
    for group in _beside(whole, len(shown)):
        ids, targets = pad([whole[at] for at in group], filler)
        own = copy.deepcopy(cache)
        own.batch_repeat_interleave(len(group))
        out = model.base_model(input_ids=ids.to(model.device), past_key_values=own, use_cache=True)
        nats[group] = row_nats(model, out.last_hidden_state, targets.to(model.device)).cpu()
    return [float(each) for each in nats]


def _beside(rows: Sequence[Sequence[int]], shown: int) -> list[list[int]]:
    """Return rows in groups of like length whose cache is not too large."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    return groups(order, [range(shown + len(row)) for row in rows], _CACHED)


@torch.no_grad()
def completed(
    model: Any, pairs: Sequence[tuple[list[int], list[int]]], filler: int, budget: int
) -> list[bool]:
    """Tell for each text whether the likeliest continuation of its beginning is its rest.

    Nothing is drawn: greedy decoding gives the rest exactly when each of its tokens is the
    likeliest after those before it, which one pass over the text shows. Most texts part ways at
    the first token, so that one is looked at alone before the others.

    Args:
        model: a causal language model.
        pairs: token ids of each beginning, the separator first, and of the rest.
        filler: id to pad with.
        budget: padded tokens that go through the model at once.
    """
    body, found = body_of(model, int8=False), [False] * len(pairs)
    alive = list(range(len(pairs)))
    for most in (1, None):
        cut = [(pairs[at][0], pairs[at][1][:most]) for at in alive]
        right = _greedy(model, body, cut, filler, budget)
        alive = [at for at, same in zip(alive, right, strict=True) if same]
    for at in alive:
        found[at] = True
    return found


def _greedy(
    model: Any,
    body: Body,
    pairs: Sequence[tuple[list[int], list[int]]],
    filler: int,
    budget: int,
) -> list[bool]:
    """Tell for each pair whether every token of its rest is the likeliest."""
    rows = [[*first, *rest] for first, rest in pairs]
    right = [False] * len(rows)
    for group in groups(sorted(range(len(rows)), key=lambda at: len(rows[at])), rows, budget):
        ids, targets = pad([rows[at] for at in group], filler)
        for line, at in enumerate(group):
            targets[line, : len(pairs[at][0]) - 1] = IGNORE
        likeliest = _likeliest(model, body(ids.to(model.device)), targets.to(model.device))
        same = (likeliest == targets.to(model.device)).all(dim=1).tolist()
        for at, each in zip(group, same, strict=True):
            right[at] = each
    return right


def _likeliest(model: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the likeliest token where there is a target, IGNORE elsewhere, [rows, tokens]."""
    real = targets != IGNORE
    found = torch.full_like(targets, IGNORE)
    found[real] = model.get_output_embeddings()(hidden[real]).argmax(dim=-1)
    return found


@torch.no_grad()
def last_states(model: Any, rows: Sequence[Sequence[int]], filler: int, budget: int) -> Any:
    """Return the hidden state at the end of each row as numpy, fp32 [rows, width]."""
    body, order = body_of(model, int8=False), sorted(range(len(rows)), key=lambda at: len(rows[at]))
    states = torch.zeros(len(rows), model.config.hidden_size)
    for group in groups(order, rows, budget):
        ids, _ = pad([[*rows[at], filler] for at in group], filler)
        hidden = body(ids.to(model.device))
        ends = torch.tensor([len(rows[at]) - 1 for at in group])
        states[group] = hidden[torch.arange(len(group)), ends].float().cpu()
    return states.numpy()

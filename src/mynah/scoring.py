"""What a model makes of given texts, beside their cost: see `loss` for that."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mynah.fast_llama import Body, body_of, supports
from mynah.laid_out import Reader, causal, look, together
from mynah.loss import IGNORE, groups, pad, row_nats

_CACHED = 4_096  # tokens of a group whose keys and values are kept, those before it included


@torch.no_grad()
def nats_after(
    model: Any, shown: Sequence[int], rows: Sequence[Sequence[int]], filler: int, budget: int
) -> list[float]:
    """Return -log p of each row after the tokens shown, in nats.

    What was shown is read once: its keys and values stand before all rows.

    Args:
        model: a causal language model.
        shown: token ids, two at least, the opening separator first.
        rows: token ids of each text, its end last.
        filler: id to pad with.
        budget: padded tokens that go through the model at once.
    """
    whole = [[shown[-1], *row] for row in rows]
    order, nats = sorted(range(len(whole)), key=lambda at: len(whole[at])), torch.zeros(len(rows))
    if supports(model) and model.device.type == "cpu":
        body, sizes = _after(model, shown[:-1], max(map(len, whole)), budget), whole
    else:  # there the cache is repeated for each row, so that its size counts as well
        body, budget = _after_cache(model, shown[:-1]), max(budget, _CACHED)
        sizes = [[*shown, *row] for row in rows]
    for group in groups(order, sizes, budget):
        ids, targets = pad([whole[at] for at in group], filler)
        hidden = body(ids.to(model.device))
        nats[group] = row_nats(model, hidden, targets.to(model.device)).cpu()
    return [float(each) for each in nats]


def _after(model: Any, start: Sequence[int], longest: int, budget: int) -> Body:
    """Return a Llama's body for posts that all come after one beginning."""
    reader = Reader(model, start, budget, len(start) + longest)
    groups, width = reader.groups, reader.width

    def body(ids: Tensor) -> Tensor:
        posts, tokens = ids.shape
        mask = causal(tokens, model.config.num_attention_heads // groups, model.dtype)

        def attend(at: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q = q.view(posts, tokens, groups, -1, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
            k, v = (each.view(posts, tokens, groups, width).transpose(1, 2) for each in (k, v))
            seen = together(look(q, k, v, mask), reader.look_back(at, q))
            seen = seen.view(posts, groups, -1, tokens, width).permute(0, 3, 1, 2, 4)
            return seen.reshape(posts * tokens, -1)

        positions = (reader.begun + torch.arange(tokens)).repeat(posts)
        return reader.read(ids.flatten(), positions, attend).view(posts, tokens, -1)

    return body


def _after_cache(model: Any, start: Sequence[int]) -> Body:
    """Return the body of any model, with transformers' cache of the beginning."""
    before = torch.tensor([list(start)], device=model.device)
    cache = model.base_model(input_ids=before, use_cache=True).cache

    def body(ids: Tensor) -> Tensor:
        own = copy.deepcopy(cache)
        own.batch_repeat_interleave(len(ids))
        out = model.base_model(input_ids=ids, cache=own, use_cache=True)
        hidden: Tensor = out.last_hidden_state
        return hidden

    return body


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

"""Many texts side by side in a Llama on a CPU, each grown by a token at a time.

What transformers does with a cache, written out: all texts begin alike, so the keys and values of
that beginning are kept once and read by all of them in one product; a text that is over leaves its
place to the next one at once. Shared beginnings: Juravsky et al. 2024 (arXiv:2402.05099).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mynah.model import Base
from mynah.rotary import rotary, turn
from mynah.sampling import Logits

CACHED = 8_192  # tokens of all texts together whose keys and values are kept at once


class FastRows:
    """Texts in a Llama whose adapter is merged; see `fast_llama.supports`."""

    @torch.no_grad()
    def __init__(self, bot: Base, start: Sequence[int], rows: int, length: int) -> None:
        """Read the beginning.

        Args:
            bot: the bot.
            start: token ids that all texts begin with.
            rows: how many texts at most.
            length: most tokens of a text, its beginning included.
        """
        model, config = bot.model, bot.model.config
        self._layers, self._norm = model.model.layers, model.model.norm
        self._embed, self._head = model.model.embed_tokens, model.lm_head
        self._groups = config.num_key_value_heads
        self._width = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        tables = rotary(length, self._width, config.rope_parameters["rope_theta"])
        self._turns = [table.to(model.dtype) for table in tables]
        self._begun = len(start)
        out = model(input_ids=torch.tensor([list(start)]), use_cache=True, logits_to_keep=1)
        self.first: Logits = out.logits[0, -1].float().numpy()
        self._shared = [(each.keys[0], each.values[0]) for each in out.past_key_values.layers]
        own = max(1, length - len(start))
        rows = min(rows, max(1, CACHED // own))
        shape = (len(self._layers), rows, self._groups, own, self._width)
        self._keys = torch.zeros(shape, dtype=model.dtype)
        self._values = torch.zeros(shape, dtype=model.dtype)
        self._lengths = torch.zeros(rows, dtype=torch.long)
        self._places: list[int] = []  # the row in each place of the cache
        self._free = list(range(rows, 0, -1))

    def join(self) -> int | None:
        """Return a new row, or None while there is no room."""
        if not self._free:
            return None
        row = self._free.pop()
        self._lengths[len(self._places)] = 0
        self._places.append(row)
        return row

    def read(self, tokens: Mapping[int, int]) -> Mapping[int, Logits]:
        """Read the next token of some rows; the other rows leave."""
        for place in reversed(range(len(self._places))):
            if self._places[place] not in tokens:
                self._leave(place)
        if not tokens:
            return {}
        ids = torch.tensor([tokens[row] for row in self._places])
        return dict(zip(self._places, self._step(ids), strict=True))

    def _leave(self, place: int) -> None:
        """Give the last text the place of one that is over."""
        self._free.append(self._places[place])
        last, length = len(self._places) - 1, int(self._lengths[len(self._places) - 1])
        if place != last:
            for cache in (self._keys, self._values):
                cache[:, place, :, :length] = cache[:, last, :, :length]
            self._lengths[place] = length
            self._places[place] = self._places[last]
        self._places.pop()

    @torch.no_grad()
    def _step(self, ids: Tensor) -> Any:
        """Return the logits after one more token of each text, [texts, vocabulary], fp32."""
        count = len(ids)
        lengths = self._lengths[:count]
        longest = int(lengths.max()) + 1
        turned = [table[self._begun + lengths] for table in self._turns]
        unseen = torch.arange(longest) > lengths[:, None]
        hidden = self._embed(ids)
        for at, layer in enumerate(self._layers):
            hidden = hidden + self._attend(at, layer, layer.input_layernorm(hidden), turned, unseen)
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        lengths += 1
        return self._head(self._norm(hidden)).float().numpy()

    def _attend(
        self, at: int, layer: Any, normed: Tensor, turned: Sequence[Tensor], unseen: Tensor
    ) -> Tensor:
        """Return what a layer's attention adds; keys and values of the new tokens are kept."""
        count, longest = unseen.shape
        attention, heads = layer.self_attn, (count, -1, self._width)
        q = turn(attention.q_proj(normed).view(heads), *turned) / math.sqrt(self._width)
        k = turn(attention.k_proj(normed).view(heads), *turned)
        texts, lengths = torch.arange(count), self._lengths[:count]
        self._keys[at][texts, :, lengths] = k
        self._values[at][texts, :, lengths] = attention.v_proj(normed).view(heads)
        q = q.view(count, self._groups, -1, self._width)
        keys, values = (cache[at, :count, :, :longest] for cache in (self._keys, self._values))
        shared_keys, shared_values = self._shared[at]
        own = (q @ keys.mT).masked_fill_(unseen[:, None, None], -math.inf)
        scores = torch.cat((_over_all(q, shared_keys.mT), own), dim=-1)
        chance = torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        begun = chance[..., : self._begun]
        mixed = _over_all(begun, shared_values) + chance[..., self._begun :] @ values
        out: Tensor = attention.o_proj(mixed.reshape(count, -1))
        return out


def _over_all(texts: Tensor, shared: Tensor) -> Tensor:
    """Return [texts, groups, heads, n] @ [groups, n, m] with one product a group for all texts."""
    count, groups, heads, _ = texts.shape
    together = texts.transpose(0, 1).reshape(groups, count * heads, -1) @ shared
    return together.view(groups, count, heads, -1).transpose(0, 1)

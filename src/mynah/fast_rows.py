"""Many texts side by side in a Llama on a CPU, each grown by a token at a time.

What transformers does with a cache, written out: all texts begin alike, so the keys and values of
that beginning are kept once and read by all of them in one product; a text that is over leaves its
place to the next one at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mynah.laid_out import Reader, laid_out, look, together
from mynah.model import Base
from mynah.sampling import Logits

CACHED = 8_192  # tokens of all texts together whose keys and values are kept at once


class FastRows:
    """Texts in a Llama; see `fast_llama.supports`."""

    @torch.no_grad()
    def __init__(self, bot: Base, start: Sequence[int], rows: int, length: int) -> None:
        """Read the beginning.

        Args:
            bot: the bot.
            start: token ids that all texts begin with.
            rows: how many texts at most.
            length: most tokens of a text, its beginning included.
        """
        own = max(1, length - len(start))
        rows = min(rows, max(1, CACHED // own))
        self._reader = reader = Reader(bot.model, start, rows, length)
        self._head = laid_out(bot.model.lm_head.weight.detach(), rows)
        self.first: Logits = reader.first.numpy()
        shape = (len(reader.blocks), rows, reader.groups, own, reader.width)
        self._keys = torch.zeros(shape, dtype=bot.model.dtype)
        self._values = torch.zeros(shape, dtype=bot.model.dtype)
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
        reader, count = self._reader, len(ids)
        lengths, texts = self._lengths[:count], torch.arange(count)
        longest = int(lengths.max()) + 1
        unseen = torch.arange(longest) > lengths[:, None]
        mask = torch.zeros(unseen.shape, dtype=self._keys.dtype)
        mask = mask.masked_fill_(unseen, -math.inf)[:, None, None]

        def attend(at: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self._keys[at][texts, :, lengths] = k
            self._values[at][texts, :, lengths] = v
            q = q.view(count, reader.groups, -1, reader.width)
            keys, values = (cache[at, :count, :, :longest] for cache in (self._keys, self._values))
            own = look(q, keys, values, mask)
            return together(own, reader.look_back(at, q)).reshape(count, -1)

        hidden = reader.read(ids, reader.begun + lengths, attend)
        lengths += 1
        return self._head(hidden).float().numpy()

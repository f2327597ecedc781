"""Speaking through torch and transformers: any base, any device; the reference for the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mynah.fast_llama import supports
from mynah.fast_rows import CACHED, FastRows
from mynah.model import Base
from mynah.sampling import Logits

_MANY, _FEW = 96, 32  # rows: each more costs little where it is written out, and much else


class TorchEngine:
    """A loaded bot, its adapter merged."""

    def __init__(self, bot: Base) -> None:
        self.bot = bot
        self.separator = bot.separator
        self.longest = bot.context
        dtype = str(bot.device.dtype).removeprefix("torch.")
        self.name = f"torch on {bot.device.name} in {dtype}"
        self.fast = bot.device.name == "cpu" and supports(bot.model)
        self.at_once = _MANY if self.fast else _FEW

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, nothing put before it."""
        ids: list[int] = self.bot.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        text: str = self.bot.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def begin(self, start: Sequence[int], rows: int, length: int) -> FastRows | TorchRows:
        """Return rows that all begin with `start` and grow to `length` tokens at most."""
        if self.fast:
            return FastRows(self.bot, start, rows, length)
        return TorchRows(self.bot, start, min(rows, max(1, CACHED // length)))


class TorchRows:
    """Texts side by side in transformers' cache; new ones join only when all others have left."""

    def __init__(self, bot: Base, start: Sequence[int], rows: int) -> None:
        self._model, self._rows = bot.model, rows
        self._waiting: list[int] = []  # joined, no token read yet
        self._order: list[int] = []  # row of each line of the cache
        self._cache: Any = None
        self._prompt, [self.first] = self._read([list(start)], None)

    @torch.inference_mode()
    def _read(self, ids: Sequence[Sequence[int]], cache: Any) -> tuple[Any, Logits]:
        given = torch.tensor(ids, device=self._model.device)
        out = self._model(input_ids=given, cache=cache, use_cache=True, logits_to_keep=1)
        logits: Logits = out.logits[:, -1].float().cpu().numpy()
        return out.cache, logits

    def join(self) -> int | None:
        """Return a new row, or None while there is no room."""
        if self._order or len(self._waiting) == self._rows:
            return None
        self._waiting.append(len(self._waiting))
        return self._waiting[-1]

    def read(self, tokens: Mapping[int, int]) -> Mapping[int, Logits]:
        """Read the next token of some rows; the other rows leave."""
        if self._waiting:
            self._order, self._waiting = self._waiting, []
            self._cache = copy.deepcopy(self._prompt)
            self._cache.batch_repeat_interleave(len(self._order))
        stay = [at for at, row in enumerate(self._order) if row in tokens]
        if 0 < len(stay) < len(self._order):
            self._cache.batch_select_indices(torch.tensor(stay))
        self._order = [self._order[at] for at in stay]
        if not self._order:
            return {}
        self._cache, logits = self._read([[tokens[row]] for row in self._order], self._cache)
        return dict(zip(self._order, logits, strict=True))

"""The texts that are compared: the bot's, the floors', and the person's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from mynah.evaluation.figure import BOT, PERSON

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """All texts of one report, in the order in which they were written or drawn."""

    learned: Sequence[str]  # what the bot learned from
    held_out: Sequence[str]  # the person's own, which it never saw
    bot: Sequence[str]
    floors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def sets(self, fewest: int = 1) -> dict[str, Sequence[str]]:
        """Return what is held against `learned`: bot, floors and person with texts enough."""
        every = {BOT: self.bot, **self.floors, PERSON: self.held_out}
        return {name: own for name, own in every.items() if len(own) >= max(fewest, 1)}


def too_few(texts: Texts, fewest: int) -> str:
    """Return which of the two that matter most has too few texts, in words; empty if none."""
    if len(texts.bot) < fewest:
        return f"It needs {fewest} posts by the bot, and {len(texts.bot)} were drawn."
    if len(texts.held_out) < fewest:
        return f"It needs {fewest} held-out posts, and there are {len(texts.held_out)}."
    return ""


def count_within(texts: Sequence[str], most: int) -> int:
    """Return how many of the texts, if all were of their mean length, have `most` bytes in all."""
    total = sum(len(text.encode()) for text in texts)
    return len(texts) if total <= most else max(1, len(texts) * most // total)


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` items at even distances, so that all times and accounts are in."""
    if len(items) <= most:
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, most).round().astype(int)]

"""Real or bot? Pairs of a real post and a generated one, and what the answers are worth.

Nothing here reads a file or asks anybody, so that a terminal and a page can share it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mynah.intervals import wilson

# Two posts are of like length where they differ by this share of the real one, or by this much.
_UNLIKE_SHARE = 0.15
_UNLIKE_CHARACTERS = 6


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A real post and a generated one, in the order in which they are shown."""

    real: str
    generated: str
    real_first: bool

    @property
    def shown(self) -> tuple[str, str]:
        """Return both texts in order."""
        pair = self.real, self.generated
        return pair if self.real_first else pair[::-1]

    @property
    def answer(self) -> int:
        """Return which of the two is real: 1 or 2."""
        return 1 if self.real_first else 2


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round as quiz.json keeps it."""

    seed: int
    pairs: int  # that were answered
    right: int
    at: str  # ISO-8601 UTC


@dataclass(frozen=True, kw_only=True)
class Score:
    """How often people told the real post from the bot's; one half is guessing."""

    right: int
    pairs: int

    @property
    def share(self) -> float:
        """Return the share of right answers, 0 to 1."""
        return self.right / self.pairs if self.pairs else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return its 95 % Wilson interval."""
        return wilson(self.right, self.pairs)

    def meaning(self) -> str:
        """Say in plain words what the figures mean."""
        low, high = self.interval
        if low > 0.5:
            often = "nearly always" if self.share >= 0.9 else "more often than by guessing"
            return f"The bot is told from the person {often}."
        if high < 0.5:
            return "The bot's posts look more real than the real ones."
        return "That may well be guessing: the bot passes for the person, or the answers are few."

    def to_json(self) -> dict[str, int | float]:
        """Return the figures as quiz.json has them."""
        low, high = (round(bound, 4) for bound in self.interval)
        share = round(self.share, 4)
        return {"pairs": self.pairs, "right": self.right, "share": share, "low": low, "high": high}


def pair_up(
    real: Sequence[str], generated: Sequence[str], *, count: int, seed: int
) -> tuple[Pair, ...]:
    """Put each real post beside the generated one that is nearest to it in length.

    A real post with none of like length left is passed over, so there may be fewer pairs than
    asked for.

    Args:
        real: posts of the person.
        generated: posts of the bot, best more than `count`.
        count: most pairs.
        seed: which real post comes first, in an order that is always the same, and the sides.
    """
    dice = random.Random(f"sides {seed}")
    left = list(dict.fromkeys(generated))
    pairs: list[Pair] = []
    for post in _in_turn(real, seed):
        near = min(left, key=lambda text: abs(len(text) - len(post)), default=None)
        if near is not None and _alike(post, near) and len(pairs) < count:
            left.remove(near)
            pairs.append(Pair(real=post, generated=near, real_first=dice.random() < 0.5))
    return tuple(pairs)


def _in_turn(real: Sequence[str], start: int) -> list[str]:
    """Return the posts, each once, in an order that is always the same, from a place on."""
    order = list(dict.fromkeys(real))
    random.Random("real or bot").shuffle(order)
    first = start % max(len(order), 1)
    return order[first:] + order[:first]


def _alike(real: str, generated: str) -> bool:
    apart = abs(len(real) - len(generated))
    return apart <= max(_UNLIKE_CHARACTERS, _UNLIKE_SHARE * len(real))


def mark(pairs: Sequence[Pair], answers: Sequence[int]) -> Score:
    """Return the score of answers, 1 or 2 each; the pairs after them were not answered."""
    right = sum(pair.answer == answer for pair, answer in zip(pairs, answers, strict=False))
    return Score(right=right, pairs=min(len(pairs), len(answers)))


def fooled(pairs: Sequence[Pair], answers: Sequence[int]) -> list[str]:
    """Return the generated posts that were taken for real."""
    asked = zip(pairs, answers, strict=False)
    return [pair.generated for pair, answer in asked if pair.answer != answer]


def total(rounds: Sequence[Round]) -> Score:
    """Return the score over rounds."""
    right, pairs = sum(each.right for each in rounds), sum(each.pairs for each in rounds)
    return Score(right=right, pairs=pairs)


def next_seed(rounds: Sequence[Round]) -> int:
    """Return the seed that begins where the rounds so far have ended.

    So nobody meets a real post again before the others have had their turn.
    """
    used, done = {each.seed for each in rounds}, total(rounds).pairs
    return next(seed for seed in range(done, done + len(used) + 1) if seed not in used)

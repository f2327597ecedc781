"""Who would say this? Which of some bots most likely wrote a text, and how often that is right.

Bayes' rule with equal priors: before the text is read every bot is as likely to have written it as
any other, and one of them did. Then the chance of a bot is its likelihood as a share of all:

    P(bot | text) = p(text | bot) / sum over bots of p(text | bot),  p(text | bot) = 2^-bits

The bits are those of the whole text, so bots of different bases can be compared, whatever their
tokenizers; divided by the bytes of the text they are bits per byte (see `loss`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mynah.intervals import wilson


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """What a text costs one bot, and what it costs the base that the bot was made of."""

    bot: str
    base: str
    bits: float  # -log2 p of the whole text, its end included
    base_bits: float

    @property
    def gain_bits(self) -> float:
        """Return the log-likelihood ratio of bot to base: above 0, the text sounds like the bot."""
        return self.base_bits - self.bits


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """A text, and the bots that may have written it, the likeliest first."""

    text: str
    likelihoods: tuple[Likelihood, ...]

    @property
    def bytes(self) -> int:
        """Return the length of the text in UTF-8."""
        return len(self.text.encode())

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the chance of each bot, 0 to 1, if one of them wrote the text."""
        return posterior([each.bits for each in self.likelihoods])

    def meaning(self) -> str:
        """Say in plain words who wrote it, and whether anybody did."""
        first, *others = self.likelihoods
        told = f"{first.bot} would most likely have said this"
        if others:
            told += f", {others[0].bits - first.bits:.1f} bits before {others[0].bot}"
        if first.gain_bits > 0:
            return f"{told}, and finds it {first.gain_bits:.1f} bits likelier than its base does."
        return f"{told}, but its base finds it likelier still: it sounds like nobody here."

    def to_json(self) -> dict[str, Any]:
        """Return what `mynah who --json` prints of a text."""
        rows = zip(self.likelihoods, self.shares, strict=True)
        return {
            "text": self.text,
            "bytes": self.bytes,
            "meaning": self.meaning(),
            "bots": [self._row(each, share) for each, share in rows],
        }

    def _row(self, each: Likelihood, share: float) -> dict[str, Any]:
        return {
            "bot": each.bot,
            "base": each.base,
            "bits": round(each.bits, 2),
            "bits_per_byte": round(each.bits / self.bytes, 4),
            "base_bits": round(each.base_bits, 2),
            "gain_bits": round(each.gain_bits, 2),
            "share": round(share, 6),
        }


def attribute(text: str, likelihoods: Sequence[Likelihood]) -> Attribution:
    """Put the likeliest bot first."""
    ranked = sorted(likelihoods, key=lambda each: each.bits)
    return Attribution(text=text, likelihoods=tuple(ranked))


def posterior(bits: Sequence[float]) -> tuple[float, ...]:
    """Return the chance of each bot by its bits for the text, 0 to 1, equal priors."""
    least = min(bits)  # the chances do not change with it, and 2^-1000 would be 0
    likelihoods = [2 ** (least - each) for each in bits]
    return tuple(each / sum(likelihoods) for each in likelihoods)


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Whose posts were taken for whose."""

    bots: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # [whose post it is][who was chosen]

    @property
    def posts(self) -> int:
        """Return how many posts there were."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> int:
        """Return how many were given to the right bot."""
        return sum(row[at] for at, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        """Return the share of them, 0 to 1; guessing gets one by the number of bots."""
        return self.right / self.posts if self.posts else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return its 95 % Wilson interval."""
        return wilson(self.right, self.posts)

    def to_json(self) -> dict[str, Any]:
        """Return what `mynah who --table --json` prints."""
        low, high = (round(bound, 4) for bound in self.interval)
        rows = [
            {"bot": bot, "posts": sum(row), "chosen": dict(zip(self.bots, row, strict=True))}
            for bot, row in zip(self.bots, self.counts, strict=True)
        ]
        figures = {"accuracy": round(self.accuracy, 4), "low": low, "high": high}
        return {"rows": rows, "posts": self.posts, "right": self.right, **figures}


def confusion(
    bots: Sequence[str], authors: Sequence[int], bits: Sequence[Sequence[float]]
) -> Confusion:
    """Give every post to the bot that it costs the fewest bits, and count.

    Args:
        bots: their names.
        authors: whose each post is, as an index of `bots`.
        bits: of each bot for each post, [bots][posts].
    """
    counts = [[0] * len(bots) for _ in bots]
    for author, costs in zip(authors, zip(*bits, strict=True), strict=True):
        counts[author][costs.index(min(costs))] += 1
    return Confusion(bots=tuple(bots), counts=tuple(map(tuple, counts)))

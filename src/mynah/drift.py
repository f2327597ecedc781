"""How a voice changes over months: by its posts alone, and by what they cost a bot.

By the posts alone, which needs no model and holds for taught posts too: the Jensen-Shannon distance
(Lin 1991; see `evaluation.surface`) of a month's character trigrams to those of all months. Few
posts are further from anything than many, so beside each stands what chance alone would give: the
distances of as many posts drawn from all months. One odd month moves the whole away from all
others, and subjects come and go, so many a month lies beyond chance. One that stands out lies
beyond the others as well, by Tukey's fence (1977, "Exploratory data analysis", chapter 2): its
distance less what chance gives is above the months' upper quartile by 1.5 times what lies between
their quartiles.

By what they cost: bits per byte, on held-out posts only. A bot knows the months that it has learned
from; what they cost it would tell of its memory, not of the voice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mynah.config import DriftConfig, ReportConfig
from mynah.evaluation.bootstrap import Numbers, percentiles, ratio_draws
from mynah.evaluation.surface import distances

FEWEST = 10  # posts of a month that is compared
FEWEST_HELD = 5  # held-out posts of a month that is judged
_TRIGRAMS = 1_000  # the commonest
_FEWEST_MONTHS = 5  # from which quartiles mean something
_PARTS, _CHANCES = 20, 400  # random parts of a month, and of all months


@dataclass(frozen=True, kw_only=True)
class Month:
    """How far a month's posts are from all others; None where they are too few."""

    month: str  # as 2023-04
    posts: int
    held_out: int  # of these; the bot has learned from the others
    distance: float | None = None
    chance: tuple[float, float] | None = None  # 95 % of as many posts of any month

    stands_out: bool = False  # beyond chance, and beyond what is usual among the months

    @property
    def excess(self) -> float | None:
        """Return how far the posts are beyond what chance explains; below 0, they are not."""
        if self.distance is None or self.chance is None:
            return None
        return self.distance - self.chance[1]

    @property
    def beyond_chance(self) -> bool:
        """Tell whether the posts are further from the whole than chance explains."""
        return self.excess is not None and self.excess > 0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Bits per byte of some posts."""

    value: float
    interval: tuple[float, float] | None  # 95 %


@dataclass(frozen=True, kw_only=True)
class HeldMonth:
    """What a month's held-out posts cost the base, the bot and what it was before."""

    month: str
    posts: int
    costs: Mapping[str, Cost]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A voice over months."""

    voice: str  # the author's handle
    months: tuple[Month, ...]
    held: tuple[HeldMonth, ...]
    undated: int  # posts that no month could be given

    def meaning(self) -> str:
        """Say in plain words whether the voice has changed."""
        known = [each for each in self.months if each.distance is not None]
        if not known:
            return f"No month has {FEWEST} posts, so none can be compared with the whole."
        beyond = [each for each in known if each.beyond_chance]
        if not beyond:
            return f"None of {len(known)} months is further from the whole than chance explains."
        count = f"{len(beyond)} of {len(known)} months"
        far = f"{count} {'is' if len(beyond) == 1 else 'are'} further from the whole than chance"
        odd = [each.month for each in known if each.stands_out]
        stand = "stands" if len(odd) == 1 else "stand"
        told = f"{', '.join(odd)} {stand} out" if odd else "none stands out"
        return f"{far} explains (which would be one in forty); {told}."

    def to_json(self) -> dict[str, Any]:
        """Return what `mynah drift --json` prints of one voice."""
        return {
            "voice": self.voice,
            "meaning": self.meaning(),
            "months": [_month_row(each) for each in self.months],
            "held_out": [_held_row(each) for each in self.held],
            "undated": self.undated,
        }


def _month_row(each: Month) -> dict[str, Any]:
    low, high = each.chance or (None, None)
    return {
        "month": each.month,
        "posts": each.posts,
        "held_out": each.held_out,
        "distance": _rounded(each.distance),
        "chance_low": _rounded(low),
        "chance_high": _rounded(high),
        "beyond_chance": each.beyond_chance if each.distance is not None else None,
        "stands_out": each.stands_out if each.distance is not None else None,
    }


def _held_row(each: HeldMonth) -> dict[str, Any]:
    costs = {
        name: {
            "bits_per_byte": _rounded(cost.value),
            "low": _rounded(cost.interval and cost.interval[0]),
            "high": _rounded(cost.interval and cost.interval[1]),
        }
        for name, cost in each.costs.items()
    }
    return {"month": each.month, "posts": each.posts, "readers": costs}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def compare_months(
    texts: Sequence[str], months: Sequence[str], held: Sequence[bool], config: DriftConfig
) -> tuple[Month, ...]:
    """Return how far each month's posts are from the whole, the oldest month first.

    Args:
        texts: all posts that have a date.
        months: of each post, as 2023-04.
        held: whether the bot has not learned from it.
        config: how many posts of a month are looked at, and the seed.
    """
    counts = _trigrams(texts)
    posts, unseen = Counter(months), Counter(m for m, new in zip(months, held, strict=True) if new)
    at = np.asarray(months)
    chances: dict[int, tuple[float, float] | None] = {}
    made = []
    for month in sorted(posts):
        size = min(posts[month], config.posts)
        found, chance = None, None
        if size >= FEWEST and counts.shape[1]:
            own = np.flatnonzero(at == month)
            found = float(_distances(counts, own, size, _PARTS, config.seed).mean())
            if size not in chances:
                every = np.arange(len(texts))
                drawn = _distances(counts, every, size, _CHANCES, config.seed)
                chances[size] = percentiles(drawn)
            chance = chances[size]
        made.append(
            Month(
                month=month,
                posts=posts[month],
                held_out=unseen[month],
                distance=found,
                chance=chance,
            )
        )
    return _fenced(made)


def _fenced(months: Sequence[Month]) -> tuple[Month, ...]:
    """Return the months, those that stand out marked."""
    excess = [each.excess for each in months if each.excess is not None]
    if len(excess) < _FEWEST_MONTHS:
        return tuple(months)
    low, high = np.percentile(excess, [25, 75])
    fence = max(0.0, high + 1.5 * (high - low))
    return tuple(
        replace(each, stands_out=each.excess is not None and bool(each.excess > fence))
        for each in months
    )


def _trigrams(texts: Sequence[str]) -> Any:
    """Return how often the commonest trigrams stand in each text, sparse [texts, trigrams]."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer="char_wb", ngram_range=(3, 3), max_features=_TRIGRAMS)
    return counter.fit_transform(texts)


def _distances(counts: Any, among: Any, size: int, parts: int, seed: int) -> Numbers:
    """Return the distances of random parts of `size` texts to all texts, [parts]."""
    if len(among) == size:
        parts = 1  # there is only one
    rng = np.random.default_rng([seed, size])
    drawn = (rng.choice(among, size, replace=False) for _ in range(parts))
    sums = np.array([np.asarray(counts[rows].sum(axis=0)).ravel() for rows in drawn], dtype=float)
    return distances(sums, np.asarray(counts.sum(axis=0), dtype=float).ravel())


def cost_months(
    texts: Sequence[str],
    months: Sequence[str],
    bits: Mapping[str, Sequence[float]],
    config: DriftConfig,
) -> tuple[HeldMonth, ...]:
    """Return what each month's held-out posts cost, the oldest month first.

    Args:
        texts: held-out posts.
        months: of each post.
        bits: of each reader (base, bot, earlier versions) for each post.
        config: the seed of the resampling.
    """
    at, sizes = np.asarray(months), np.array([len(text.encode()) for text in texts], dtype=float)
    made = []
    for month in sorted(set(months)):
        rows = np.flatnonzero(at == month)
        if len(rows) < FEWEST_HELD:
            continue
        costs = {
            name: _cost(np.asarray(own)[rows], sizes[rows], config) for name, own in bits.items()
        }
        made.append(HeldMonth(month=month, posts=len(rows), costs=costs))
    return tuple(made)


def _cost(bits: Numbers, sizes: Numbers, config: DriftConfig) -> Cost:
    draws = ratio_draws(bits, sizes, ReportConfig(seed=config.seed))
    return Cost(value=float(bits.sum() / sizes.sum()), interval=percentiles(draws))

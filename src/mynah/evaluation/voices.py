"""How much of each voice is heard in a blend of finished bots.

Whose a text is, the bots that were blended say themselves, by Bayes' rule with equal priors, as
in `mynah who`: P(bot | text) = p(text | bot) / sum over bots of p(text | bot). A voice is heard as
much as its bot's chance is on average over the posts that the blend says. The ceiling is the same
of the person's own new posts: what these judges can tell at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import Numbers, mean_interval, percentiles, ratio_draws
from mynah.evaluation.figure import Figure

HEARD = "heard_"


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One of the bots of a blend, and what models make of its person's held-out posts, in nats."""

    name: str
    weight: float
    base: Sequence[float]
    blend: Sequence[float]
    bots: Sequence[Sequence[float]]  # of each bot of the blend, [bots][posts]
    said: Sequence[float]  # what this bot makes of the posts that the blend says


def voices(found: Sequence[Voice], config: ReportConfig) -> tuple[Figure, ...]:
    """Return how much of each voice is heard, and how well the blend knows each."""
    if not found:
        return ()
    heard = chances([voice.said for voice in found])
    figures = [_heard(found, at, heard[at], config) for at in range(len(found))]
    return (*figures, *(each for at in range(len(found)) for each in _known(found, at, config)))


def chances(nats: Sequence[Sequence[float]]) -> Numbers:
    """Return the chance of each bot for each text, 0 to 1; both are [bots, texts]."""
    costs = np.asarray(nats, dtype=float)
    if not costs.size:
        return costs
    likelihoods = np.exp(costs.min(axis=0) - costs)  # the chances do not change with the minimum
    shares: Numbers = likelihoods / likelihoods.sum(axis=0)
    return shares


def _heard(found: Sequence[Voice], at: int, shares: Numbers, config: ReportConfig) -> Figure:
    voice, told = found[at], chances(found[at].bots)[at]
    return Figure(
        name=f"{HEARD}{voice.name}",
        label=f"{voice.name} is heard",
        unit="share",
        better="person",
        main=True,
        value=float(shares.mean()) if len(shares) else None,
        interval=mean_interval(list(map(float, shares)), config) if len(shares) else None,
        n=len(shares),
        ceiling=float(told.mean()),
        why="" if len(shares) else "The bot said nothing.",
        details={"weight": voice.weight, "held_out": len(told)},
    )


def _known(found: Sequence[Voice], at: int, config: ReportConfig) -> Iterator[Figure]:
    """Yield the gain on one person's held-out posts: the blend's, and that of their own bot."""
    voice = found[at]
    for name, label, costs in (
        ("gain", "Fewer bits than the base on {}'s posts", voice.blend),
        ("alone", "The bot {} alone, on the same posts", voice.bots[at]),
    ):
        yield Figure(
            name=f"{name}_{voice.name}",
            label=label.format(voice.name),
            unit="percent",
            better="higher",
            value=100 * (1 - sum(costs) / sum(voice.base)),
            interval=percentiles(100 * (1 - ratio_draws(costs, voice.base, config))),
            n=len(costs),
            floors={"base": 0.0},
        )

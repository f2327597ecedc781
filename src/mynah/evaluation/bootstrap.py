"""How sure a figure is: 95 % intervals from resampling, and from a formula for shares.

Percentile bootstrap: Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of
Statistics 7. Where resampling itself moves a figure (a text drawn twice makes a set less varied),
the shift is taken off (Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 10).

Shares get Wilson's interval (1927, JASA 22, "Probable inference") instead: resampling a set
without any copy finds none, and would claim that there never is one. Differences of shares get
Newcombe's (1998, Statistics in Medicine 17, method 10), which is built from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mynah import intervals
from mynah.config import ReportConfig
from mynah.evaluation.figure import Interval

Numbers = NDArray[np.float64]


def drawn(size: int, config: ReportConfig, *, stream: int = 0) -> NDArray[np.int64]:
    """Return indices drawn with replacement, [resamples, size].

    Args:
        size: how many texts there are.
        config: how often to draw, and the seed.
        stream: another number draws others, for a second set that is independent of the first.
    """
    rng = np.random.default_rng([config.seed, stream])
    return rng.integers(0, size, size=(config.resamples, size))


def weights(size: int, taken: int, config: ReportConfig, *, stream: int = 0) -> Numbers:
    """Return how often each text is drawn when `taken` are, with replacement, [resamples, size]."""
    rng = np.random.default_rng([config.seed, stream])
    return rng.multinomial(taken, np.full(size, 1 / size), size=config.resamples).astype(float)


def percentiles(values: Numbers) -> Interval | None:
    """Return the middle 95 % of resampled values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def centred(values: Numbers, estimate: float) -> Interval | None:
    """Return the middle 95 % of resampled values, moved so that their mean is the estimate."""
    return percentiles(values - values.mean() + estimate)


def mean_interval(values: Sequence[float], config: ReportConfig) -> Interval | None:
    """Return the interval of a mean."""
    numbers = np.asarray(values, dtype=float)
    return percentiles(numbers[drawn(len(numbers), config)].mean(axis=1))


def difference_interval(
    first: Sequence[float], second: Sequence[float], config: ReportConfig
) -> Interval | None:
    """Return the interval of the difference of two means."""
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    means = one[drawn(len(one), config)].mean(axis=1)
    return percentiles(means - two[drawn(len(two), config, stream=1)].mean(axis=1))


def ratio_draws(top: Any, bottom: Any, config: ReportConfig, *, stream: int = 0) -> Numbers:
    """Return resampled values of sum(top) / sum(bottom), each drawn as a pair, [resamples]."""
    above, below = np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)
    at = drawn(len(above), config, stream=stream)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Numbers = above[at].sum(axis=1) / below[at].sum(axis=1)
    return ratios


def wilson(hits: int, size: int) -> Interval | None:
    """Return the interval of a share of `hits` in `size`; None where nothing was counted."""
    return intervals.wilson(hits, size) if size else None


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> Interval | None:
    """Return the interval of the difference of two shares, each given as (hits, size)."""
    one, two = wilson(*first), wilson(*second)
    if one is None or two is None:
        return None
    p, q = first[0] / first[1], second[0] / second[1]
    low = p - q - sqrt((p - one[0]) ** 2 + (two[1] - q) ** 2)
    high = p - q + sqrt((one[1] - p) ** 2 + (q - two[0]) ** 2)
    return low, high

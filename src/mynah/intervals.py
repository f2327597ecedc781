"""How sure a share is: the interval that a count of successes leaves open."""

from __future__ import annotations

import math

_Z = 1.959964  # of the normal distribution, 95 % lie within this many standard deviations


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share, 0 to 1; all of it where nothing was counted.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22:
    the shares p from which right / total is within z standard deviations, sqrt(p (1 - p) / total).
    """
    if not total:
        return 0.0, 1.0
    share, weight = right / total, _Z**2 / total
    centre = (share + weight / 2) / (1 + weight)
    reach = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, centre - reach), min(1.0, centre + reach)

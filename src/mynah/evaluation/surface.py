"""What can be seen without reading: how long posts are, which marks and words they use.

For each of nine features the distribution over a set of texts is held against that of the posts
the bot learned from. The distance is the root of the Jensen-Shannon divergence to the base 2: 0
where both are the same, 1 where they share nothing (Lin 1991, "Divergence measures based on the
Shannon entropy", IEEE Transactions on Information Theory 37; a metric: Endres and Schindelin 2003).

A small sample is further from anything than a large one. So all sets are measured at the size of
the smallest, as the mean over random parts of that size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import Numbers, centred, weights
from mynah.evaluation.features import Feature, features
from mynah.evaluation.figure import BOT, PERSON, Figure, columns
from mynah.evaluation.texts import Texts, spread

FEWEST = 10  # texts of a set
_REFERENCE = 2_000  # posts of the author that make the reference
_PARTS = 50  # random parts of a set that the mean is over
_SHOWN = 12  # categories of a feature that the report holds, at most


def surface(texts: Texts, config: ReportConfig) -> tuple[Figure, ...]:
    """Return the distance of each feature, and before them the mean of all."""
    sets = texts.sets(FEWEST)
    learned = spread(texts.learned, _REFERENCE)
    every = features(learned)
    if BOT not in sets:
        why = f"It needs {FEWEST} posts by the bot, and {len(texts.bot)} were drawn."
        return (_mean_figure(why=why), *(_figure(feature, why=why) for feature in every))
    size = min(map(len, sets.values()))
    found = [_Measured(feature, learned, sets, size, config) for feature in every]
    why = "" if PERSON in sets else f"No ceiling: {len(texts.held_out)} held-out posts are too few."
    return _mean(found, config, why), *(each.figure(why) for each in found)


class _Measured:
    """One feature in all sets."""

    def __init__(
        self,
        feature: Feature,
        learned: Sequence[str],
        sets: Mapping[str, Sequence[str]],
        size: int,
        config: ReportConfig,
    ) -> None:
        self.feature, self.size, self.texts = feature, size, len(sets[BOT])
        counts = {name: [feature.count(text) for text in own] for name, own in sets.items()}
        wanted = [feature.count(text) for text in learned]
        self.names = _categories([*wanted, *(each for own in counts.values() for each in own)])
        self.totals = {name: sum(own, Counter()) for name, own in counts.items()}
        self.totals["learned"] = sum(wanted, Counter())
        reference = table(wanted, self.names).sum(axis=0)
        tables = {name: table(own, self.names) for name, own in counts.items()}
        self.distances = {
            name: float(distances(parts(len(own), size, config) @ own, reference).mean())
            for name, own in tables.items()
        }
        bot = tables[BOT]
        self.draws = distances(weights(len(bot), size, config) @ bot, reference)
        self.config = config

    def figure(self, why: str) -> Figure:
        return _figure(
            self.feature,
            **columns(self.distances),
            interval=_above_zero(centred(self.draws, self.distances[BOT])),
            n=self.texts,
            why=why,
            details={"texts_compared": self.size, "shares": self._shares()},
        )

    def _shares(self) -> dict[str, dict[str, float]]:
        """Return the distribution in each set, of the commonest categories."""
        shown = self.names
        if len(shown) > _SHOWN:
            all_of = sum(self.totals.values(), Counter())
            shown = sorted(shown, key=lambda name: -all_of[name])[:_SHOWN]
        return {
            name: {key: own[key] / max(own.total(), 1) for key in shown}
            for name, own in self.totals.items()
        }


def _mean(found: Sequence[_Measured], config: ReportConfig, why: str) -> Figure:
    names = found[0].distances
    means = {name: float(np.mean([each.distances[name] for each in found])) for name in names}
    draws = np.mean([each.draws for each in found], axis=0)
    interval = _above_zero(centred(draws, means[BOT]))
    return _mean_figure(**columns(means), interval=interval, n=found[0].texts, why=why)


def _mean_figure(**fields: Any) -> Figure:
    return Figure(
        name="surface",
        label="Look of the posts",
        unit="ratio",
        better="lower",
        main=True,
        **fields,
    )


def _figure(feature: Feature, **fields: Any) -> Figure:
    return Figure(
        name=f"surface_{feature.name}", label=feature.label, unit="ratio", better="lower", **fields
    )


def _above_zero(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval and (max(interval[0], 0.0), max(interval[1], 0.0))


def _categories(counts: Sequence[Counter[str]]) -> list[str]:
    return sorted({name for each in counts for name in each})


def table(counts: Sequence[Counter[str]], names: Sequence[str]) -> Numbers:
    """Return counts as numbers, [texts, names]."""
    at = {name: place for place, name in enumerate(names)}
    made = np.zeros((len(counts), len(names)))
    for row, each in enumerate(counts):
        for name, count in each.items():
            made[row, at[name]] = count
    return made


def parts(texts: int, size: int, config: ReportConfig) -> Numbers:
    """Return which texts are in each random part of `size` texts, [parts, texts]."""
    if texts == size:
        return np.ones((1, texts))
    rng = np.random.default_rng(config.seed)
    order = rng.random((_PARTS, texts)).argsort(axis=1)
    return (order < size).astype(float)


def distances(counts: Numbers, reference: Numbers) -> Numbers:
    """Return the Jensen-Shannon distance of each row of counts to the reference, [rows]."""
    from scipy.spatial.distance import jensenshannon

    found = jensenshannon(counts, reference[None, :], base=2, axis=1)
    known: Numbers = np.nan_to_num(np.asarray(found, dtype=float))
    return known

"""A map of voices: how far apart bots are, by how well each predicts what the others' people say.

    d(i, j) = ½ [b(i, j) - b(j, j)] + ½ [b(j, i) - b(i, i)]

b(i, j) is what bot i needs for held-out posts of person j, in bits per byte. So a distance is what
it costs to be read by the other's bot instead of one's own, the mean of both ways. This is the
symmetric distance of Juang and Rabiner 1985, "A probabilistic distance measure for hidden Markov
models", AT&T Technical Journal 64, with bytes for its observations. It estimates half of Jeffreys'
divergence; it is no metric, and chance can bring it below 0, which is drawn as 0.

The plane: metric multidimensional scaling by SMACOF (de Leeuw 1977; Borg and Groenen 2005, "Modern
multidimensional scaling", chapter 8). Stress-1 (Kruskal 1964, Psychometrika 29) says how far
distances in the plane are from the real ones. The groups: average linkage on the real distances,
as many as have the largest mean silhouette (Rousseeuw 1987, Journal of Computational and Applied
Mathematics 20).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import Numbers, percentiles, ratio_draws

_STARTS = 8  # random beginnings, the best of which counts
_FEWEST = 3  # bots that can be grouped

Bits = Sequence[Sequence[Sequence[float]]]  # [bots][whose posts][posts]


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far apart two voices are, in bits per byte."""

    first: int
    second: int
    value: float
    interval: tuple[float, float] | None  # 95 %


@dataclass(frozen=True, kw_only=True)
class Group:
    """Voices that are near each other, and the words that tell them from the others."""

    bots: tuple[int, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VoiceMap:
    """Voices in the plane."""

    bots: tuple[str, ...]
    base: str
    posts: tuple[int, ...]  # held-out posts of each
    bits_per_byte: Numbers  # [bots][whose posts]
    distances: tuple[Distance, ...]  # of every pair
    places: Numbers  # [bots, 2]
    stress: float  # 0 is exact, 0.2 is poor
    groups: tuple[Group, ...] = field(default=())

    def group_of(self, bot: int) -> int:
        """Return the number of a bot's group, from 0 on."""
        return next(at for at, group in enumerate(self.groups) if bot in group.bots)

    def meaning(self) -> str:
        """Say in plain words who is near whom."""
        near = min(self.distances, key=lambda each: each.value)
        far = max(self.distances, key=lambda each: each.value)
        told = f"{self.bots[near.first]} and {self.bots[near.second]}"
        if near is far:
            return f"{told} are {near.value:.3f} bits per byte apart."
        return (
            f"Nearest: {told}, {near.value:.3f} bits per byte apart. Furthest: "
            f"{self.bots[far.first]} and {self.bots[far.second]}, {far.value:.3f}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `mynah map --json` prints, but for the files."""
        return {
            "base": self.base,
            "meaning": self.meaning(),
            "bots": [self._bot(at) for at in range(len(self.bots))],
            "distances": [self._distance(each) for each in self.distances],
            "groups": [
                {"bots": [self.bots[at] for at in group.bots], "words": list(group.words)}
                for group in self.groups
            ],
            "stress": round(self.stress, 4),
        }

    def _bot(self, at: int) -> dict[str, Any]:
        costs = zip(self.bots, self.bits_per_byte[at], strict=True)
        return {
            "bot": self.bots[at],
            "group": self.group_of(at) + 1,
            "posts": self.posts[at],
            "x": round(float(self.places[at, 0]), 4),
            "y": round(float(self.places[at, 1]), 4),
            "bits_per_byte": {name: round(float(cost), 4) for name, cost in costs},
        }

    def _distance(self, each: Distance) -> dict[str, Any]:
        low, high = each.interval or (None, None)
        return {
            "bots": [self.bots[each.first], self.bots[each.second]],
            "bits_per_byte": round(each.value, 4),
            "low": None if low is None else round(low, 4),
            "high": None if high is None else round(high, 4),
        }


def lay_out(
    bots: Sequence[str], base: str, posts: Sequence[Sequence[str]], bits: Bits, *, seed: int
) -> VoiceMap:
    """Return the map of some bots, its groups without words yet.

    Args:
        bots: their names.
        base: what all of them were made of.
        posts: held-out posts of each person, [bots][posts].
        bits: of each bot for each person's posts, [bots][whose posts][posts].
        seed: of the beginnings of the search for places, and of the resampling.
    """
    sizes = [np.array([len(text.encode()) for text in own], dtype=float) for own in posts]
    whole = np.array(
        [
            [np.sum(costs) / size.sum() for costs, size in zip(row, sizes, strict=True)]
            for row in bits
        ]
    )
    pairs = _pairs(bits, sizes, whole, ReportConfig(seed=seed))
    square = np.zeros_like(whole)
    for each in pairs:
        square[each.first, each.second] = square[each.second, each.first] = max(each.value, 0.0)
    places, stress = _places(square, seed)
    return VoiceMap(
        bots=tuple(bots),
        base=base,
        posts=tuple(map(len, posts)),
        bits_per_byte=whole,
        distances=pairs,
        places=places,
        stress=stress,
        groups=_groups(square),
    )


def _pairs(
    bits: Bits, sizes: Sequence[Numbers], whole: Numbers, config: ReportConfig
) -> tuple[Distance, ...]:
    """Return the distance of every two bots; each person's posts are resampled for themselves."""

    def extra(at: int, other: int) -> Numbers:
        more = np.asarray(bits[other][at]) - np.asarray(bits[at][at])
        return ratio_draws(more, sizes[at], config, stream=at)

    own, count = np.diag(whole), len(whole)
    half = (whole - own[None, :]) / 2  # [reader][whose posts]
    return tuple(
        Distance(
            first=i,
            second=j,
            value=float(half[i, j] + half[j, i]),
            interval=percentiles((extra(i, j) + extra(j, i)) / 2),
        )
        for i in range(count)
        for j in range(i + 1, count)
    )


def _places(square: Numbers, seed: int) -> tuple[Numbers, float]:
    """Return places in the plane, [bots, 2], and how far their distances are off."""
    from sklearn.manifold import smacof

    count = len(square)
    if not square.any():
        return np.zeros((count, 2)), 0.0
    if count == 2:  # a line, and nothing to search for
        return np.array([[-0.5, 0.0], [0.5, 0.0]]) * square[0, 1], 0.0
    found, stress = smacof(square, n_init=_STARTS, random_state=seed, normalized_stress=False)
    stress = np.sqrt(stress / (square**2)[np.triu_indices(count, 1)].sum())
    return _turned(found), float(stress)


def _turned(places: Numbers) -> Numbers:
    """Return places around 0, their longest side level, the first bot on the left and above."""
    centred = places - places.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    level: Numbers = centred @ axes.T
    level[:, 0] *= -1 if level[0, 0] > 0 else 1
    level[:, 1] *= -1 if level[0, 1] < 0 else 1
    return level


def _groups(square: Numbers) -> tuple[Group, ...]:
    """Return the groups, the largest first; of two bots each is its own."""
    count = len(square)
    if count < _FEWEST or not square.any():
        return tuple(Group(bots=(at,)) for at in range(count))
    labels = max((_cut(square, size) for size in range(2, count)), key=lambda cut: cut[0])[1]
    found = [tuple(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())]
    return tuple(Group(bots=bots) for bots in sorted(found, key=lambda own: (-len(own), own)))


def _cut(square: Numbers, size: int) -> tuple[float, Any]:
    """Return the mean silhouette of that many groups, and the group of each bot."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    cluster = AgglomerativeClustering(n_clusters=size, metric="precomputed", linkage="average")
    labels = cluster.fit_predict(square)
    return float(silhouette_score(square, labels, metric="precomputed")), labels

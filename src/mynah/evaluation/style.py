"""How near the bot's manner of writing is to the author's.

Texts become vectors, a set of texts the mean of its vectors, and two sets are as near as the
cosine between their means. The vector is a style embedding where one is given, else the TF-IDF of
runs of three to five characters: profiles of such runs tell authors apart (Kešelj et al. 2003,
"N-gram-based author profiles for authorship attribution", PACLING).

A cosine says little by itself, so it is scaled: 0 is the untouched base, 1 the person's held-out
posts.

    style = (cos(bot, learned) - cos(base, learned)) / (cos(person, learned) - cos(base, learned))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import Numbers, percentiles, weights
from mynah.evaluation.figure import BOT, PERSON, Figure, Interval, columns
from mynah.evaluation.texts import Texts, spread, too_few

Embed = Callable[[Sequence[str]], Any]  # texts -> vectors [texts, width], dense or sparse

FEWEST = 10
_REFERENCE = 1_000  # posts of the author that make the reference


def style(texts: Texts, config: ReportConfig, embed: Embed | None = None) -> Figure:
    """Return where the bot is between base and person."""
    shared: dict[str, Any] = {
        "name": "style",
        "label": "Style, from base to person",
        "unit": "ratio",
        "better": "higher",
        "main": True,
    }
    sets = texts.sets(FEWEST)
    why = too_few(texts, FEWEST)
    if not why and "base" not in sets:
        why = f"It needs {FEWEST} texts by the untouched base to start from."
    if why:
        return Figure(**shared, why=why)
    reference = spread(texts.learned, _REFERENCE)
    embed = embed or profiles(reference)
    target = mean(embed(reference))
    vectors = {name: _Set(embed(own), target) for name, own in sets.items()}
    cosines = {name: each.cosine() for name, each in vectors.items()}
    if not cosines[PERSON] > cosines["base"]:
        why = "The base is as near to this author as the author's own new posts are."
        return Figure(**shared, why=why, details={"cosines": cosines})
    return Figure(
        **shared,
        **columns(_scaled(cosines)),
        interval=_interval(vectors, config),
        n=len(texts.bot),
        details={"cosines": cosines},
    )


def _interval(vectors: Mapping[str, _Set], config: ReportConfig) -> Interval | None:
    """Return the interval when bot, base and person are all resampled."""
    bot, zero, one = (
        vectors[name].resampled(config, stream) for stream, name in enumerate((BOT, "base", PERSON))
    )
    return percentiles((bot - zero) / np.where(one > zero, one - zero, np.nan))


def _scaled(cosines: Mapping[str, float]) -> dict[str, float]:
    zero, one = cosines["base"], cosines[PERSON]
    return {name: (cosine - zero) / (one - zero) for name, cosine in cosines.items()}


def profiles(reference: Sequence[str]) -> Embed:
    """Return what makes vectors of texts; rare runs of the reference weigh most."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(analyzer="char", ngram_range=(3, 5), sublinear_tf=True)
    made.fit([f" {text} " for text in reference])
    return lambda texts: made.transform([f" {text} " for text in texts])


def mean(vectors: Any) -> Numbers:
    """Return the mean of vectors [texts, width]."""
    return np.asarray(vectors.mean(axis=0), dtype=float).ravel()


class _Set:
    """Vectors of one set, as far as the cosine of their mean needs them.

    The squared length of the mean is the mean product of two different texts. With the product of
    a text and itself in it, a small set would seem further from everything than a large one.
    """

    def __init__(self, vectors: Any, target: Numbers) -> None:
        products = vectors @ vectors.T
        self._products = np.asarray(
            products.todense() if hasattr(products, "todense") else products, dtype=float
        )
        np.fill_diagonal(self._products, 0.0)
        self._along = np.asarray(vectors @ target).ravel() / (np.linalg.norm(target) or 1.0)

    def cosine(self) -> float:
        """Return the cosine with the target; not a number where no two texts share anything."""
        return float(self._cosines(np.ones((1, len(self._along))))[0])

    def resampled(self, config: ReportConfig, stream: int) -> Numbers:
        """Return the cosine of resampled sets, [resamples]."""
        size = len(self._along)
        return self._cosines(weights(size, size, config, stream=stream))

    def _cosines(self, often: Numbers) -> Numbers:
        """Return the cosine for each row of counts [draws, texts]."""
        total = often.sum(axis=1)
        pairs = total**2 - (often**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            square = ((often @ self._products) * often).sum(axis=1) / pairs
            found: Numbers = (often @ self._along) / total / np.sqrt(square)
        return found

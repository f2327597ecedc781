"""Whether a classifier can tell the bot's posts from real ones.

A two-sample test by classifier (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample
tests", arXiv:1610.06545): it is trained on one part of both and asked about the other. 0.5 means
that it guesses, 1 that it is never wrong. The area under the curve is the chance that a machine's
text gets a higher score than a person's (Hanley and McNeil 1982, Radiology 143).

The features are TF-IDF of runs of three to five characters: words, endings, punctuation, emoji.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import Numbers, drawn, percentiles
from mynah.evaluation.figure import BOT, FLOORS, PERSON, Figure, Interval, columns
from mynah.evaluation.texts import Texts, spread, too_few

FEWEST = 10  # texts on each side
_FOLDS = 5


def detectability(texts: Texts, config: ReportConfig) -> Figure:
    """Return how well held-out posts are told from the bot's, as many of each.

    The ceiling is how well they are told from the person's own earlier posts: people change too.
    """
    shared: dict[str, Any] = {
        "name": "detectability",
        "label": "Told apart by a classifier",
        "unit": "ratio",
        "better": "half",
        "main": True,
    }
    if why := too_few(texts, FEWEST):
        return Figure(**shared, why=why)
    sets = texts.sets(FEWEST)
    sets[PERSON] = texts.learned
    found, interval, pairs = {}, None, 0
    for name in (BOT, *FLOORS, PERSON):
        if len(sets.get(name, ())) >= FEWEST:
            real, made = scores(texts.held_out, sets[name], config.seed)
            found[name] = auc(real, made)
            if name == BOT:
                interval, pairs = auc_interval(real, made, config), len(real)
    return Figure(**shared, **columns(found), interval=interval, n=pairs)


def scores(real: Sequence[str], made: Sequence[str], seed: int) -> tuple[Numbers, Numbers]:
    """Return how machine-made each text looks to a classifier that has not seen it.

    Args:
        real: a person's texts.
        made: others; of the longer list as many are taken as the shorter one has.
        seed: of the folds.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    size = min(len(real), len(made))
    both = [f" {text} " for text in (*spread(real, size), *spread(made, size))]
    labels = np.repeat([0, 1], size)
    counts = CountVectorizer(analyzer="char", ngram_range=(3, 5)).fit_transform(both)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    found = np.zeros(2 * size)
    for fit, ask in folds.split(counts, labels):
        # Runs are counted once; those that no text of the fit has are unknown to its classifier.
        own = counts[:, np.unique(counts[fit].indices)]
        weigh = TfidfTransformer(sublinear_tf=True)
        model = LogisticRegression(C=10.0, solver="liblinear")
        model.fit(weigh.fit_transform(own[fit]), labels[fit])
        found[ask] = model.decision_function(weigh.transform(own[ask]))
    return found[:size], found[size:]


def auc(real: Numbers, made: Numbers) -> float:
    """Return the chance that a made text scores above a real one; ties count half."""
    above = (made[:, None] > real[None, :]).mean()
    return float(above + (made[:, None] == real[None, :]).mean() / 2)


def auc_interval(real: Numbers, made: Numbers, config: ReportConfig) -> Interval | None:
    """Return the interval over texts; the classifiers stay as they are."""
    wins = (made[:, None] > real[None, :]) + (made[:, None] == real[None, :]) / 2
    first, second = drawn(len(made), config), drawn(len(real), config, stream=1)
    found = [wins[np.ix_(one, two)].mean() for one, two in zip(first, second, strict=True)]
    return percentiles(np.asarray(found))

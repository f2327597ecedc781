"""The words that tell one group of voices from the others: what a group on a map is called by.

For each word the log-odds of standing in a post of the group, against the posts of all other
groups, with a prior taken from all posts and divided by its standard deviation (Monroe, Colaresi
and Quinn 2008, "Fightin' Words", Political Analysis 16, equations 16 and 22). A word counts once a
post, so that nobody gets a name for shouting.

A map may be shown around. So only words of letters are counted, with e-mail addresses, phone
numbers, names of accounts, tags and links taken out before; and no word that stands in fewer than
three posts, by which somebody or something that was said once could be known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mynah import personal_data
from mynah.evaluation.bootstrap import Numbers

_HIDDEN = re.compile(
    r"\[(?:email|iban|ip|phone)\]|\S*[@＠#＃]\S+|https?:\S+|\b\w[\w-]*(?:\.\w[\w-]+)+"
)
_WORD = r"(?<![\w'’])[^\W\d_]{2,}(?:['’][^\W\d_]+)*(?![\w'’])"
_FEWEST = 3  # posts that a word stands in
_TELLING = 1.96  # standard deviations that a word's log-odds lie above those elsewhere
_TIMES = 3.0  # the odds are this many times those elsewhere: else everybody's small words win
_PRIOR = 0.01  # posts of prior for each post there is


def telling_words(groups: Sequence[Sequence[str]], most: int) -> list[list[str]]:
    """Return the words that tell the posts of each group from all others, the surest first.

    Args:
        groups: posts, [groups][posts].
        most: how many words a group gets; one that speaks like the others may get none.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    posts = [_presentable(post) for group in groups for post in group]
    counter = CountVectorizer(token_pattern=_WORD, binary=True)
    try:
        counts = counter.fit_transform(posts)
    except ValueError:  # there is no word at all
        return [[] for _ in groups]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    inside = np.array([_sums(counts[owner == at]) for at in range(len(groups))])
    scores, everywhere = _scores(inside), inside.sum(axis=0)
    words = counter.get_feature_names_out()
    return [_best(words, row, everywhere, most) for row in scores]


def _sums(counts: Any) -> Numbers:
    return np.asarray(counts.sum(axis=0), dtype=float).ravel()


def _presentable(post: str) -> str:
    return _HIDDEN.sub(" ", personal_data.replace(post)[0])


def _scores(inside: Numbers) -> Numbers:
    """Return how many standard deviations a word's log-odds in a group lie above the others'.

    Where its odds are not several times theirs, the score is 0.

    Args:
        inside: posts that hold a word, [groups, words].
    """
    every = inside.sum(axis=0)
    prior = _PRIOR * every
    total, of_prior = inside.sum(axis=1, keepdims=True), prior.sum()
    here, there = inside + prior, every - inside + prior
    rest_here = total + of_prior - here
    rest_there = every.sum() - total + of_prior - there
    with np.errstate(divide="ignore", invalid="ignore"):  # where all posts are of one word
        odds = np.log(here / rest_here) - np.log(there / rest_there)
        scores = np.nan_to_num(odds / np.sqrt(1 / here + 1 / there), posinf=0.0, neginf=0.0)
    told: Numbers = np.where(odds > np.log(_TIMES), scores, 0.0)
    return told


def _best(words: Any, scores: Numbers, counts: Numbers, most: int) -> list[str]:
    order = np.argsort(-scores, kind="stable")
    told = (at for at in order if scores[at] > _TELLING and counts[at] >= _FEWEST)
    return [str(words[at]) for at, _ in zip(told, range(most), strict=False)]

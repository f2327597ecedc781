"""The classifier that tells a bot's posts from real ones."""

from __future__ import annotations

import random
from string import ascii_lowercase

import numpy as np
import pytest

from mynah.config import ReportConfig
from mynah.evaluation.detectability import auc, auc_interval, detectability, scores
from mynah.evaluation.texts import Texts

CONFIG = ReportConfig(resamples=100)


def of_words(words: str, seed: int) -> list[str]:
    """Return forty texts of the same words, in any order."""
    dice = random.Random(seed)
    return [" ".join(dice.choices(words.split(), k=8)) for _ in range(40)]


HARBOUR = "the ferry left and sea was high low tide a gull on counter two at nine"
SEA, OTHER_SEA = of_words(HARBOUR, 0), of_words(HARBOUR, 1)
TOAST = of_words("toaster setting burnt, again, with jokes!! lever grudge Gary's slot", 2)


def test_the_area_is_counted_pair_by_pair() -> None:
    # made 1 beats real 0 and ties with real 1; made 2 beats both: 3.5 of 4 pairs.
    assert auc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == 0.875
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5
    assert auc(np.array([5.0]), np.array([1.0])) == 0.0


def test_the_interval_is_that_of_drawn_texts() -> None:
    both = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    assert auc_interval(*both, CONFIG) == (1.0, 1.0)
    low, high = auc_interval(np.array([0.0, 2.0]), np.array([1.0, 3.0]), CONFIG) or (0, 0)
    assert low < 0.75 < high


def test_texts_of_another_kind_are_told_apart_and_those_of_the_same_are_not() -> None:
    figure = detectability(
        Texts(learned=OTHER_SEA, held_out=SEA[:20], bot=TOAST, floors={"markov": OTHER_SEA}), CONFIG
    )
    assert figure.value == 1.0 and figure.interval == (1.0, 1.0)
    assert figure.n == 20  # as many of each: the shorter list decides
    assert 0.2 < figure.floors["markov"] < 0.8
    assert figure.ceiling == figure.floors["markov"]  # the same texts, the same folds


def test_no_text_is_judged_by_a_classifier_that_has_seen_it() -> None:
    """Each text is of letters of its own: one that was seen would be known at once."""
    dice = random.Random(3)
    unique = ["".join(dice.choices(ascii_lowercase, k=30)) for _ in range(60)]
    real, made = scores(unique[:30], unique[30:], seed=0)
    assert len(real) == len(made) == 30
    assert 0.25 < auc(real, made) < 0.75


@pytest.mark.parametrize(
    ("held_out", "bot", "words"),
    [
        (SEA[:3], TOAST, "needs 10 held-out posts, and there are 3"),
        ([], TOAST, "needs 10 held-out posts, and there are 0"),
        (SEA, TOAST[:9], "needs 10 posts by the bot, and 9 were drawn"),
    ],
)
def test_too_few_texts_are_said(held_out: list[str], bot: list[str], words: str) -> None:
    figure = detectability(Texts(learned=SEA, held_out=held_out, bot=bot), CONFIG)
    assert figure.value is None and words in figure.why


def test_single_emoji_are_texts_too() -> None:
    """Texts shorter than three characters once had no run of three, and the library gave up."""
    texts = Texts(learned=["👍"] * 20, held_out=["👍"] * 20, bot=["🔋"] * 20)
    figure = detectability(texts, CONFIG)
    assert figure.value == 1.0 and figure.ceiling == 0.5

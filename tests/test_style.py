"""Style: cosines between mean vectors, scaled from the base to the person."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pytest

from mynah.config import ReportConfig
from mynah.evaluation.style import Embed, profiles, style
from mynah.evaluation.texts import Texts

CONFIG = ReportConfig(resamples=50)
ARROWS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "between": (1 / sqrt(2), 1 / sqrt(2))}


def arrows(texts: Sequence[str]) -> np.ndarray:
    return np.array([ARROWS[text] for text in texts])


def compass(bot: str, *, base: str = "north", person: str = "east", embed: Embed = arrows):
    texts = Texts(
        learned=["east"] * 12,
        held_out=[person] * 12,
        bot=[bot] * 12,
        floors={"base": [base] * 12, "markov": ["between"] * 12},
    )
    return style(texts, CONFIG, embed)


@pytest.mark.parametrize(
    ("bot", "scaled"), [("east", 1.0), ("north", 0.0), ("between", 1 / sqrt(2))]
)
def test_the_cosine_is_scaled_by_hand(bot: str, scaled: float) -> None:
    """Learned is east, the base north (cosine 0), the person east (1), half-way 1 / sqrt 2."""
    figure = compass(bot)
    assert figure.value == pytest.approx(scaled)
    assert figure.floors == pytest.approx({"base": 0.0, "markov": 1 / sqrt(2)})
    assert figure.ceiling == pytest.approx(1.0)
    assert figure.interval == pytest.approx((scaled, scaled))


def test_the_scale_begins_at_the_base() -> None:
    # base 1 / sqrt 2, person 1, bot 0: (0 - 0.7071) / (1 - 0.7071)
    figure = compass("north", base="between")
    assert figure.value == pytest.approx(-(1 / sqrt(2)) / (1 - 1 / sqrt(2)))


def test_a_base_as_near_as_the_person_leaves_nothing_to_scale() -> None:
    figure = compass("east", base="east", person="north")
    assert figure.value is None and "as near to this author" in figure.why
    assert figure.details["cosines"]["bot"] == pytest.approx(1.0)


def test_a_small_set_is_no_further_than_a_large_one() -> None:
    """Means of few texts are long; the pairs of different texts do not show it."""
    rng = np.random.default_rng(0)
    every = {f"{name}{at}": at for name in ("a", "b") for at in range(600)}
    noise = rng.normal(size=(1_200, 40)) + 0.5
    embed: Embed = lambda texts: np.array([noise[every[t] + 600 * (t[0] == "b")] for t in texts])  # noqa: E731
    learned = [f"a{at}" for at in range(600)]
    large, small = [f"b{at}" for at in range(500)], [f"b{at}" for at in range(500, 530)]
    cosines = style(
        Texts(learned=learned, held_out=large, bot=small, floors={"base": large}), CONFIG, embed
    ).details["cosines"]
    assert cosines["bot"] == pytest.approx(cosines["person"], abs=0.05)


def test_profiles_find_the_nearer_writer() -> None:
    sea = [f"the ferry left at {n}, low tide, fog on the harbour" for n in range(30)]
    toast = [f"TOASTER {n}!!! burnt :( lol" for n in range(30)]
    mixed = [*sea[:15], *toast[:15]]
    texts = Texts(learned=sea, held_out=sea[::2], bot=mixed, floors={"base": toast})
    figure = style(texts, CONFIG)
    assert figure.value is not None and 0.2 < figure.value < 0.95
    assert profiles(sea)(["x"]).shape[0] == 1


def test_without_a_base_there_is_no_scale() -> None:
    figure = style(Texts(learned=["a"] * 10, held_out=["a"] * 10, bot=["a"] * 10), CONFIG)
    assert figure.value is None and "untouched base" in figure.why

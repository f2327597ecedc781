"""Bits per byte, gain and author specificity, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.config import ReportConfig
from mynah.evaluation.likelihood import BitsPerByte, Costs, compare, likelihood

CONFIG = ReportConfig(resamples=200)
NAT = math.log(2)  # nats of one bit
NOBODY = Costs(texts=[], base=[], bot=[])


def costs(base: list[float], bot: list[float], texts: list[str] | None = None) -> Costs:
    return Costs(texts=texts or ["x"] * len(base), base=base, bot=bot)


def found(costs: Costs, config: ReportConfig = CONFIG) -> BitsPerByte:
    made = compare(costs, config)
    assert made is not None
    return made


def test_bits_and_gain_are_worked_out_by_hand() -> None:
    # 4 and 2 bytes ("é" is two); base 12 + 6 bits = 3 a byte, bot 6 + 3 = 1.5 a byte.
    made = found(costs([12 * NAT, 6 * NAT], [6 * NAT, 3 * NAT], ["abcd", "é"]))
    assert (made.base, made.bot, made.gain_percent, made.posts) == (3.0, 1.5, 50.0, 2)
    assert made.interval == (50.0, 50.0)  # both posts gain the same: nothing to be unsure of


def test_a_worse_bot_has_a_negative_gain() -> None:
    assert found(costs([1.0], [1.5])).gain_percent == -50.0


def test_the_interval_of_two_posts_is_that_of_their_three_mixtures() -> None:
    # Drawn with replacement: both first (gain 100), both second (0), or one each (50).
    made = found(costs([1.0, 1.0], [0.0, 1.0]))
    assert (made.gain_percent, made.interval) == (50.0, (0.0, 100.0))


COSTS = st.lists(st.tuples(st.floats(1, 50), st.floats(0.5, 50)), min_size=1, max_size=30)


@given(pairs=COSTS)
def test_the_interval_is_the_same_every_time_and_holds_the_estimate(
    pairs: list[tuple[float, float]],
) -> None:
    base, bot = (list(each) for each in zip(*pairs, strict=True))
    made = found(costs(base, bot))
    assert made == found(costs(base, bot)) and made.interval
    low, high = made.interval
    gains = 100 * (1 - np.array(bot) / np.array(base))
    assert low <= high
    assert gains.min() - 0.01 <= low and high <= gains.max() + 0.01
    if len(pairs) > 4:
        assert low - 0.01 <= made.gain_percent <= high + 0.01


def test_another_seed_draws_another_interval() -> None:
    base, bot = np.random.default_rng(1).uniform(1, 9, size=(2, 20)).tolist()
    first = found(costs(base, bot), ReportConfig(resamples=200, seed=0))
    second = found(costs(base, bot), ReportConfig(resamples=200, seed=1))
    assert first.interval != second.interval and first.gain_percent == second.gain_percent


def test_the_figures_stand_beside_their_floors() -> None:
    mine = Costs(
        texts=["abcd", "abcd"],
        base=[8 * NAT, 16 * NAT],  # 24 bits in 8 bytes: 3 a byte
        bot=[6 * NAT, 6 * NAT],  # 12 bits: 1.5 a byte, half of the base's
        few_shot={1: 12 * NAT},  # a quarter less than the 16 of the second post
        shown=30,
    )
    theirs = costs([10.0], [9.0])  # a tenth less
    bits, gain, own = likelihood(mine, theirs, CONFIG, "")
    assert bits.value == pytest.approx(1.5)
    assert bits.floors == pytest.approx({"base": 3.0, "few_shot": 2.25})
    assert bits.ceiling is None and "nobody knows" in bits.why
    assert gain.value == pytest.approx(50.0)
    assert gain.floors == pytest.approx({"base": 0.0, "few_shot": 25.0})
    assert own.value == pytest.approx(40.0) and own.floors == {"base": 0.0}
    assert own.details == pytest.approx({"gain_on_others": 10.0, "posts_of_others": 1})
    assert (bits.n, gain.n, own.n) == (2, 2, 3)


def test_a_gain_that_others_have_as_well_is_not_the_authors_own() -> None:
    [_, _, own] = likelihood(costs([2.0, 4.0], [1.0, 2.0]), costs([6.0], [3.0]), CONFIG, "")
    assert own.value == pytest.approx(0.0)
    assert own.interval == pytest.approx((0.0, 0.0))


def test_without_posts_there_are_no_figures_and_a_reason() -> None:
    figures = likelihood(NOBODY, costs([1.0], [1.0]), CONFIG, "Nothing was held out.")
    assert [figure.value for figure in figures] == [None, None, None]
    assert figures[0].why == figures[1].why == "Nothing was held out."
    assert compare(NOBODY, CONFIG) is None
    [_, _, own] = likelihood(costs([2.0], [1.0]), NOBODY, CONFIG, "")
    assert own.value is None and "No posts of other authors" in own.why

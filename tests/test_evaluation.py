"""The voice report: gain, interval, copied shares and verdict, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex
from mynah.evaluation import BitsPerByte, Copied, VoiceReport, compare, count_copies, judge
from mynah.records import Generation

CONFIG = ReportConfig(resamples=200)
NAT = math.log(2)  # nats of one bit


def bits(gain: float, low: float, high: float) -> BitsPerByte:
    return BitsPerByte(base=2.0, bot=1.0, gain_percent=gain, interval=(low, high), posts=9)


def copied(bot: float, person: float) -> Copied:
    return Copied(bot=bot, unguarded=bot, person=person, samples=10)


def test_bits_and_gain_are_worked_out_by_hand() -> None:
    # 4 and 2 bytes ("é" is two); base 12 + 6 bits = 3 a byte, bot 6 + 3 = 1.5 a byte.
    found = compare([12 * NAT, 6 * NAT], [6 * NAT, 3 * NAT], ["abcd", "é"], CONFIG)
    assert (found.base, found.bot, found.gain_percent, found.posts) == (3.0, 1.5, 50.0, 2)
    assert found.interval == (50.0, 50.0)  # both posts gain the same: nothing to be unsure of


def test_a_worse_bot_has_a_negative_gain() -> None:
    assert compare([1.0], [1.5], ["x"], CONFIG).gain_percent == -50.0


def test_the_interval_of_two_posts_is_that_of_their_three_mixtures() -> None:
    # Drawn with replacement: both first (gain 100), both second (0), or one each (50).
    found = compare([1.0, 1.0], [0.0, 1.0], ["x", "y"], CONFIG)
    assert (found.gain_percent, found.interval) == (50.0, (0.0, 100.0))


COSTS = st.lists(st.tuples(st.floats(1, 50), st.floats(0.5, 50)), min_size=1, max_size=30)


@given(costs=COSTS)
def test_the_interval_is_the_same_every_time_and_holds_the_estimate(
    costs: list[tuple[float, float]],
) -> None:
    base, bot = zip(*costs, strict=True)
    texts = ["some text"] * len(costs)
    found = compare(base, bot, texts, CONFIG)
    assert found == compare(base, bot, texts, CONFIG)
    low, high = found.interval
    gains = 100 * (1 - np.array(bot) / np.array(base))
    assert low <= high
    assert gains.min() - 0.01 <= low and high <= gains.max() + 0.01
    if len(costs) > 4:
        assert low - 0.01 <= found.gain_percent <= high + 0.01


def test_another_seed_draws_another_interval() -> None:
    costs = np.random.default_rng(1).uniform(1, 9, size=(2, 20))
    texts = ["text"] * 20
    first = compare(*costs, texts, ReportConfig(resamples=200, seed=0))
    second = compare(*costs, texts, ReportConfig(resamples=200, seed=1))
    assert first.interval != second.interval and first.gain_percent == second.gain_percent


def test_copies_of_bot_and_person_are_counted() -> None:
    index = CopyIndex(["one two three four five", "six seven eight"])
    samples = [
        Generation(text="Six seven eight!", prompt="", seed=0, copied_first=True),
        Generation(text="one red two blue three", prompt="", seed=0, copied_first=True),
        Generation(text="nothing here", prompt="", seed=0),
        Generation(text="nor there", prompt="", seed=0),
    ]
    held_out = ["one two three four five", "two three", "entirely new words"]
    found = count_copies(samples, held_out, index, GenerationConfig())
    assert found == Copied(bot=0.25, unguarded=0.5, person=0.6667, samples=4)


@pytest.mark.parametrize(
    ("figures", "copies", "words"),
    [
        (bits(5, 2, 8), copied(0, 0), "a little better than its base: 5 % fewer bits"),
        (bits(15, 12, 18), copied(0, 0), "clearly better than its base: 15 % fewer bits"),
        (bits(40, 30, 50), copied(0, 0), "much better than its base: 40 % fewer bits"),
        (bits(5, -1, 11), copied(0, 0), "does not predict new posts of this account better"),
        (bits(-5, -9, -1), copied(0, 0), "does not predict new posts of this account better"),
        (bits(15, 12, 18), copied(0.1, 0.08), "does not copy more than the person repeats"),
        (bits(15, 12, 18), copied(0.2, 0.1), "copies more than the person repeats"),
        (bits(15, 12, 18), copied(0.2, 0.6), "The person repeats 60 % of their own posts."),
    ],
)
def test_the_verdict_says_what_the_figures_say(
    figures: BitsPerByte, copies: Copied, words: str
) -> None:
    assert words in judge(figures, copies)


def test_the_report_is_written_as_promised() -> None:
    row = VoiceReport(verdict="Good.", bits_per_byte=bits(5, 2, 8), copied=copied(0, 0)).to_json()
    assert row == {
        "verdict": "Good.",
        "bits_per_byte": {
            "base": 2.0,
            "bot": 1.0,
            "gain_percent": 5,
            "interval": [2, 8],
            "posts": 9,
        },
        "copied": {"bot": 0, "unguarded": 0, "person": 0, "samples": 10},
    }

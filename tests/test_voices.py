"""How much of each voice is heard: chances worked out by hand."""

from __future__ import annotations

from math import log

import pytest

from mynah.config import ReportConfig
from mynah.evaluation.voices import Voice, chances, voices

CONFIG = ReportConfig(resamples=50)


def test_chances_are_shares_of_the_likelihoods() -> None:
    """A text that costs one bot two nats less is e squared times as likely its own."""
    found = chances([[1000.0, log(4)], [1000.0, log(1)]])
    assert found[:, 0].tolist() == [0.5, 0.5]
    assert found[:, 1].tolist() == pytest.approx([0.2, 0.8])


def voice(name: str, said: list[float], bots: list[list[float]]) -> Voice:
    return Voice(name=name, weight=0.5, base=[10.0, 10.0], blend=[8.0, 8.0], bots=bots, said=said)


def test_each_voice_is_heard_as_much_as_its_chance_on_average() -> None:
    own, other = [[6.0, 6.0], [9.0, 9.0]], [[9.0, 9.0], [6.0, 6.0]]
    one = voice("ann", [0.0, 50.0, 0.0, 0.0], own)
    two = voice("bob", [50.0, 0.0, 50.0, 50.0], other)
    figures = {each.name: each for each in voices([one, two], CONFIG)}
    assert figures["heard_ann"].value == pytest.approx(0.75)
    assert figures["heard_bob"].value == pytest.approx(0.25)
    low, high = figures["heard_ann"].interval or (0, 0)
    assert low < 0.75 < high
    assert figures["heard_ann"].ceiling == pytest.approx(1 / (1 + 2.718281828**-3))
    assert figures["gain_ann"].value == pytest.approx(20)
    assert figures["alone_bob"].value == pytest.approx(40)


def test_a_silent_blend_has_a_reason_and_no_value() -> None:
    [first, *_] = voices(
        [voice("ann", [], [[6.0], [9.0]]), voice("bob", [], [[9.0], [6.0]])], CONFIG
    )
    assert first.value is None and first.why == "The bot said nothing."


def test_without_voices_there_is_no_figure() -> None:
    assert voices([], CONFIG) == ()

"""How posts look: features counted by hand, and the distance between two counts."""

from __future__ import annotations

from math import log2, sqrt

import numpy as np
import pytest

from mynah.config import ReportConfig
from mynah.evaluation.features import (
    capitals,
    emoji,
    features,
    hashtags,
    length,
    mentions,
    punctuation,
    time_words,
    word_use,
)
from mynah.evaluation.surface import distances, parts, surface
from mynah.evaluation.texts import Texts

CONFIG = ReportConfig(resamples=60)


def test_the_distance_is_worked_out_by_hand() -> None:
    """P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4): H(M) - (H(P) + H(Q)) / 2 = 0.8113 - 0.5."""
    entropy = -(0.75 * log2(0.75) + 0.25 * log2(0.25))
    found = distances(np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 7.0]]), np.array([5.0, 5.0]))
    assert found == pytest.approx([sqrt(entropy - 0.5), 0.0, sqrt(entropy - 0.5)])
    assert distances(np.array([[4.0, 0.0]]), np.array([0.0, 9.0])) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("feature", "text", "counted"),
    [
        (length, "x" * 20, {"≤ 20": 1}),
        (length, "x" * 21, {"≤ 40": 1}),
        (length, "x" * 281, {"longer": 1}),
        (emoji, "no emoji ©, 日本のひらがな → x", {"0": 1}),
        (emoji, "👩‍👩‍👧 and 🇳🇴 and 👍🏽", {"3 or more": 1}),
        (emoji, "fog ☀️", {"1": 1}),
        (capitals, "low tide", {"≤ 0%": 1}),
        (capitals, "Low tide", {"≤ 20%": 1}),  # one of seven letters
        (capitals, "BONG BONG", {"more": 1}),
        (capitals, "7/10 日本", {"no letters": 1}),
        (punctuation, "well, well... #no @one", {",": 1, ".": 3}),
        (punctuation, "nothing", {"none": 1}),
        (hashtags, "#one #two, not a#b nor # alone", {"2": 1}),
        (mentions, "@a_b hello, mail a@b.example", {"1": 1}),
        (mentions, "@a @b @c @d", {"3 or more": 1}),
        (
            time_words,
            "Monday morning at 7:30, see you today in 2024",
            {
                "day of the week": 1,
                "part of the day": 1,
                "now and then": 1,
                "time of the clock": 1,
                "year": 1,
            },
        ),
        (time_words, "hier soir, aujourd’hui", {"now and then": 2, "part of the day": 1}),
        (time_words, "a gull", {"none": 1}),
    ],
)
def test_a_feature_is_counted_by_hand(feature, text: str, counted: dict[str, int]) -> None:
    assert dict(feature(text)) == counted


def test_words_are_counted_one_by_one_if_they_are_common() -> None:
    count = word_use(["the sea the sea the gull"] + [f"word{n} word{n}" for n in range(200)])
    assert dict(count("The sea, the boat; the 💜")) == {"the": 3, "sea": 1, "other words": 1}
    assert dict(count("💜")) == {"none": 1}


def test_there_are_nine_features_and_language_is_one() -> None:
    german = "Die Fähre hat heute Morgen wieder einmal niemanden mitgenommen, keiner weiß warum."
    english = "The ferry left the harbour this morning and nobody knew why it was early."
    french = "Le bateau est parti ce matin sans personne et on ne sait toujours pas pourquoi."
    every = {feature.name: feature for feature in features([german] * 30 + [english] * 30)}
    assert len(every) == 9
    spoken = [dict(every["language"].count(text)) for text in (german, english, french, "👍")]
    assert spoken == [{"de": 1}, {"en": 1}, {"other": 1}, {"none": 1}]


SEA = [f"The ferry left at {n} o'clock, as it does on Monday." for n in range(30)]


def test_the_same_posts_are_near_and_others_far() -> None:
    shout = [f"TOAST!!! #{n}x 🔥🔥🔥 @gary" for n in range(30)]
    made = {
        figure.name: figure
        for figure in surface(
            Texts(learned=SEA, held_out=SEA[:20], bot=shout, floors={"base": SEA[:12]}), CONFIG
        )
    }
    assert len(made) == 10
    for name in ("length", "capitals", "hashtags", "mentions", "emoji", "time"):
        figure = made[f"surface_{name}"]
        assert figure.value == pytest.approx(1.0), name
        assert figure.ceiling == pytest.approx(0.0, abs=0.2), name
    mean = made.pop("surface")
    assert mean.value == pytest.approx(np.mean([figure.value for figure in made.values()]))
    assert mean.interval and mean.interval[0] <= mean.value <= mean.interval[1]
    assert made["surface_length"].details["texts_compared"] == 12  # as many as the smallest has


def test_sets_are_compared_at_the_size_of_the_smallest() -> None:
    """Ten texts of a set look further from it than a hundred do."""
    config = ReportConfig(resamples=20)
    chosen = parts(100, 10, config)
    assert chosen.shape[1] == 100 and (chosen.sum(axis=1) == 10).all()
    assert (parts(10, 10, config) == 1).all()
    rng = np.random.default_rng(0)
    classes = [str(each) for each in rng.integers(0, 10, 400)]
    words = [f"w{each} w{each}" for each in classes]
    sets = {"learned": words, "held_out": words[:100], "floors": {"base": words[100:110]}}
    [_, _, use, *_] = surface(Texts(bot=words[200:300], **sets), config)
    assert use.name == "surface_words"
    assert use.value == pytest.approx(use.ceiling, abs=0.08)
    assert use.value == pytest.approx(use.floors["base"], abs=0.15)


def test_few_posts_are_said() -> None:
    figures = surface(Texts(learned=SEA, held_out=SEA, bot=SEA[:3]), CONFIG)
    assert all(figure.value is None for figure in figures)
    assert "needs 10 posts by the bot, and 3 were drawn" in figures[0].why
    [mean, *_] = surface(Texts(learned=SEA, held_out=SEA[:3], bot=SEA), CONFIG)
    assert mean.value is not None and mean.ceiling is None
    assert "3 held-out posts are too few" in mean.why

"""The verdict says what the figures say, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from mynah.evaluation.figure import Figure
from mynah.evaluation.verdict import judge

PLAIN: dict[str, Any] = {"label": "x", "unit": "ratio", "better": "lower"}


def figure(name: str, value: float | None, ceiling: float | None = None, **more: Any) -> Figure:
    return Figure(name=name, value=value, ceiling=ceiling, **PLAIN | more)


def gain(value: float | None, low: float = 0, high: float = 0, **more: Any) -> Figure:
    return figure("gain", value, interval=(low, high) if value is not None else None, **more)


def verdict(*changed: Figure, person_repeats: float | None = 0.1) -> str:
    figures = [
        gain(15, 12, 18),
        figure("copied", 0.0, 0.0),
        figure("extraction", 0.0, 0.0),
        figure("detectability", None),
    ]
    return judge({each.name: each for each in (*figures, *changed)}, person_repeats)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (gain(5, 2, 8), "a little better than its base: 5 % fewer bits."),
        (gain(15, 12, 18), "clearly better than its base: 15 % fewer bits."),
        (gain(40, 30, 50), "much better than its base: 40 % fewer bits."),
        (gain(5, -1, 11), "does not predict new posts of this account better"),
        (gain(-5, -9, -1), "does not predict new posts of this account better"),
        (gain(None, why="Nothing was held out."), "cannot be said. Nothing was held out."),
        (
            gain(27, 24, 30, floors={"few_shot": 21.7}),
            "27 % fewer bits (22 % where the base is only shown some posts).",
        ),
        (gain(20, 17, 23, floors={"few_shot": 21.0}), "no more than the base saves when it is"),
    ],
)
def test_what_was_learned(found: Figure, words: str) -> None:
    assert words in verdict(found)


def test_an_account_that_repeats_itself_is_told_so() -> None:
    said = verdict(gain(60, 50, 70), person_repeats=0.84)
    assert said.startswith("Fine-tuning did not help here: the person repeats 84 % of their posts")
    assert "fewer bits" not in said
    assert "Fine-tuning did not help" not in verdict(person_repeats=0.5)
    assert "Fine-tuning did not help" not in verdict(person_repeats=None)


@pytest.mark.parametrize(
    ("bot", "person", "words"),
    [
        (0.1, 0.08, "does not copy more than the person repeats"),
        (0.2, 0.1, "copies more than the person repeats"),
        (0.2, None, "copies more than the person repeats"),
    ],
)
def test_what_is_copied(bot: float, person: float | None, words: str) -> None:
    assert words in verdict(figure("copied", bot, person))


def test_what_is_known_by_heart_beyond_guessing() -> None:
    assert "12 % of the posts it learned from by heart" in verdict(figure("extraction", 0.12, 0.05))
    assert "by heart" not in verdict(figure("extraction", 0.12, 0.11))


@pytest.mark.parametrize(
    ("area", "words"),
    [
        (0.45, "can hardly tell"),
        (0.7, "more often than not: right in 0.70 of pairs"),
        (0.85, "most of the time"),
        (1.0, "nearly every time"),
    ],
)
def test_who_can_tell(area: float, words: str) -> None:
    said = verdict(figure("detectability", area, 0.62))
    assert words in said and "the person's own old posts in 0.62." in said


def test_what_people_found() -> None:
    assert "People tell them apart in 0.65 of 40 pairs." in verdict(figure("human", 0.65, n=40))


def test_the_weak_spot_is_what_is_furthest_from_the_person() -> None:
    spots = (figure("surface_emoji", 0.3, 0.1), figure("surface_length", 0.5, 0.45))
    assert verdict(*spots).endswith("Its weak spot: how many emoji it uses.")
    assert verdict(spots[1]).endswith("Nothing in the look of its posts gives it away.")
    assert "weak spot" not in verdict(figure("surface_emoji", None))

"""What people say: the score of the quiz "real or bot?", where somebody has played it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mynah.evaluation.figure import Figure

NAME, SECTION = "human", "voice"
_AFTER = "detectability"

Json = dict[str, Any]


def human(quiz: Mapping[str, Any]) -> Figure:
    """Return how often people told the bot's post from the real one; 0.5 is guessing.

    Args:
        quiz: quiz.json: pairs shown, right answers, their share and its Wilson interval.
    """
    return Figure(
        name=NAME,
        label="Told apart by people",
        unit="ratio",
        better="half",
        main=True,
        value=quiz["share"],
        interval=(quiz["low"], quiz["high"]),
        n=quiz["pairs"],
        why="People are asked about this bot only, so there is no floor.",
        details={"right": quiz["right"], "rounds": len(quiz.get("rounds") or ())},
    )


def with_human(sections: Sequence[Json], quiz: Mapping[str, Any] | None) -> list[Json]:
    """Return the sections of report.json with the quiz's figure in its place, none where unplayed.

    Both files may be written at any time: whoever shows a report calls this.
    """
    return [
        {**section, "figures": _placed(section["figures"], quiz)}
        if section["name"] == SECTION
        else section
        for section in sections
    ]


def _placed(figures: Sequence[Json], quiz: Mapping[str, Any] | None) -> list[Json]:
    kept = [figure for figure in figures if figure["name"] != NAME]
    if quiz and quiz.get("pairs"):
        at = [figure["name"] for figure in kept].index(_AFTER) + 1
        kept.insert(at, human(quiz).to_json())
    return kept

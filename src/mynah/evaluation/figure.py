"""One figure of the voice report: a value, how sure it is, and what to hold it against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Interval = tuple[float, float]
Better = Literal["lower", "higher", "half", "person"]  # person: as close to theirs as can be
Unit = Literal["bits", "percent", "share", "ratio", "words"]

PERSON = "person"
BOT = "bot"
FLOORS = ("base", "few_shot", "markov")  # what costs no training, in the order of columns


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the report.

    A floor is what can be had without training: the untouched base, the base that is shown some
    of the posts, a Markov chain of the posts. The ceiling is the person: their held-out posts
    against those they wrote before. Nobody can do better than that, and more is no better.
    """

    name: str
    label: str
    unit: Unit
    better: Better
    main: bool = False  # one of the few that the card shows
    value: float | None = None  # None where it cannot be computed; `why` has the reason
    interval: Interval | None = None  # 95 %
    n: int = 0  # what the value rests on: texts, posts, or pairs
    floors: Mapping[str, float] = field(default_factory=dict)
    ceiling: float | None = None
    excess: float | None = None  # the bot's minus the person's, where that is the point
    excess_interval: Interval | None = None
    why: str = ""  # what is missing in the row, and why
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the object of report.json, numbers to four digits after the point."""
        row: dict[str, Any] = rounded(asdict(self))
        return row


@dataclass(frozen=True, kw_only=True)
class Section:
    """Figures that answer one question."""

    name: str
    title: str
    about: str  # what is measured and how to read it
    figures: tuple[Figure, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object of report.json."""
        return {**asdict(self), "figures": [figure.to_json() for figure in self.figures]}


def columns(found: Mapping[str, float]) -> dict[str, Any]:
    """Return the fields of a figure from its value for the bot, the floors and the person."""
    return {
        "value": found.get(BOT),
        "floors": {name: found[name] for name in FLOORS if name in found},
        "ceiling": found.get(PERSON),
    }


def rounded(value: Any) -> Any:
    """Return numbers inside lists and objects to four digits; what is no number becomes None."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value

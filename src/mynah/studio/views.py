"""What the page shows, as HTML: a macro of templates/studio.html each, all that goes in escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mynah.errors import MynahError
from mynah.templating import page

Points = Sequence[tuple[int, float]]

_WIDTH, _HEIGHT = 600.0, 180.0  # of the curve, in units of its own


def view(name: str, **what: Any) -> str:
    """Return a piece of the page."""
    return str(getattr(page("studio.html").module, name)(**what))


def error_view(error: MynahError) -> str:
    """Return an error as one sentence, and what helps."""
    return view("error", sentence=error.sentence, hint=error.hint)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through losses, and what to say instead of it."""

    name: str
    points: str  # x,y x,y ..., as SVG has them
    start: float
    end: float

    @property
    def words(self) -> str:
        """Return the line in words."""
        return f"{self.name} from {self.start:.2f} to {self.end:.2f}"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Lines through losses by step, on one scale."""

    first: int
    last: int
    learned: Line
    held_out: Line | None

    @property
    def words(self) -> str:
        """Return the lines in words."""
        lines = "; ".join(line.words for line in (self.learned, self.held_out) if line)
        return f"Loss from step {self.first} to {self.last}: {lines}."


def curve_of(losses: Points, unseen: Points = ()) -> Curve | None:
    """Return the curves of losses by step; None while there are too few."""
    if len(losses) < 2:
        return None
    both = [*losses, *unseen]
    steps, values = [step for step, _ in both], [loss for _, loss in both]
    scale = (min(steps), max(steps), min(values), max(values))
    return Curve(
        first=scale[0],
        last=scale[1],
        learned=_line("learned posts", losses, scale),
        held_out=_line("held-out posts", unseen, scale) if unseen else None,
    )


def _line(name: str, points: Points, scale: tuple[int, int, float, float]) -> Line:
    first, last, low, high = scale
    wide, tall = last - first or 1, high - low or 1.0
    placed = " ".join(
        f"{_WIDTH * (step - first) / wide:.1f},{6 + (_HEIGHT - 12) * (high - loss) / tall:.1f}"
        for step, loss in points
    )
    return Line(name=name, points=placed, start=points[0][1], end=points[-1][1])

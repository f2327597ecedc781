"""What the page shows, as HTML: a macro of templates/studio.html each, all that goes in escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mynah.errors import MynahError
from mynah.templating import page

_WIDTH, _HEIGHT = 600.0, 180.0  # of the curve, in units of its own


def view(name: str, **what: Any) -> str:
    """Return a piece of the page."""
    return str(getattr(page("studio.html").module, name)(**what))


def error_view(error: MynahError) -> str:
    """Return an error as one sentence, and what helps."""
    return view("error", sentence=error.sentence, hint=error.hint)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through losses, and what to say instead of it."""

    points: str  # x,y x,y ..., as SVG has them
    first: int
    last: int
    start: float
    end: float

    @property
    def words(self) -> str:
        """Return the curve in words."""
        return f"The loss went from {self.start:.2f} to {self.end:.2f} in {self.last} steps."


def curve_of(losses: Sequence[tuple[int, float]]) -> Curve | None:
    """Return the curve of losses by step; None while there are too few."""
    if len(losses) < 2:
        return None
    steps, values = [step for step, _ in losses], [loss for _, loss in losses]
    low, high = min(values), max(values)
    wide, tall = steps[-1] - steps[0] or 1, high - low or 1.0
    points = " ".join(
        f"{_WIDTH * (step - steps[0]) / wide:.1f},{6 + (_HEIGHT - 12) * (high - loss) / tall:.1f}"
        for step, loss in losses
    )
    return Curve(points=points, first=steps[0], last=steps[-1], start=values[0], end=values[-1])

"""A tracker that may fail without anything else failing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mynah.tracking.tracker import Cell, NullTracker, Run, Thing, Tracker
from mynah.watch import Watch

Answer = TypeVar("Answer")


class Careful:
    """Pass everything on to a tracker; after its first failure say so, and keep nothing more.

    Training takes minutes to hours, a record of it is worth none of them. The tracker is opened
    when it is first told something, since that may take a second.
    """

    def __init__(self, name: str, opener: Callable[[], Tracker], watch: Watch) -> None:
        self._name, self._opener, self._watch = name, opener, watch
        self._inner: Tracker | None = None

    def has(self, run: str) -> bool:
        """Ask the tracker; one that fails has all it will ever have."""
        return self._ask(lambda tracker: tracker.has(run), True)

    def begin(self, run: Run) -> None:
        """Open a run."""
        self._ask(lambda tracker: tracker.begin(run), None)

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Keep figures."""
        self._ask(lambda tracker: tracker.log(figures, step), None)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep a table."""
        self._ask(lambda tracker: tracker.table(name, columns, rows), None)

    def note(self, name: str, text: str) -> None:
        """Keep a text."""
        self._ask(lambda tracker: tracker.note(name, text), None)

    def used(self, thing: Thing) -> None:
        """Keep that the run is made of something."""
        self._ask(lambda tracker: tracker.used(thing), None)

    def made(self, thing: Thing) -> None:
        """Keep that the run has made something."""
        self._ask(lambda tracker: tracker.made(thing), None)

    def end(self, finished: bool) -> None:
        """Close the run."""
        if self._inner:  # else it was told nothing
            self._ask(lambda tracker: tracker.end(finished), None)

    def _ask(self, question: Callable[[Tracker], Answer], otherwise: Answer) -> Answer:
        try:
            self._inner = self._inner or self._opener()
            return question(self._inner)
        except Exception as error:
            self._inner = NullTracker()
            words = " ".join(str(error).split())[:200] or type(error).__name__
            self._watch.say(
                f"The tracker {self._name} failed, so this is not tracked any further: {words}"
            )
            return otherwise

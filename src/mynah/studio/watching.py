"""Who looks on in a worker: it writes down what the page will show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mynah.studio.jobs import Job
from mynah.tracking import NullTracker, Run, Thing, Tracker
from mynah.tracking.tracker import Cell

Points = tuple[tuple[int, float], ...]

_PAUSE = 0.3  # seconds between two writings: a page asks once a second


class JobWatch:
    """A watch that keeps the status of a job."""

    def __init__(self, job: Job) -> None:
        """Go on from the status that the job has."""
        self.job = job
        self.status = replace(job.status(), state="running", error="", hint="")
        self._last = 0.0
        self._write()

    def say(self, sentence: str) -> None:
        """Keep one sentence."""
        before = tuple(each for each in self.status.sentences if each != sentence)
        self.status = replace(self.status, sentences=(*before, sentence))
        self._write()

    def begin(self, what: str, total: float | None = None) -> None:
        """Start a bar."""
        self.status = replace(self.status, step=what, done=0.0, total=total, note="")
        self._write()

    def advance(self, done: float, note: str = "") -> None:
        """Move the bar."""
        self.status = replace(self.status, done=done, note=note)
        if time.monotonic() - self._last > _PAUSE:
            self._write()

    def end(self) -> None:
        """Leave the bar until the next one begins."""
        self._write()

    def learned(self, step: int, loss: float, held_out: float | None = None) -> None:
        """Keep losses; a step that is repeated after a resumption counts once."""
        losses = _with(self.status.losses, step, loss)
        unseen = _with(self.status.held_out, step, held_out)
        self.status = replace(self.status, losses=losses, held_out=unseen)

    def finish(self, part: str) -> None:
        """Keep that a part need not be done again."""
        self.status = replace(self.status, finished=(*self.status.finished, part))
        self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        self.job.keep(self.status)


def _with(points: Points, step: int, loss: float | None) -> Points:
    before = tuple(each for each in points if each[0] < step)
    return before if loss is None else (*before, (step, round(loss, 4)))


class CurveTracker:
    """A tracker that shows the losses to a watch, and passes everything on to another tracker."""

    def __init__(self, watch: JobWatch, inner: Tracker | None = None) -> None:
        """Take who looks on, and who keeps the record."""
        self._watch, self._inner = watch, inner or NullTracker()

    def has(self, run: str) -> bool:
        """Ask the other."""
        return self._inner.has(run)

    def begin(self, run: Run) -> None:
        """Pass it on."""
        self._inner.begin(run)

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Show losses that were just had, and pass all on."""
        if step is not None and "learning_rate" in figures:
            self._watch.learned(step, figures["loss"], figures.get("held_out_loss"))
        self._inner.log(figures, step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Pass it on."""
        self._inner.table(name, columns, rows)

    def note(self, name: str, text: str) -> None:
        """Pass it on."""
        self._inner.note(name, text)

    def used(self, thing: Thing) -> None:
        """Pass it on."""
        self._inner.used(thing)

    def made(self, thing: Thing) -> None:
        """Pass it on."""
        self._inner.made(thing)

    def end(self, finished: bool) -> None:
        """Pass it on."""
        self._inner.end(finished)

"""Times the parts of a piece of work, and moves the bar by what each is known to take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from mynah.watch import Watch


class Clock:
    """Wall and processor seconds of each part, in the order in which they ran."""

    def __init__(self, watch: Watch, parts: Mapping[str, tuple[float, str]]) -> None:
        """Take the parts: about how long each takes, in any unit, and its words beside the bar."""
        self._watch, self._parts, self._done = watch, parts, 0.0
        self.total = sum(expected for expected, _ in parts.values())
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time a part; the block gets what moves the bar within it, from 0 to 1."""
        expected, words = self._parts[name]
        start, processor = time.monotonic(), time.process_time()

        def moved(share: float) -> None:
            self._watch.advance(self._done + expected * share, words)

        moved(0.0)
        yield moved
        self._done += expected
        self.seconds[name] = round(time.monotonic() - start, 2)
        self.processor_seconds[name] = round(time.process_time() - processor, 2)

"""Who looks on while a stage works: a terminal, a page, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Watch(Protocol):
    """What a stage tells whoever looks on."""

    def say(self, sentence: str) -> None:
        """Show one sentence."""

    def begin(self, what: str, total: float | None = None) -> None:
        """Start a bar; `total` is in whatever unit `advance` counts, None where unknown."""

    def advance(self, done: float, note: str = "") -> None:
        """Move the bar to `done` and show a few words beside it."""

    def end(self) -> None:
        """Take the bar away."""


class Nobody:
    """The null watch: does nothing."""

    def say(self, sentence: str) -> None:
        """Show nothing."""

    def begin(self, what: str, total: float | None = None) -> None:
        """Show nothing."""

    def advance(self, done: float, note: str = "") -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


@contextmanager
def bar(watch: Watch, what: str, total: float | None = None) -> Iterator[None]:
    """Show a bar for as long as the block takes, and take it away however that ends."""
    watch.begin(what, total)
    try:
        yield
    finally:
        watch.end()

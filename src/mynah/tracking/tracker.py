"""What a stage tells whoever keeps a record: figures, posts, and what was made of what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

PROJECT = "mynah"  # all bots stand side by side in it, to be compared

Kind = Literal["posts", "dataset", "base", "bot", "report"]
Cell = str | int | float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One stage of one bot."""

    id: str  # the same where a stopped training goes on
    bot: str
    stage: str
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what people read."""
        return f"{self.bot} {self.stage}"


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One link of the lineage, known by its hash. It is pointed at and never copied."""

    name: str
    kind: Kind
    sha256: str
    path: Path  # a file or a folder
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return a name that every tracker takes, with its kind before it."""
        return safe_name(f"{self.kind}-{self.name}")

    @property
    def version(self) -> str:
        """Return a name of this content, short enough to read."""
        return self.sha256[:12]


class Tracker(Protocol):
    """Someone who keeps a record of runs. One run is open at a time."""

    def has(self, run: str) -> bool:
        """Tell whether a run of this id was begun before, in this process or another."""

    def begin(self, run: Run) -> None:
        """Open a run, or go on with it where it was begun before."""

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Keep figures; a step that the run has already is not kept twice."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep a table."""

    def note(self, name: str, text: str) -> None:
        """Keep a text: Markdown with headings, lists and bold words, nothing else."""

    def used(self, thing: Thing) -> None:
        """Keep that the run is made of something."""

    def made(self, thing: Thing) -> None:
        """Keep that the run has made something."""

    def end(self, finished: bool) -> None:
        """Close the run; where none is open, do nothing."""


class NullTracker:
    """The tracker that keeps nothing."""

    def has(self, run: str) -> bool:
        """Say yes, so that nobody tells the past."""
        return True

    def begin(self, run: Run) -> None:
        """Keep nothing."""

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Keep nothing."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep nothing."""

    def note(self, name: str, text: str) -> None:
        """Keep nothing."""

    def used(self, thing: Thing) -> None:
        """Keep nothing."""

    def made(self, thing: Thing) -> None:
        """Keep nothing."""

    def end(self, finished: bool) -> None:
        """Keep nothing."""


_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(text: str) -> str:
    """Return a name of plain letters; two names that differ still do."""
    plain = _UNSAFE.sub("-", text)[:100]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

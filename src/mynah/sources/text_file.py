"""A text file with one post a line."""

from __future__ import annotations

from collections.abc import Iterator

from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import lines
from mynah.sources.place import Place, stem
from mynah.sources.rows import Rows

SCHEME = "file"


def recognises(place: Place) -> float:
    """Guess by the name: any text is one post a line."""
    name = place.names[0].lower().removesuffix(".gz")
    return 0.3 if name.endswith((".txt", ".text")) or "." not in name else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the lines as they are asked for."""
    return Content("txt", Rows(stem(place), "txt", journal).posts(_rows(place, journal)))


def _rows(place: Place, journal: Journal) -> Iterator[dict[str, str]]:
    for line in lines(place.open(place.names[0], journal)):
        if line.strip():
            yield {"text": line.strip()}

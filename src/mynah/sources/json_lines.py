"""JSON with a `text` each, in lines or in one list: dumps, and Mynah's own posts.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mynah.errors import BrokenSource
from mynah.sources.guarded import AGAIN
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import array_entries, lines, outline
from mynah.sources.place import Place, first_line, stem
from mynah.sources.rows import TEXT, Rows
from mynah.sources.values import as_text

SCHEME = "file"


def recognises(place: Place) -> float:
    """Tell by the first object's text, or by a first line that begins an object."""
    start = _start(place)
    if not start.startswith(("{", "[")):
        return 0.0
    first = _lowered(outline(place))
    if any(as_text(first.get(name)) for name in TEXT):
        return 0.9
    # One object over several lines is somebody else's format.
    return 0.2 if start.startswith("{") and len(start) > 1 else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the objects as they are asked for."""
    rows = _listed(place, journal) if _start(place).startswith("[") else _rows(place, journal)
    return Content("jsonl", Rows(stem(place), "jsonl", journal).posts(rows))


def _start(place: Place) -> str:
    return first_line(place).strip("\ufeff \t\r")


def _listed(place: Place, journal: Journal) -> Iterator[dict[str, Any]]:
    yield from map(_lowered, array_entries(place.open(place.names[0], journal)))


def _rows(place: Place, journal: Journal) -> Iterator[dict[str, Any]]:
    name = place.names[0]
    for number, line in enumerate(lines(place.open(name, journal)), start=1):
        if line.strip():
            yield _row(line, f"Line {number:,} of {name}")


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BrokenSource(f"{where} is not JSON.", hint=AGAIN) from error
    if not isinstance(row, dict):
        raise BrokenSource(f"{where} is not a JSON object.", hint="Write one object a line.")
    return _lowered(row)


def _lowered(row: dict[str, Any]) -> dict[str, Any]:
    return {key.lower().replace(" ", "_"): value for key, value in row.items()}

"""JSON lines with a `text` each: dumps, and Mynah's own posts.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mynah.errors import BrokenSource
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import lines
from mynah.sources.place import AGAIN, Place, first_line, stem
from mynah.sources.rows import Rows

SCHEME = "file"


def recognises(place: Place) -> bool:
    """Tell whether the file's first line begins an object."""
    return first_line(place).lstrip("\ufeff \t").startswith("{")


def read(place: Place, journal: Journal) -> Content:
    """Read the lines as they are asked for."""
    return Content("jsonl", Rows(stem(place), "jsonl", journal).posts(_rows(place, journal)))


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
    return {key.lower().replace(" ", "_"): value for key, value in row.items()}

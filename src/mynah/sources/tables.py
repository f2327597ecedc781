"""Comma-, semicolon- and tab-separated tables as mappings, whatever made them."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from typing import Any

from mynah.errors import BrokenSource
from mynah.sources.guarded import AGAIN, Guarded
from mynah.sources.parsing import lines
from mynah.sources.rows import COLUMNS, ID, TEXT

_DELIMITERS = ",;\t"


def columns(line: str, wanted: Collection[str] = TEXT) -> tuple[list[str], str]:
    """Return a header line's columns and its delimiter; none if it has not one that is wanted."""
    for delimiter in _DELIMITERS:
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            continue
        names = [cell.strip().lstrip("\ufeff").lower().replace(" ", "_") for cell in cells]
        if set(names) & set(wanted):
            return names, delimiter
    return [], ","


def is_header(line: str, *, sure: bool) -> bool:
    """Tell whether a line names a column of texts; unless `sure` of a table, a second one too."""
    known = set(columns(line)[0]) & COLUMNS
    return len(known) >= (1 if sure else 2)


def table(stream: Guarded, wanted: Collection[str] = TEXT) -> Iterator[dict[str, Any]]:
    """Yield the rows by lower-case column name; a cut last row lacks its last columns.

    Raises:
        BrokenSource: a cell has no end, or the text is not UTF-8.
    """
    rows = lines(stream)
    names, delimiter = columns(next(rows, ""), wanted)
    try:
        for cells in csv.reader(rows, delimiter=delimiter):
            if cells:
                yield dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise BrokenSource(f"{stream.label} is a broken table ({error}).", hint=AGAIN) from error


def ids(stream: Guarded) -> frozenset[str]:
    """Return the ids of all rows."""
    return frozenset(str(row[name]) for row in table(stream) for name in ID if name in row)

"""Figures of report.json as cells of a table: the same in the terminal, the page and the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

NOTHING = "–"
COLUMNS = {
    "label": "Figure",
    "value": "Bot",
    "interval": "95 %",
    "base": "Base",
    "few_shot": "Base, shown posts",
    "markov": "Markov chain",
    "ceiling": "Person",
    "excess": "Bot minus person",
    "n": "n",
}
_FLOORS = ("base", "few_shot", "markov")
_DIGITS = {"bits": 3, "percent": 1, "share": 1, "ratio": 2, "words": 1}
_SIGNS = {"percent": " %", "share": " %"}
_BEST = {
    "lower": "lower is better",
    "higher": "higher is better",
    "half": "0.5 is best",
    "person": "near the person is best",
}


def number(value: float | None, unit: str, *, sign: bool = True) -> str:
    """Return a value in its unit; a dash where there is none."""
    if value is None:
        return NOTHING
    scaled = 100 * value if unit == "share" else value
    text = f"{scaled:.{_DIGITS[unit]}f}".replace("-", "−")
    return text + (_SIGNS.get(unit, "") if sign else "")


def span(ends: Sequence[float] | None, unit: str, *, short: bool = False) -> str:
    """Return an interval; a dash where there is none."""
    if not ends:
        return NOTHING
    low, high = (number(end, unit, sign=False) for end in ends)
    return f"{low}…{high}" if short else f"{low} to {high}{_SIGNS.get(unit, '')}"


def cells(figure: Json, *, short: bool = False) -> dict[str, str]:
    """Return what stands in each of COLUMNS for a figure."""
    unit, floors = figure["unit"], figure["floors"]
    return {
        "label": figure["label"],
        "value": number(figure["value"], unit),
        "interval": span(figure["interval"], unit, short=short),
        **{name: number(floors.get(name), unit) for name in _FLOORS},
        "ceiling": number(figure["ceiling"], unit),
        "excess": _excess(figure, short),
        "n": f"{figure['n']:,}" if figure["n"] else NOTHING,
    }


def _excess(figure: Json, short: bool) -> str:
    value, unit = number(figure["excess"], figure["unit"]), figure["unit"]
    ends = figure["excess_interval"]
    return value if short or not ends else f"{value} ({span(ends, unit)})"


def table_of(
    figures: Sequence[Json], *, without: Iterable[str] = (), short: bool = False
) -> list[dict[str, str]]:
    """Return the rows of a table, columns left out that are empty in all of them."""
    rows = [cells(figure, short=short) for figure in figures]
    used = [
        name
        for name in COLUMNS
        if name not in without and any(row[name] != NOTHING for row in rows)
    ]
    return [{name: row[name] for name in used} for row in rows]


def main_figures(report: Json) -> list[Json]:
    """Return the few figures that say most."""
    every = (figure for section in report["sections"] for figure in section["figures"])
    return [figure for figure in every if figure["main"]]


def best(figure: Json) -> str:
    """Return which way is better, in words."""
    return _BEST[figure["better"]]

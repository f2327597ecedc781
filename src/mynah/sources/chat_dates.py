"""Dates as phones write them: day, month and year in whatever order the country likes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

Order = Literal["dmy", "mdy", "ymd"]
_ORDERS: tuple[Order, ...] = ("dmy", "mdy", "ymd")
_FIRST_YEAR, _LAST_YEAR = 2009, 2099  # WhatsApp's first year

_HALVES = r"[AaPp]\.?\s?[Mm]\.?|[上下]午|午[前後]|오[전후]|[صم]|[πμ]\.μ\."
DATE = r"(\d{1,4})(?:[./-]\s?)(\d{1,2})(?:[./-]\s?)(\d{1,4})\.?"
TIME = rf"({_HALVES})?\s?(\d{{1,2}})[:.](\d\d)(?:[:.](\d\d))?(?:\s?({_HALVES}))?"
_AFTERNOON = re.compile(r"[Pp]|下|午後|오후|م|μ\.μ")


class Stamp(NamedTuple):
    """A date as three numbers in an unknown order, and a time of day."""

    parts: tuple[int, int, int]
    hour: int
    minute: int
    second: int
    halves: bool  # written with AM or PM


def stamp(groups: tuple[str | None, ...]) -> Stamp | None:
    """Return what the groups of DATE and TIME say; None where no calendar and no clock has that."""
    first, second, third, before, hours, minutes, seconds, after = groups
    half = before or after
    hour = int(hours or 0)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if _AFTERNOON.match(half) else 0)
    if hour > 23 or int(minutes or 0) > 59 or int(seconds or 0) > 59:
        return None
    parts = (int(first or 0), int(second or 0), int(third or 0))
    if not any(_day(parts, order) for order in _ORDERS):
        return None
    return Stamp(parts, hour, int(minutes or 0), int(seconds or 0), bool(half))


def find_order(stamps: Iterable[Stamp]) -> Order:
    """Return the order in which most dates exist and time runs backwards least.

    Where all are alike, the day comes first; with AM and PM, which go with it, the month.
    """
    wrong = dict.fromkeys(_ORDERS, 0)
    back = dict.fromkeys(_ORDERS, 0)
    last = dict.fromkeys(_ORDERS, date.min)
    halves = False
    for each in stamps:
        halves = halves or each.halves
        for order in _ORDERS:
            day = _day(each.parts, order)
            if day is None:
                wrong[order] += 1
            else:
                back[order] += day < last[order]
                last[order] = day
    likely = ("mdy", "dmy", "ymd") if halves else _ORDERS
    return min(likely, key=lambda order: (wrong[order], back[order]))


def to_iso(each: Stamp, order: Order) -> str | None:
    """Return the time as `2023-04-02T07:15:00Z`; None where there is no such day."""
    day = _day(each.parts, order)
    if day is None:
        return None
    return f"{day.isoformat()}T{each.hour:02}:{each.minute:02}:{each.second:02}Z"


def _day(parts: tuple[int, int, int], order: Order) -> date | None:
    at = dict(zip(order, parts, strict=True))
    year = at["y"] + 2000 if at["y"] < 100 else at["y"]
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, at["m"], at["d"])
    except ValueError:
        return None

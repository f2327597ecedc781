"""How long a service asks to be left alone, in whichever dialect it says so.

X writes the time of the reset in Unix seconds, Mastodon in ISO-8601, Bluesky in Unix seconds under
the name that the IETF drafts give to a number of seconds; Retry-After is seconds or a date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RESET = ("x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset")
_REMAINING = ("x-rate-limit-remaining", "x-ratelimit-remaining", "ratelimit-remaining")
# RFC draft 03: `limit=100, remaining=0, reset=50`; from draft 08: `"default";r=0;t=50`.
_FIELD = re.compile(r"\b(reset|t|remaining|r)=(\d+)")
_UNIX = 1e9  # seconds above this are a time, below it a duration
_MILLISECONDS = 1e11


def wait_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a service asks to wait, None where it does not say.

    Args:
        headers: of the answer, names in lower case.
        now: Unix seconds; the answer's own Date wins, since one of the two clocks may be wrong.
    """
    now = _from_date(headers.get("date", "")) or now
    asked = [headers.get("retry-after"), *(headers.get(name) for name in _RESET)]
    asked.append(_fields(headers).get("reset"))
    for value in asked:
        if value and (seconds := _seconds(value, now)) is not None:
            return max(0.0, seconds)
    return None


def exhausted(headers: Mapping[str, str]) -> bool:
    """Tell whether the answer was the last one of its window."""
    told = [headers.get(name) for name in _REMAINING]
    return "0" in (*told, _fields(headers).get("remaining"))


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    long = {"t": "reset", "r": "remaining"}
    found = _FIELD.findall(headers.get("ratelimit", ""))
    return {long.get(name, name): value for name, value in found}


def _seconds(value: str, now: float) -> float | None:
    """Return seconds from now, of a duration or a time."""
    try:
        number = float(value)
    except ValueError:
        at = _from_iso(value) or _from_date(value)
        return at - now if at is not None else None
    if not math.isfinite(number):
        return None
    if number < _UNIX:
        return number
    return (number / 1000 if number >= _MILLISECONDS else number) - now


def _from_iso(value: str) -> float | None:
    try:
        time = datetime.fromisoformat(value.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _from_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

"""Times as sources write them, turned into ISO-8601 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
# "Thu Nov 03 08:50:26 +0000 2022": strptime reads 100,000 of these in a second, this in a tenth.
_TWITTER = re.compile(r"\w{3} (\w{3}) (\d\d) (\d\d:\d\d:\d\d) \+0000 (\d{4})", re.ASCII)
# What dumps write behind a time; hours from UTC. A zone that is not here is taken as UTC.
_ZONED = re.compile(r" ?([A-Z]{2,5})$")
_ZONES = {
    **{"CET": 1, "CEST": 2, "BST": 1, "EET": 2, "EEST": 3, "MSK": 3, "IST": 5.5, "JST": 9},
    **{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
}
_SPACED_OFFSET = re.compile(r" ([+-]\d\d:?\d\d)$")
_UNIX = re.compile(r"\d{9,10}(?:\.\d+)?|\d{12,13}", re.ASCII)
EARLIEST = "2006-03-21T00:00:00Z"  # the day of the first tweet


def to_utc(value: object) -> str | None:
    """Return a time as `2023-04-02T07:15:00Z`; None where it cannot be one.

    Takes X's "Thu Nov 03 08:50:26 +0000 2022", ISO-8601 with or without offset or zone (none
    means UTC) and Unix times in seconds or milliseconds. Times before the first tweet are mistakes.
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    text = str(value).strip()
    try:
        found = _from_twitter(text) or _from_unix(text) or _from_iso(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found >= EARLIEST else None


def seconds(time: str) -> int:
    """Return a time made by `to_utc` as Unix seconds."""
    return int(datetime.fromisoformat(time).timestamp())


def _from_twitter(text: str) -> str | None:
    parts = _TWITTER.fullmatch(text)
    if parts is None or parts[1] not in _MONTHS:
        return None
    time = f"{parts[4]}-{_MONTHS[parts[1]]:02}-{parts[2]}T{parts[3]}"
    datetime.fromisoformat(time)  # Feb 31 is a ValueError
    return time + "Z"


def _from_unix(text: str) -> str | None:
    if not _UNIX.fullmatch(text):
        return None
    number = float(text)
    return _iso(datetime.fromtimestamp(number / 1000 if number >= 1e11 else number, UTC))


def _from_iso(text: str) -> str:
    zone = _ZONED.search(text)
    ahead = timedelta(hours=_ZONES.get(zone[1], 0)) if zone else timedelta()
    plain = text[: zone.start()] if zone else _SPACED_OFFSET.sub(r"\1", text)
    time = datetime.fromisoformat(plain)
    return _iso(time if time.tzinfo else time.replace(tzinfo=UTC) - ahead)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

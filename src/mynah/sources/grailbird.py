"""Twitter's export of 2012 to 2018: one JavaScript file a month, and tweets.csv."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mynah.records import Account, Post
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import array_entries, one_object
from mynah.sources.place import Place, stem
from mynah.sources.rows import Rows
from mynah.sources.tables import ids, table
from mynah.sources.tweets import Owner, to_post
from mynah.sources.values import as_dict, as_text

SCHEME = "archive"
_MONTH = re.compile(r"(?:^|/)\d{4}_\d\d\.js$")


def recognises(place: Place) -> bool:
    """Tell whether a place has the months' files or at least the table."""
    return bool(_months(place)) or _member(place, "tweets.csv") is not None


def read(place: Place, journal: Journal) -> Content:
    """Read the account now, the posts as they are asked for."""
    months = _months(place)
    owner = _owner(place, months, journal)
    if months:
        return Content("grailbird", _posts(place, months, owner, journal))
    name = _member(place, "tweets.csv") or "tweets.csv"  # which is then missed by its name
    own = ids(place.open(name))
    rows = Rows(owner.handle, "grailbird", journal, own_archive=True, own_ids=own)
    return Content("grailbird-csv", rows.posts(table(place.open(name, journal))))


def _posts(place: Place, months: list[str], owner: Owner, journal: Journal) -> Iterator[Post]:
    for name in months:
        for tweet in array_entries(place.open(name, journal)):
            post = to_post(tweet, owner, "grailbird", journal)
            if post is not None:
                yield post


def _owner(place: Place, months: list[str], journal: Journal) -> Owner:
    """Return whose export it is, by its user_details.js or else by its first tweet."""
    details_name = _member(place, "user_details.js")
    details = one_object(place.open(details_name)) if details_name else {}
    user = details or (_first_user(place, months[0]) if months else {})
    handle = as_text(user.get("screen_name")) or stem(place)
    journal.account(
        Account(
            handle=handle,
            name=as_text(user.get("full_name")) or as_text(user.get("name")),
            bio=as_text(user.get("bio")),
            url=f"https://x.com/{handle}",
            own_archive=True,
        )
    )
    return Owner(handle, as_text(user.get("id_str")) or as_text(user.get("id")))


def _first_user(place: Place, month: str) -> dict[str, Any]:
    return as_dict(next(array_entries(place.open(month)), {}).get("user"))


def _months(place: Place) -> list[str]:
    return sorted(name for name in place.names if _MONTH.search(name))


def _member(place: Place, base: str) -> str | None:
    return next((name for name in place.names if name.rpartition("/")[2] == base), None)

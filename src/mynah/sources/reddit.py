"""Reddit's answer to a data request: a zip of tables, of which posts and comments are read.

Left out: messages, votes, drafts, what was deleted, and the IP addresses beside every row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from mynah.records import Account, Post
from mynah.sources.journal import Content, Journal
from mynah.sources.place import MemberPlace, Place, first_line, stem
from mynah.sources.tables import columns, table
from mynah.sources.times import to_utc
from mynah.sources.values import as_text, made_up_id

SCHEME = "archive"
_MARKS = {"id", "permalink", "subreddit", "body"}
_EXPORT = re.compile(r"export_(.+?)_\d{8}(?:\d|\D.*)?")
_QUOTED = re.compile(r"^[ \t]*(?:>|&gt;)(?!!).*(?:\n|$)", re.MULTILINE)  # `>!` hides a spoiler
_GONE = ("[deleted]", "[removed]")


def recognises(place: Place) -> float:
    """Tell by the columns of posts.csv or comments.csv."""
    for name in _tables(place):
        if set(columns(first_line(MemberPlace(place, name)))[0]) >= _MARKS:
            return 1.0
    return 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the account's name now, posts and comments as they are asked for."""
    handle = _handle(place)
    url = f"https://www.reddit.com/user/{handle}"
    journal.account(Account(handle=handle, url=url, own_archive=True))
    posts = (_posts(place, name, handle, journal) for name in _tables(place))
    return Content("reddit", chain.from_iterable(posts))


def _tables(place: Place) -> list[str]:
    wanted = ("posts.csv", "comments.csv")
    return [name for name in place.names if name.rpartition("/")[2] in wanted]


def _handle(place: Place) -> str:
    """Return the account: statistics.csv names it, or else the zip's own name."""
    for name in place.names:
        if name.rpartition("/")[2] == "statistics.csv":
            for row in table(place.open(name), ("statistic", "value")):
                if as_text(row.get("statistic")) == "account name" and row.get("value"):
                    return as_text(row["value"]).strip()
    found = _EXPORT.fullmatch(stem(place))
    return found[1] if found else stem(place)


def _posts(place: Place, name: str, handle: str, journal: Journal) -> Iterator[Post]:
    for row in table(place.open(name, journal)):
        post = _post(row, handle, journal)
        if post is not None:
            yield post


def _post(row: Mapping[str, Any], handle: str, journal: Journal) -> Post | None:
    title, body = as_text(row.get("title")).strip(), as_text(row.get("body")).strip()
    if title in _GONE or body in _GONE:
        journal.skip("row was deleted", "rows were deleted")
        return None
    text = "\n\n".join(filter(None, (title, own_lines(body))))
    if not text:
        journal.skip("row has no words of its own", "rows have no words of their own")
        return None
    time = to_utc(row.get("date"))
    return Post(
        id=as_text(row.get("id")) or made_up_id(handle, time or "", text),
        author=handle,
        text=text,
        source="reddit",
        created_at=time,
        kind="post" if "title" in row else "reply",
        url=as_text(row.get("permalink")) or None,
        escaped="&amp;" in text or "&gt;" in text or "&lt;" in text,
    )


def own_lines(body: str) -> str:
    """Return a text without the lines that quote somebody else."""
    return _QUOTED.sub("", body).strip()

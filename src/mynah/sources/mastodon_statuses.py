"""Statuses as Mastodon's API gives them, saved to a file: a list, or one a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.records import Account, Post
from mynah.sources.fediverse import Person, Taker, handle_of
from mynah.sources.hypertext import to_text
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import objects, outline
from mynah.sources.place import Place, stem
from mynah.sources.values import as_dict, as_text

SCHEME = "file"
_KEYS = {"content", "visibility", "account", "spoiler_text"}


def recognises(place: Place) -> float:
    """Tell by what a status has and hardly anything else."""
    return 1.0 if outline(place).keys() >= _KEYS else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read whose they are now, the posts as they are asked for."""
    profile = as_dict(outline(place).get("account"))
    url = as_text(profile.get("url"))
    handle = handle_of(url, as_text(profile.get("username"))) or stem(place)
    journal.account(
        Account(
            handle=handle,
            name=as_text(profile.get("display_name")),
            bio=to_text(as_text(profile.get("note"))).text,
            url=url or None,
        )
    )
    taker = Taker(Person(handle, as_text(profile.get("id"))), journal)
    return Content("mastodon-statuses", _posts(objects(place.open(place.names[0], journal)), taker))


def _posts(statuses: Iterator[dict[str, Any]], taker: Taker) -> Iterator[Post]:
    for status in statuses:
        author = as_text(as_dict(status.get("account")).get("id"))
        if author != taker.person.id:  # a timeline: the first one's words are read
            taker.journal.skip("post is somebody else's", "posts are somebody else's")
        elif post := taker.status(status):
            yield post

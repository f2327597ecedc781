"""Mastodon's export: outbox.json, alone or in the tar.gz, zip or folder that the server made.

The outbox also holds posts to followers and to single people, which are no more than counted. The
likes, bookmarks and media beside it are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.errors import UnknownFormat
from mynah.records import Account, Post
from mynah.sources.fediverse import Person, Taker, handle_of
from mynah.sources.hypertext import to_text
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import listed, one_object
from mynah.sources.place import Place, head, stem
from mynah.sources.values import as_dict, as_text

SCHEME = "any"
_OUTBOX = "outbox.json"


def recognises(place: Place) -> bool:
    """Tell by an outbox among the members, or by how a single file begins."""
    if _outboxes(place):
        return len(place.names) > 1 or _begins_as_outbox(place)
    return len(place.names) == 1 and _begins_as_outbox(place)


def read(place: Place, journal: Journal) -> Content:
    """Read whose it is now, the posts as they are asked for."""
    name = _outbox(place)
    actor = _actor(place, name)
    person = _person(place, name, actor)
    journal.account(
        Account(
            handle=person.handle,
            name=as_text(actor.get("name")),
            bio=to_text(as_text(actor.get("summary"))).text,
            url=as_text(actor.get("url")) or person.id or None,
            own_archive=True,
        )
    )
    if actor.get("type") in ("Service", "Application"):
        journal.say(f"{person.handle} calls itself a bot.")
    return Content("mastodon-export", _posts(place, name, Taker(person, journal)))


def _posts(place: Place, name: str, taker: Taker) -> Iterator[Post]:
    for item in listed(place.open(name, taker.journal), "orderedItems"):
        post = taker.activity(item)
        if post is not None:
            yield post


def _outboxes(place: Place) -> list[str]:
    """Return the outboxes among the members; some systems add a shadow of every file."""
    names = (name for name in place.names if not name.startswith("__MACOSX/"))
    return [name for name in names if name.rpartition("/")[2] == _OUTBOX]


def _outbox(place: Place) -> str:
    names = _outboxes(place) or list(place.names)
    if len(names) > 1:
        raise UnknownFormat(
            f"{place.path.name} holds {len(names)} exports of Mastodon.",
            hint="Name each of them: mynah fetch <one> <other>",
        )
    return names[0]


def _begins_as_outbox(place: Place) -> bool:
    start = head(place).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and b'"OrderedCollection' in start


def _actor(place: Place, outbox: str) -> dict[str, Any]:
    """Return who the account is, {} where only the outbox is left."""
    name = outbox.removesuffix(_OUTBOX) + "actor.json"
    return one_object(place.open(name)) if name in place.names else {}


def _person(place: Place, name: str, actor: dict[str, Any]) -> Person:
    """Return whose outbox it is, by actor.json or else by the first thing that was done."""
    address = as_text(actor.get("id")) or _first_actor(place, name)
    known = as_text(actor.get("webfinger")).removeprefix("acct:").removeprefix("@")
    handle = known or handle_of(address, as_text(actor.get("preferredUsername")))
    return Person(handle or stem(place), address)


def _first_actor(place: Place, name: str) -> str:
    for item in listed(place.open(name), "orderedItems"):
        actor = item.get("actor")
        if found := as_text(as_dict(actor).get("id") if isinstance(actor, dict) else actor):
            return found
    return ""

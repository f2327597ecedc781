"""Community Archive's archive.json: what a person published there of their own X archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.records import Account, Post
from mynah.run_folder import now
from mynah.sources.consent import Check, Consent
from mynah.sources.journal import Content, Journal
from mynah.sources.notes import Notes
from mynah.sources.parsing import members, outline
from mynah.sources.place import Place, stem
from mynah.sources.tweets import Owner, to_post
from mynah.sources.values import as_dict, as_text

SCHEME = "file"
_POSTS = ("tweets", "community-tweet")
_NOTES = "note-tweet"


def recognises(place: Place) -> float:
    """Tell by the account and the wrapped tweets in one object."""
    found = outline(place)
    accounts = "account" in as_dict(found.get("account"))
    wrapped = "tweet" in as_dict(found.get("tweets"))
    return 1.0 if accounts and wrapped else 0.8 if accounts and "profile" in found else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read account and long posts now, the posts as they are asked for."""
    details: dict[str, dict[str, Any]] = {}
    long: list[dict[str, Any]] = []
    for path, value in members(place.open(place.names[0])):
        if path in ("account", "profile"):
            details[path] = as_dict(as_dict(value).get(path))
        elif path == _NOTES:
            long.append(as_dict(value))
    owner = _owner(place, details.get("account", {}), details.get("profile", {}), journal)
    upload = Check(what="consent", answer="the account's owner has published this archive")
    journal.consents.append(
        Consent(source="community-archive", account=owner.handle, when=now(), checks=(upload,))
    )
    return Content("community-archive", _posts(place, owner, Notes(long), journal))


def _owner(
    place: Place, account: dict[str, Any], profile: dict[str, Any], journal: Journal
) -> Owner:
    handle = as_text(account.get("username")) or stem(place)
    journal.account(
        Account(
            handle=handle,
            name=as_text(account.get("accountDisplayName")),
            bio=as_text(as_dict(profile.get("description")).get("bio")),
            url=f"https://x.com/{handle}",
        )
    )
    return Owner(handle, as_text(account.get("accountId")))


def _posts(place: Place, owner: Owner, notes: Notes, journal: Journal) -> Iterator[Post]:
    for path, value in members(place.open(place.names[0], journal)):
        if path in _POSTS:
            entry = as_dict(value)
            post = to_post(as_dict(entry.get("tweet", entry)), owner, "community-archive", journal)
            if post is not None:
                yield notes.join(post)
    notes.tell_unjoined(journal)

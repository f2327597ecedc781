"""Statuses as Mastodon's API gives them, saved to a file: a list, or one a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.records import Account, Post
from mynah.sources.consent import agreed, of_a_file
from mynah.sources.fediverse import SOURCE, Person, Taker, handle_of
from mynah.sources.fediverse_consent import checks
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
    """Read whose they are and what that person allows now, the posts as they are asked for.

    Raises:
        NoConsent: the account denies this use, and the person has not said that they may.
    """
    profile = as_dict(outline(place).get("account"))
    url = as_text(profile.get("url"))
    handle = handle_of(url, as_text(profile.get("username"))) or stem(place)
    told, name = [of_a_file(check) for check in checks(profile)], place.names[0]
    journal.consents.append(agreed(name, SOURCE, handle, told, word=journal.word))
    for check in told:
        if check.verdict != "allows":
            journal.say(f"{name}: {check.what}: {check.answer}.")
    journal.account(
        Account(
            handle=handle,
            name=as_text(profile.get("display_name")),
            bio=to_text(as_text(profile.get("note"))).text,
            url=url or None,
        )
    )
    taker = Taker(Person(handle, as_text(profile.get("id"))), journal)
    return Content("mastodon-statuses", _posts(objects(place.open(name, journal)), taker))


def _posts(statuses: Iterator[dict[str, Any]], taker: Taker) -> Iterator[Post]:
    for status in statuses:
        author = as_text(as_dict(status.get("account")).get("id"))
        if author != taker.person.id:  # a timeline: the first one's words are read
            taker.journal.skip("post is somebody else's", "posts are somebody else's")
        elif post := taker.status(status):
            yield post

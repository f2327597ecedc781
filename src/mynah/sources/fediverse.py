"""A post of the fediverse, as an export or a server's API holds it, into one Post.

Only what everybody may see is taken. Boosts are someone else's words; both are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mynah.records import Kind, Post
from mynah.sources.hypertext import Text, to_text
from mynah.sources.journal import Journal
from mynah.sources.times import to_utc
from mynah.sources.values import as_dict, as_list, as_text, language, made_up_id

SOURCE = "mastodon"
_PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
_NOTES = ("Note", "Question")
_QUOTES = ("quote", "quoteUrl", "quoteUri", "_misskey_quote")


@dataclass(frozen=True)
class Person:
    """Whose posts they are: what tells a thread from a reply."""

    handle: str  # alice@example.social
    id: str = ""  # of the account at its server, or the actor's address


@dataclass(frozen=True)
class Taker:
    """Take posts one by one; what is not taken is counted in the journal."""

    person: Person
    journal: Journal

    def activity(self, item: dict[str, Any]) -> Post | None:
        """Return the post of an activity in an outbox; None where it is not to be read."""
        if item.get("type") == "Announce":
            return self._skip("boost was skipped", "boosts were skipped")
        note = as_dict(item.get("object"))
        if item.get("type") != "Create" or note.get("type") not in _NOTES:
            return self._skip("entry is no post", "entries are no posts")
        if not (_is_public(item, note) and _is_public(note, item)):
            return self._skip("post is not public", "posts are not public")
        text = to_text(
            as_text(note.get("content")),
            dict(_tagged(note)),
            quotes=any(note.get(key) for key in _QUOTES),
        )
        address = as_text(note.get("id"))
        number = address.rstrip("/").rpartition("/")[2]
        return self._post(
            text,
            as_text(note.get("summary")),
            id=number if number.isdecimal() else address,
            time=as_text(note.get("published")) or as_text(item.get("published")),
            kind=self._kind_of_note(note),
            lang=next(iter(as_dict(note.get("contentMap"))), None),
            url=as_text(note.get("url")) or address,
        )

    def status(self, status: dict[str, Any]) -> Post | None:
        """Return the post of a status that the API gave; None where it is not to be read."""
        if status.get("reblog"):
            return self._skip("boost was skipped", "boosts were skipped")
        if status.get("visibility") != "public":
            return self._skip("post is not public", "posts are not public")
        text = to_text(
            as_text(status.get("content")),
            dict(_mentioned(status)),
            quotes=bool(status.get("quote")),
        )
        return self._post(
            text,
            as_text(status.get("spoiler_text")),
            id=as_text(status.get("id")),
            time=as_text(status.get("created_at")),
            kind=self._kind_of_status(status),
            lang=status.get("language"),
            url=as_text(status.get("url")) or as_text(status.get("uri")),
        )

    def _post(
        self, text: Text, warning: str, *, id: str, time: str, kind: Kind, lang: object, url: str
    ) -> Post | None:
        if not text.text:
            return self._skip("post has no text", "posts have no text")
        return Post(
            id=id or made_up_id(self.person.handle, time, text.text),
            author=self.person.handle,
            text=text.text,
            source=SOURCE,
            created_at=to_utc(time),
            kind=kind,
            lang=language(lang),
            url=url or None,
            spans=text.spans,
            warning=warning.strip() or None,
        )

    def _kind_of_note(self, note: dict[str, Any]) -> Kind:
        target = as_text(note.get("inReplyTo"))
        if target:
            mine = bool(self.person.id) and target.startswith(f"{self.person.id.rstrip('/')}/")
            return "self-reply" if mine else "reply"
        return "quote" if any(note.get(key) for key in _QUOTES) else "post"

    def _kind_of_status(self, status: dict[str, Any]) -> Kind:
        target = as_text(status.get("in_reply_to_account_id"))
        if target or status.get("in_reply_to_id"):
            return "self-reply" if target == self.person.id else "reply"
        return "quote" if status.get("quote") else "post"

    def _skip(self, one: str, many: str) -> Post | None:
        self.journal.skip(one, many)
        return None


def handle_of(address: str, name: str = "") -> str:
    """Return `alice@example.social` of an actor's address; its last part where no name is given."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:  # brackets that hold no IPv6 address
        return name
    name = name or parts.path.rstrip("/").rpartition("/")[2].removeprefix("@")
    return f"{name}@{host}" if name and host else name


def _is_public(note: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether everybody is addressed; where nobody is, the other one's word counts."""
    addressed = [*_addresses(note.get("to")), *_addresses(note.get("cc"))]
    if not addressed:
        addressed = [*_addresses(other.get("to")), *_addresses(other.get("cc"))]
    return not _PUBLIC.isdisjoint(addressed)


def _addresses(value: object) -> list[str]:
    found = map(as_text, value if isinstance(value, list) else [value])
    return [address for address in found if address]


def _tagged(note: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the mentions of an export's post stand for, see `hypertext.Mentions`."""
    for tag in map(as_dict, as_list(note.get("tag"))):
        if tag.get("type") == "Mention":
            yield from _names(as_text(tag.get("href")), as_text(tag.get("name")))


def _mentioned(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the mentions of a server's post stand for, see `hypertext.Mentions`."""
    for mention in map(as_dict, as_list(status.get("mentions"))):
        yield from _names(as_text(mention.get("url")), as_text(mention.get("acct")))


def _names(address: str, name: str) -> Iterator[tuple[str, str]]:
    name = name.strip().removeprefix("@")
    if name:
        yield address.lower(), name
        yield name.partition("@")[0].lower(), name
        yield _profile(address, name), name


def _profile(address: str, name: str) -> str:
    """Return the page that Mastodon links to where the export gives the actor's own address."""
    host = handle_of(address, "x").partition("@")[2]
    return f"https://{host}/@{name.partition('@')[0]}".lower()

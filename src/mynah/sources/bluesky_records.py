"""A record of Bluesky, as its servers and its CAR files hold it, into one Post.

A record's key tells when it was written, its facets where links and names stand in its text. What
a post quotes or answers is in other records: nothing that others wrote comes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mynah.records import Account, Kind, Post, Span, SpanKind
from mynah.sources.journal import Journal
from mynah.sources.times import to_utc
from mynah.sources.values import as_dict, as_index, as_list, as_text, language

POSTS = "app.bsky.feed.post"
PROFILE = "app.bsky.actor.profile"

_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_TIMED_KEY = re.compile(f"[2-7a-j][{_DIGITS}]{{12}}")
_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)
_LINKED: dict[str, SpanKind] = {"link": "url", "mention": "mention"}


@dataclass(frozen=True)
class Owner:
    """Whose records they are."""

    did: str
    handle: str

    @property
    def page(self) -> str:
        """Return the address of the account's page, which a new handle does not change."""
        return f"https://bsky.app/profile/{self.did}"


def to_post(key: str, record: dict[str, Any], owner: Owner, journal: Journal) -> Post | None:
    """Return the post; None, counted in the journal, where it is a picture without a word."""
    text = as_text(record.get("text"))
    if not text.strip():
        journal.skip("post has no text", "posts have no text")
        return None
    langs = as_list(record.get("langs"))
    return Post(
        id=key,
        author=owner.handle,
        text=text,
        source="bluesky",
        created_at=_written_at(key, record.get("createdAt")),
        kind=_kind(record, owner),
        # Two languages are what the writer can read, not what the post is in.
        lang=language(langs[0]) if len(langs) == 1 else None,
        url=f"{owner.page}/post/{key}",
        spans=tuple(_spans(record, text)),
    )


def to_account(profile: dict[str, Any], owner: Owner) -> Account:
    """Return who posts, by the profile's record."""
    return Account(
        handle=owner.handle,
        name=as_text(profile.get("displayName")),
        bio=as_text(profile.get("description")),
        url=owner.page,
    )


def is_timed(key: str) -> bool:
    """Tell whether a key is a TID: the time of writing, in digits that sort as the times do."""
    return _TIMED_KEY.fullmatch(key) is not None


def _written_at(key: str, claimed: object) -> str | None:
    """Return the time that the writer's program claims, but none after the record's own key.

    Bluesky sorts by the same rule: a clock that is years ahead would make a post the newest.
    """
    times = [time for time in (to_utc(claimed), _time_of_key(key)) if time]
    return min(times, default=None)


def _time_of_key(key: str) -> str | None:
    """Return the time in a TID: microseconds, then ten bits that tell clocks apart."""
    if not is_timed(key):
        return None
    number = 0
    for digit in key:
        number = number << 5 | _DIGITS.index(digit)
    return to_utc((number >> 10) // 1_000_000)


def _kind(record: dict[str, Any], owner: Owner) -> Kind:
    parent = as_text(as_dict(as_dict(record.get("reply")).get("parent")).get("uri"))
    if parent:
        return "self-reply" if parent.startswith(f"at://{owner.did}/") else "reply"
    embed = as_dict(record.get("embed"))
    inner = as_dict(embed.get("record"))
    quoted = as_text(inner.get("uri")) or as_text(as_dict(inner.get("record")).get("uri"))
    return "quote" if f"/{POSTS}/" in quoted else "post"  # not a list, feed or starter pack


def _spans(record: dict[str, Any], text: str) -> list[Span]:
    """Return links and names; tags need no mark, since what is read of them is in the text."""
    found = set(chain(_facets(record, text), _entities(record, text)))
    return sorted(found, key=lambda span: (span.start, span.end))


def _facets(record: dict[str, Any], text: str) -> Iterator[Span]:
    """Yield what facets mark, whose positions count the bytes of the text in UTF-8."""
    for facet in map(as_dict, as_list(record.get("facets"))):
        index = as_dict(facet.get("index"))
        for feature in map(as_dict, as_list(facet.get("features"))):
            kind = as_text(feature.get("$type")).rpartition("#")[2]
            target = as_text(feature.get("uri"))
            yield from _span(text, "utf-8", index, "byteStart", "byteEnd", kind, target)


def _entities(record: dict[str, Any], text: str) -> Iterator[Span]:
    """Yield what the entities of 2022 and 2023 mark, whose positions count UTF-16 units."""
    for entity in map(as_dict, as_list(record.get("entities"))):
        index, kind = as_dict(entity.get("index")), as_text(entity.get("type"))
        target = as_text(entity.get("value"))
        yield from _span(text, "utf-16-le", index, "start", "end", kind, target)


def _span(
    text: str, encoding: str, index: dict[str, Any], first: str, last: str, kind: str, target: str
) -> Iterator[Span]:
    start = _code_points(text, encoding, as_index(index.get(first)))
    end = _code_points(text, encoding, as_index(index.get(last)))
    if kind not in _LINKED or not 0 <= start < end:
        return
    # Words with a link under them are the writer's own: only an address is marked as a link.
    if kind == "link" and not is_address(text[start:end], target):
        return
    yield Span(start=start, end=end, kind=_LINKED[kind])


def _code_points(text: str, encoding: str, offset: int) -> int:
    """Return how many code points the first units of an encoding are; -1 where it cuts one."""
    units = text.encode(encoding)
    size = offset * (2 if encoding == "utf-16-le" else 1)
    if not 0 <= size <= len(units):
        return -1
    try:
        return len(units[:size].decode(encoding))
    except UnicodeDecodeError:
        return -1


def is_address(shown: str, target: str) -> bool:
    """Tell a link's own address, perhaps cut short with dots, from words that lead there."""
    start = _SCHEME.sub("", shown).removesuffix("…").rstrip(".").casefold()
    whole = _SCHEME.sub("", target).casefold()
    return "." in start and whole.startswith(start)

"""Long posts: the archive keeps their text apart, without saying whose it is.

A note has no tweet id, and its time is up to two seconds off. It belongs to the tweet that begins
as it does; time alone takes the wrong one of two posts made at once.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mynah.records import Post, Span
from mynah.sources.journal import Journal
from mynah.sources.times import seconds, to_utc
from mynah.sources.tweets import leading
from mynah.sources.values import ESCAPED, as_dict, as_index, as_list, as_text

_WITHIN = 2  # seconds
_COMPARED = 60  # characters of the beginnings
_CUT = re.compile(r"(?:…|\.\.\.)\s*$")
_LINK = re.compile(r"https?://\S+|\bt\.co/\S+")
_MENTIONS = re.compile(r"^\s*(?:@\w+\s+)+")


@dataclass(eq=False)
class Note:
    """A long post's full text, and whether a tweet has claimed it."""

    id: str
    text: str
    spans: tuple[Span, ...]
    beginning: str
    joined: bool = False


class Notes:
    """The notes of an archive, found by the tweets they belong to."""

    def __init__(self, entries: Iterable[dict[str, Any]]) -> None:
        self.all: list[Note] = []
        self._at: defaultdict[int, list[Note]] = defaultdict(list)
        for entry in entries:
            self._add(as_dict(entry.get("noteTweet", entry)))

    @property
    def unjoined(self) -> int:
        """Return how many notes no tweet has claimed."""
        return sum(not note.joined for note in self.all)

    def tell_unjoined(self, journal: Journal) -> None:
        """Say how many notes no tweet has claimed, if any."""
        if self.unjoined:
            verb = "long post has" if self.unjoined == 1 else "long posts have"
            journal.say(f"{self.unjoined} {verb} no tweet to belong to and were left out.")

    def join(self, post: Post) -> Post:
        """Return the post with its note's text and links where it has a note."""
        if not self.all or post.created_at is None or post.kind == "repost":
            return post
        note = self._find(post, seconds(post.created_at))
        if note is None:
            return post
        note.joined = True
        return replace(
            post, text=note.text, spans=note.spans, escaped=_is_escaped(note.text, post.text)
        )

    def _add(self, row: dict[str, Any]) -> None:
        core = as_dict(row.get("core"))
        text, time = as_text(core.get("text")), to_utc(row.get("createdAt"))
        note = Note(as_text(row.get("noteTweetId")), text, _spans(core, text), _beginning(text))
        self.all.append(note)
        if time and text:
            self._at[seconds(time)].append(note)

    def _find(self, post: Post, at: int) -> Note | None:
        around = range(at - _WITHIN, at + _WITHIN + 1)
        near = [note for second in around for note in self._at.get(second, ())]
        if not near:
            return None
        beginning = _beginning(post.text)
        fitting = [n for n in near if not n.joined and _fits(beginning, post.text, n)]
        return min(fitting, key=lambda note: _distance(note.id, post.id), default=None)


def _fits(beginning: str, text: str, note: Note) -> bool:
    # A tweet of fewer characters than are compared is a note's only if it says that it goes on.
    if len(beginning) < _COMPARED and not _CUT.search(_LINK.sub("", text)):
        return False
    return bool(beginning) and note.beginning.startswith(beginning)


def _beginning(text: str) -> str:
    """Return the first characters, normalised: no links, no leading mentions, no cut mark."""
    plain = _MENTIONS.sub("", html.unescape(_LINK.sub(" ", text[: _COMPARED * 8])))
    return _CUT.sub("", " ".join(plain.split())).rstrip().casefold()[:_COMPARED].rstrip()


def _distance(one: str, other: str) -> int:
    numbers = one.isdecimal() and other.isdecimal() and len(one) < 25 and len(other) < 25
    return abs(int(one) - int(other)) if numbers else 1 << 100


def _is_escaped(note: str, tweet: str) -> bool:
    """Tell whether a note is HTML-escaped as its tweet, which always is.

    Both begin alike, so where the tweet has `&amp;` the note shows it as it is stored. A raw
    `<` or `>` could not stand in an escaped text.
    """
    return ESCAPED.search(note) is not None and not re.search("[<>]", note)


def _spans(core: dict[str, Any], text: str) -> tuple[Span, ...]:
    found = (
        (*_range(m), as_text(m.get("screenName"))) for m in map(as_dict, _of(core, "mentions"))
    )
    spans = list(leading(found, text))
    for link in map(as_dict, _of(core, "urls")):
        start, end = _range(link)
        written = {link.get(key) for key in ("shortUrl", "url", "expandedUrl", "displayUrl")}
        if 0 <= start < end <= len(text) and text[start:end] in written:
            spans.append(Span(start=start, end=end, kind="url"))
    return tuple(sorted(spans, key=lambda span: span.start))


def _of(core: dict[str, Any], key: str) -> list[Any]:
    return as_list(core.get(key))


def _range(entity: dict[str, Any]) -> tuple[int, int]:
    return as_index(entity.get("fromIndex")), as_index(entity.get("toIndex"))

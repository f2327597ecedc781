"""Discord, as DiscordChatExporter writes a channel: one JSON object with its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.records import Post
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import members, outline
from mynah.sources.people import Cast
from mynah.sources.place import Place
from mynah.sources.times import to_utc
from mynah.sources.values import as_dict, as_text, made_up_id

SCHEME = "file"
_SAID = ("Default", "Reply")  # the other types are calls, pins, people who join
_MARKS = {"guild", "channel", "exportedAt"}


def recognises(place: Place) -> float:
    """Tell by the server, the channel and the shape of the first message."""
    found = outline(place)
    message = as_dict(found.get("messages"))
    if {"timestamp", "content", "author"} <= message.keys():
        return 1.0 if found.keys() & _MARKS else 0.8
    return 0.7 if found.keys() >= _MARKS else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read everybody's messages as they are asked for."""
    return Content("discord", _posts(place, journal), chat=True)


def _posts(place: Place, journal: Journal) -> Iterator[Post]:
    cast = Cast(journal)
    for path, value in members(place.open(place.names[0], journal)):
        if path == "messages":
            post = _post(as_dict(value), cast)
            if post is not None:
                yield post


def _post(message: dict[str, Any], cast: Cast) -> Post | None:
    author, text = as_dict(message.get("author")), as_text(message.get("content"))
    if message.get("type") not in _SAID or author.get("isBot") is True:
        cast.journal.skip("line was said by Discord or a bot", "lines were said by Discord or bots")
        return None
    if not text.strip():
        cast.journal.skip("message has no text", "messages have no text")
        return None
    name = as_text(author.get("name")) or as_text(author.get("nickname"))
    handle = cast.handle(as_text(author.get("id")) or name, name)
    time = to_utc(message.get("timestamp"))
    return Post(
        id=as_text(message.get("id")) or made_up_id(handle, time or "", text),
        author=handle,
        text=text,
        source="discord",
        created_at=time,
        kind="reply" if message["type"] == "Reply" else "post",
    )

"""Telegram's result.json: one chat, or all chats of an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.records import Kind, Post
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import members, outline
from mynah.sources.people import Cast
from mynah.sources.place import Place
from mynah.sources.times import to_utc
from mynah.sources.values import as_dict, as_text

SCHEME = "file"
_INTO = ("chats", "chats.list", "left_chats", "left_chats.list")
_MESSAGES = ("messages", "chats.list.messages", "left_chats.list.messages")
# Not their own words: passed on, or written by a program that they called.
_NOT_THEIRS = ("forwarded_from", "forwarded_from_id", "saved_from", "via_bot")


def recognises(place: Place) -> float:
    """Tell by the shape of the first message, whichever chat it is in."""
    found = outline(place, _INTO)
    message = as_dict(next((found[path] for path in _MESSAGES if path in found), None))
    if message.get("type") not in ("message", "service") or "date" not in message:
        return 0.0
    return 1.0 if {"date_unixtime", "from_id", "actor_id"} & message.keys() else 0.8


def read(place: Place, journal: Journal) -> Content:
    """Read everybody's messages as they are asked for."""
    return Content("telegram", _posts(place, journal), chat=True)


def joined(text: object) -> str:
    """Return a text as it was typed: Telegram cuts it into pieces, some plain, some marked."""
    if not isinstance(text, list):
        return as_text(text)
    return "".join(as_text(as_dict(piece).get("text", piece)) for piece in text)


def _posts(place: Place, journal: Journal) -> Iterator[Post]:
    chat, cast, writers = "", Cast(journal), dict[str, str]()
    for path, value in members(place.open(place.names[0], journal), _INTO):
        if path.rpartition(".")[2] == "id":
            chat = as_text(value)
            writers.clear()
        elif path in _MESSAGES:
            post = _post(as_dict(value), chat, cast, writers)
            if post is not None:
                yield post


def _post(message: dict[str, Any], chat: str, cast: Cast, writers: dict[str, str]) -> Post | None:
    if message.get("type") != "message":
        cast.journal.skip("line was said by Telegram", "lines were said by Telegram")
        return None
    if any(message.get(mark) for mark in _NOT_THEIRS):
        cast.journal.skip("message was passed on", "messages were passed on")
        return None
    text = joined(message.get("text_entities")) or joined(message.get("text"))
    if not text.strip():
        cast.journal.skip("message has no text", "messages have no text")
        return None
    person = as_text(message.get("from_id")) or as_text(message.get("from"))
    handle = cast.handle(person, as_text(message.get("from")) or person)
    number = as_text(message.get("id"))
    answered = writers.get(as_text(message.get("reply_to_message_id")))
    writers[number] = handle
    return Post(
        id=f"{chat}/{number}",
        author=handle,
        text=text,
        source="telegram",
        # `date` is the time where it was exported, which nothing else tells.
        created_at=to_utc(message.get("date_unixtime")) or to_utc(message.get("date")),
        kind=_kind(message, answered == handle),
    )


def _kind(message: dict[str, Any], to_self: bool) -> Kind:
    if not message.get("reply_to_message_id"):
        return "post"
    return "self-reply" if to_self else "reply"

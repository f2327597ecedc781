"""One tweet object, as X's exports hold it since 2012, into one Post."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mynah.records import Kind, Post, Span, SpanKind
from mynah.sources.journal import Journal
from mynah.sources.times import to_utc
from mynah.sources.values import (
    ESCAPED,
    REPOST,
    as_dict,
    as_index,
    as_list,
    as_text,
    is_quote,
    language,
    made_up_id,
)

_REPLY = frozenset(
    {
        "in_reply_to_status_id_str",
        "in_reply_to_user_id_str",
        "in_reply_to_screen_name",
        "in_reply_to_status_id",
        "in_reply_to_user_id",
    }
)


@dataclass(frozen=True)
class Owner:
    """Whose export it is: what tells a thread from a reply."""

    handle: str
    id: str = ""

    def is_target_of(self, tweet: dict[str, Any]) -> bool:
        """Tell whether a reply is to the owner's own post."""
        user = tweet.get("in_reply_to_user_id_str") or tweet.get("in_reply_to_user_id")
        if user and self.id:
            return str(user) == self.id
        return as_text(tweet.get("in_reply_to_screen_name")).lower() == self.handle.lower()


def to_post(tweet: dict[str, Any], owner: Owner, source: str, journal: Journal) -> Post | None:
    """Return the post; None, counted in the journal, where the entry has no text."""
    text = as_text(tweet.get("full_text", tweet.get("text")))
    if not text:
        journal.skip("entry has no text", "entries have no text")
        return None
    time = as_text(tweet.get("created_at"))
    # `id` as a number is rounded in some exports of 2018: `id_str` first.
    found_id = as_text(tweet.get("id_str")) or as_text(tweet.get("id"))
    kind = _kind(tweet, text, owner)
    if kind == "repost" and text.endswith("…"):
        journal.count("repost is cut short by X", "reposts are cut short by X")
    return Post(
        id=found_id or made_up_id(owner.handle, time, text),
        author=owner.handle,
        text=text,
        source=source,
        created_at=to_utc(time),
        kind=kind,
        lang=language(tweet.get("lang")),
        url=f"https://x.com/{owner.handle}/status/{found_id}" if found_id.isdecimal() else None,
        escaped="&" in text and ESCAPED.search(text) is not None,
        spans=tuple(_spans(tweet, text)),
        latest_id=_latest(tweet),
        cut=tweet.get("truncated") is True and kind != "repost",
    )


def _kind(tweet: dict[str, Any], text: str, owner: Owner) -> Kind:
    # An archive's `retweeted` is false on every retweet: only the text tells.
    if REPOST.match(text) or tweet.get("retweeted_status"):
        return "repost"
    if not _REPLY.isdisjoint(tweet) and any(tweet.get(key) for key in _REPLY):
        return "self-reply" if owner.is_target_of(tweet) else "reply"
    urls = as_list(as_dict(tweet.get("entities")).get("urls"))
    if tweet.get("is_quote_status") is True:
        return "quote"
    return "quote" if any(is_quote(as_dict(url).get("expanded_url")) for url in urls) else "post"


def _latest(tweet: dict[str, Any]) -> str | None:
    info = tweet.get("edit_info")
    if not isinstance(info, dict):
        return None
    control = info.get("initial") or as_dict(info.get("edit")).get("editControlInitial")
    ids = as_list(as_dict(control).get("editTweetIds"))
    return as_text(ids[-1]) or None if len(ids) > 1 else None


def _spans(tweet: dict[str, Any], text: str) -> list[Span]:
    entities = as_dict(tweet.get("entities"))
    spans = []
    if text.startswith(("@", "＠", " ")):
        spans += _leading_mentions(as_list(entities.get("user_mentions")), text)
    spans += _links(as_list(entities.get("urls")), text, "url")
    media = as_list(entities.get("media"))
    media = media or as_list(as_dict(tweet.get("extended_entities")).get("media"))
    spans += _links(media, text, "media")
    # Four pictures are four entries with one link.
    return sorted(set(spans), key=lambda span: span.start) if len(spans) > 1 else spans


def _links(entities: list[Any], text: str, kind: SpanKind) -> list[Span]:
    """Return the links that stand where their entity says: cut reposts have some that do not."""
    spans = []
    for entity in map(as_dict, entities):
        start, end = _indices(entity)
        if 0 <= start < end <= len(text) and text[start:end] == entity.get("url"):
            spans.append(Span(start=start, end=end, kind=kind))
    return spans


def _leading_mentions(entities: list[Any], text: str) -> list[Span]:
    """Return the mentions before the first word of the text itself."""
    found = ((*_indices(as_dict(e)), as_text(as_dict(e).get("screen_name"))) for e in entities)
    return list(leading(found, text))


def leading(mentions: Iterator[tuple[int, int, str]], text: str) -> Iterator[Span]:
    """Yield, of (start, end, handle) triples, those that open the text one after the other."""
    reached = 0
    for start, end, handle in sorted(mentions):
        if start < reached or text[reached:start].strip() or end > len(text):
            return
        if text[start:end].lower() != f"@{handle}".lower():
            return
        yield Span(start=start, end=end, kind="mention")
        reached = end


def _indices(entity: dict[str, Any]) -> tuple[int, int]:
    pair = as_list(entity.get("indices"))
    return (as_index(pair[0]), as_index(pair[1])) if len(pair) == 2 else (-1, -1)

"""A row of a table or a line of JSON, whatever its columns are called, into one Post."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from mynah.records import Account, Kind, Post, Span, SpanKind
from mynah.sources.journal import Journal
from mynah.sources.times import to_utc
from mynah.sources.values import (
    ESCAPED,
    REPOST,
    as_dict,
    as_index,
    as_list,
    as_text,
    language,
    made_up_id,
)

# The names under which dumps carry each field, best first, lower case, `_` for a space.
TEXT = ("full_text", "text", "rawcontent", "tweet", "content", "body", "post")
ID = ("id_str", "id", "tweet_id", "status_id", "tweetid")
TIME = ("created_at", "timestamp", "datetime", "date", "time", "createdat")
AUTHOR = ("author", "username", "screen_name", "handle", "user")
LANGUAGE = ("lang", "language")
COLUMNS = {*TEXT, *ID, *TIME, *AUTHOR, *LANGUAGE}

_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_RUINED = re.compile(r"\d+(?:[.,]\d+)?e\+?\d+|\d{16,}\.0+", re.IGNORECASE | re.ASCII)
_MENTION_FIRST = re.compile(r"@\w")
_KINDS: tuple[str, ...] = get_args(Kind)
_SPAN_KINDS: tuple[str, ...] = get_args(SpanKind)
_YES = {"true", "1", "yes", "t"}
_NO = {"false", "0", "no", "f"}


@dataclass
class Rows:
    """Turn rows into posts; knows what the rows leave unsaid."""

    author: str  # for rows that name none
    source: str
    journal: Journal
    own_archive: bool = False
    own_ids: frozenset[str] = frozenset()  # to tell a thread from a reply
    _made: Counter[str] = field(default_factory=Counter)

    def posts(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Post]:
        """Yield the posts of the rows that have a text; count the others."""
        for row in rows:
            text = repaired(as_text(_first(row, TEXT)))
            if text:
                yield self._post(row, text)
            else:
                self.journal.count("row has no text", "rows have no text")

    def _post(self, row: Mapping[str, Any], text: str) -> Post:
        author = _author(row) or self.author
        self.journal.account(Account(handle=author, own_archive=self.own_archive))
        time = _first(row, TIME)
        escaped = row.get("escaped")
        return Post(
            id=self._id(row, author, f"{time}", text),
            author=author,
            text=text,
            source=self.source,
            created_at=to_utc(time),
            kind=self._kind(row, text),
            lang=language(_first(row, LANGUAGE)),
            url=as_text(row.get("url")) or None,
            escaped=escaped if isinstance(escaped, bool) else ESCAPED.search(text) is not None,
            spans=_spans(row, text),
            latest_id=as_text(row.get("latest_id")) or None,
            warning=as_text(row.get("warning")) or None,
        )

    def _id(self, row: Mapping[str, Any], author: str, time: str, text: str) -> str:
        found = as_text(_first(row, ID)).strip()
        if found and not _RUINED.fullmatch(found):
            return found
        if found:
            self.journal.count(
                "id was ruined by a spreadsheet and is made up",
                "ids were ruined by a spreadsheet and are made up",
            )
        made = made_up_id(author, as_text(time), text)
        self._made[made] += 1
        return made if self._made[made] == 1 else f"{made}-{self._made[made]}"

    def _kind(self, row: Mapping[str, Any], text: str) -> Kind:
        told = row.get("kind")
        if isinstance(told, str) and told in _KINDS:
            return told  # type: ignore[return-value]
        scraped = as_text(row.get("type"))
        if _is_repost(row) or scraped.startswith("rt:") or REPOST.match(text):
            return "repost"
        target = as_text(row.get("in_reply_to_status_id"))
        if target and target in self.own_ids:
            return "self-reply"
        if target or as_text(row.get("in_reply_to_user_id")) or scraped.startswith("r:"):
            return "reply"
        reply = _truth(row.get("is_reply"))
        # Where the source does not know, a mention at the start is the mark of a reply.
        replied = bool(_MENTION_FIRST.match(text)) if reply is None else reply
        return "reply" if replied else "post"


def repaired(text: str) -> str:
    r"""Return a text that a script has written as Python's `b'caf\xc3\xa9'` as it was."""
    if not _BYTES.fullmatch(text):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else text


def _is_repost(row: Mapping[str, Any]) -> bool:
    quoted = row.get("retweeted_status_id") or row.get("retweeted_status")
    return bool(quoted) or _truth(row.get("is_retweet")) is True


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def _author(row: Mapping[str, Any]) -> str:
    value = _first(row, AUTHOR)
    if isinstance(value, dict):
        value = value.get("screen_name") or value.get("username")
    return as_text(value).strip().removeprefix("@")


def _spans(row: Mapping[str, Any], text: str) -> tuple[Span, ...]:
    """Return the spans of a row of Mynah's own posts.jsonl that lie within the text."""
    spans = []
    for item in map(as_dict, as_list(row.get("spans"))):
        start, end, kind = as_index(item.get("start")), as_index(item.get("end")), item.get("kind")
        if 0 <= start < end <= len(text) and kind in _SPAN_KINDS:
            spans.append(Span(start=start, end=end, kind=kind))
    return tuple(spans)

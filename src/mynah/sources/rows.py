"""A row of a table or a line of JSON, whatever its columns are called, into one Post."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
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
AUTHOR = ("author", "username", "screen_name", "handle", "user", "author_username")
LANGUAGE = ("lang", "language")
COLUMNS = {*TEXT, *ID, *TIME, *AUTHOR, *LANGUAGE}

_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_RUINED = re.compile(r"\d+(?:[.,]\d+)?e\+?\d+|\d{16,}\.0+", re.IGNORECASE | re.ASCII)
_NAMED = re.compile(r"['\"]?(?:screen_name|username)['\"]?\s*[:=]\s*['\"](\w+)")
# Twitter's 140 characters end in "…"; with a link behind it a few more were let through.
_CUT = re.compile(r".{139}…|.{114,122}…\s?https?://t\.co/\w+", re.DOTALL)
# How the libraries that wrote the dumps say it: Grailbird, tweepy, snscrape, twint.
_REPOSTED = (
    *("retweeted_status_id", "retweeted_status", "retweetedtweet"),
    *("user_rt_id", "user_rt", "retweet_id"),
)
_REPLIED = (
    *("in_reply_to_user_id", "in_reply_to_user_id_str", "in_reply_to_status_id_str"),
    *("in_reply_to_screen_name", "inreplytotweetid", "inreplytouser"),
)
_QUOTES = ("quote_url", "quotedtweet", "quoted_status_id")
_BLANK = {"", "nan", "none", "null", "[]", "{}", "false"}
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
            text = self._text(row)
            if text:
                yield self._post(row, text)
            else:
                self.journal.skip("row has no text", "rows have no text")

    def _text(self, row: Mapping[str, Any]) -> str:
        text = repaired(as_text(_first(row, TEXT)))
        if "kind" in row and "source" in row:  # a row of Mynah's own: as it was fetched
            return text
        fixed = mended(text)
        if fixed != text:
            self.journal.count(
                "text was in a wrong encoding and is mended",
                "texts were in a wrong encoding and are mended",
            )
        return fixed

    def _post(self, row: Mapping[str, Any], text: str) -> Post:
        author = _author(row) or self.author
        self.journal.account(Account(handle=author, own_archive=self.own_archive))
        time = _time(row)
        escaped = row.get("escaped")
        kind = self._kind(row, text, author)
        return Post(
            id=self._id(row, author, f"{time}", text),
            author=author,
            text=text,
            source=self.source,
            created_at=to_utc(time),
            kind=kind,
            lang=language(_first(row, LANGUAGE)),
            url=as_text(row.get("url")) or None,
            escaped=escaped if isinstance(escaped, bool) else ESCAPED.search(text) is not None,
            spans=_spans(row, text),
            latest_id=as_text(row.get("latest_id")) or None,
            cut=kind != "repost" and _is_cut(row, text),
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

    def _kind(self, row: Mapping[str, Any], text: str, author: str) -> Kind:
        told = row.get("kind")
        if isinstance(told, str) and told in _KINDS:
            return told  # type: ignore[return-value]
        scraped = as_text(row.get("type"))
        if _is_repost(row) or scraped.startswith("rt:") or REPOST.match(text):
            return "repost"
        target = as_text(row.get("in_reply_to_status_id"))
        if target and target in self.own_ids:
            return "self-reply"
        if _said(target) or _has(row, _REPLIED) or scraped.startswith("r:"):
            return "reply"
        conversation = _in_conversation(row, author)
        if conversation is not None:
            return conversation
        reply = _truth(row.get("is_reply"))
        # Where the source does not know, a mention at the start is the mark of a reply.
        replied = bool(_MENTION_FIRST.match(text)) if reply is None else reply
        return "reply" if replied else "quote" if _has(row, _QUOTES) else "post"


def _in_conversation(row: Mapping[str, Any], author: str) -> Kind | None:
    """Tell by whom a post of twint's answers: twint counts the author among them."""
    if not _said(row.get("reply_to")):
        return None
    names = {name.lower() for name in _NAMED.findall(str(row["reply_to"]))}
    if names - {author.lower()}:
        return "reply"
    begun = as_text(row.get("conversation_id"))
    return "self-reply" if begun and begun != as_text(_first(row, ID)) else None


def repaired(text: str) -> str:
    r"""Return a text that a script has written as Python's `b'caf\xc3\xa9'` as it was."""
    if not _BYTES.fullmatch(text):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else text


def mended(text: str) -> str:
    """Return a text without mojibake: `donâ€™t` as it was before somebody read it as Latin-1."""
    if text.isascii():
        return text
    import ftfy

    return str(ftfy.fix_encoding(text))


def _is_cut(row: Mapping[str, Any], text: str) -> bool:
    """Tell whether whoever made the dump got only the first 140 characters."""
    told = row.get("cut", row.get("truncated"))
    if _truth(told) is not None:
        return _truth(told) is True
    return _CUT.fullmatch(unescape(text)) is not None


def _is_repost(row: Mapping[str, Any]) -> bool:
    marks = (row.get("is_retweet"), row.get("retweet"))
    return _has(row, _REPOSTED) or any(_truth(mark) is True for mark in marks)


def _has(row: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(_said(row.get(name)) for name in names)


def _said(value: object) -> bool:
    """Tell whether a cell says something; pandas and Python write nothing in many ways."""
    return str(value).strip().lower() not in _BLANK


def _time(row: Mapping[str, Any]) -> Any:
    if all(_said(row.get(name)) for name in ("date", "time", "timezone")):
        return f"{row['date']} {row['time']} {row['timezone']}"
    return _first(row, TIME)


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
    text = as_text(value).strip()
    if text.startswith(("{", "User(")):  # snscrape's object as pandas prints it
        found = _NAMED.search(text)
        text = found[1] if found else ""
    return text.removeprefix("@")


def _spans(row: Mapping[str, Any], text: str) -> tuple[Span, ...]:
    """Return the spans of a row of Mynah's own posts.jsonl that lie within the text."""
    spans = []
    for item in map(as_dict, as_list(row.get("spans"))):
        start, end, kind = as_index(item.get("start")), as_index(item.get("end")), item.get("kind")
        if 0 <= start < end <= len(text) and kind in _SPAN_KINDS:
            spans.append(Span(start=start, end=end, kind=kind))
    return tuple(spans)

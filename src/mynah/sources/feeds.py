"""RSS and Atom: whatever a page offers to be read by machines. Histories are short."""

from __future__ import annotations

import io
import re
from calendar import timegm
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from mynah.errors import BrokenSource, ExtraMissing, SourceNotFound
from mynah.records import Account, Post
from mynah.sources.answer import Answer
from mynah.sources.consent import Check, Verdict
from mynah.sources.hypertext import to_text
from mynah.sources.journal import Content
from mynah.sources.times import to_utc
from mynah.sources.values import as_text, host_of, language, made_up_id
from mynah.sources.visit import Visit

_MOST_PAGES = 1_000  # a feed that leads on for ever is no feed
_NO_AI = re.compile(r"\bno-?ai\b", re.IGNORECASE)
_TRAINING = re.compile(r"\bai-train\s*=\s*no\b", re.IGNORECASE)


def read(visit: Visit) -> Content:
    """Ask what the site allows, then read the entries as they are asked for."""
    _feedparser()  # before anything is asked of anybody
    url = visit.name if "://" in visit.name else f"https://{visit.name}"
    if not host_of(url) or urlsplit(url).scheme not in ("http", "https"):
        raise SourceNotFound(f"{url} is no address of a feed.", hint="Type it as rss:https://…")
    first = visit.page(url)
    feed = _parsed(first)
    handle = _handle(url)
    visit.consent(handle, _checks(visit, url, first, feed))
    about = feed["feed"]
    visit.journal.account(
        Account(
            handle=handle,
            name=as_text(about.get("title")),
            bio=plain(as_text(about.get("subtitle"))),
            url=_web(about.get("link")) or url,
        )
    )
    return Content("rss", visit.fresh(_posts(visit, handle, url, feed), "rss", handle))


def _feedparser() -> Any:
    try:
        import feedparser
    except ImportError as error:
        raise ExtraMissing.of("rss", "Feeds need a library that is not installed.") from error
    return feedparser


def _parsed(answer: Answer) -> Any:
    """Return what feedparser makes of a page.

    Raises:
        BrokenSource: it is no feed.
    """
    headers = {"content-location": answer.url}
    if kind := answer.headers.get("content-type"):
        headers["content-type"] = kind
    try:
        feed = _feedparser().parse(io.BytesIO(answer.body), response_headers=headers)
    except Exception as error:  # odd bytes make it raise nearly anything
        raise _no_feed(answer.url) from error
    if not feed.get("version") and not feed["entries"]:
        raise _no_feed(answer.url)
    return feed


def _no_feed(url: str) -> BrokenSource:
    return BrokenSource(
        f"{url} is no feed.",
        hint="Look for the address of the feed on the page: it often ends in /feed or .xml.",
    )


def _checks(visit: Visit, url: str, answer: Answer, feed: Mapping[str, Any]) -> list[Check]:
    """Return what the site says of robots, of training, and of rights."""
    robots = visit.get(urljoin(url, "/robots.txt"), allow=range(400, 500))
    rules = robots.body.decode("utf-8", "replace") if robots.status < 400 else ""
    allowed = RobotFileParser()
    allowed.parse(rules.splitlines())
    may = allowed.can_fetch("mynah", url)
    tags = answer.headers.get("x-robots-tag", "")
    reserved = answer.headers.get("tdm-reservation", "").strip() == "1"
    signals = answer.headers.get("content-signal", "") + "\n" + rules
    return [
        _check("robots.txt", "allows this address" if may else "keeps robots out", not may),
        _check("X-Robots-Tag", tags or "not set", bool(_NO_AI.search(tags)), "denies"),
        _check("TDM-Reservation", "rights reserved" if reserved else "not set", reserved),
        _check(
            "Content-Signal",
            "ai-train=no" if _TRAINING.search(signals) else "no word on training",
            bool(_TRAINING.search(signals)),
            "denies",
        ),
        _check("rights", " ".join(as_text(feed["feed"].get("rights")).split())[:200] or "not said"),
    ]


def _check(what: str, answer: str, bad: bool = False, verdict: Verdict = "needs-word") -> Check:
    return Check(what=what, answer=answer, verdict=verdict if bad else "allows")


def _posts(visit: Visit, handle: str, url: str, feed: Any) -> Iterator[Post]:
    """Yield the entries of all pages, newest first as feeds have them."""
    several = len({as_text(entry.get("author")) for entry in feed["entries"]} - {""}) > 1
    if several:
        visit.journal.say("The feed has several authors: each is a voice of its own.")
    seen = {url}
    while True:
        for entry in feed["entries"]:
            yield from _post(visit, entry, handle, several, feed)
        following = _next(feed)
        same_site = host_of(following) == host_of(url)
        if not same_site or following in seen or len(seen) >= _MOST_PAGES:
            return
        seen.add(following)
        feed = _parsed(visit.page(following))


def _next(feed: Any) -> str:
    """Return the address of the page with older entries, "" where there is none."""
    links = feed["feed"].get("links", ())
    found = (_web(link.get("href")) for link in links if link.get("rel") == "next")
    return next(filter(None, found), "")


def _post(visit: Visit, entry: Any, handle: str, several: bool, feed: Any) -> Iterator[Post]:
    text = _text(entry)
    if not text:
        visit.journal.skip("entry has no text", "entries have no text")
        return
    author = _slug(as_text(entry.get("author"))) if several else ""
    if author:
        visit.journal.account(Account(handle=author, name=as_text(entry.get("author"))))
    # Its own `get` takes the first for the second, with a warning.
    time = entry.get("published_parsed") or dict.get(entry, "updated_parsed")
    link = _web(entry.get("link"))
    yield Post(
        id=as_text(entry.get("id")) or link or made_up_id(handle, text),
        author=author or handle,
        text=text,
        source="rss",
        created_at=to_utc(timegm(time)) if time else None,
        lang=language(feed["feed"].get("language")),
        url=link,
    )


def _text(entry: Any) -> str:
    """Return an entry's text: its body, after the title where that is not the body's beginning."""
    bodies = entry.get("content") or [entry.get("summary_detail") or {}]
    body = bodies[0]
    value = as_text(body.get("value"))
    text = plain(value) if body.get("type") != "text/plain" else value.strip()
    title = plain(as_text(entry.get("title")))
    begins = text[: len(title)].casefold() == title.casefold() or title.endswith(("…", "..."))
    return text if text and (not title or begins) else "\n\n".join(filter(None, (title, text)))


def plain(html: str) -> str:
    """Return the text of a piece of HTML, in which a line's end is a space."""
    text = to_text(re.sub(r"\s+", " ", html)).text
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _handle(url: str) -> str:
    """Return what a feed is called here: its host, and an account's name in its path."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    account = re.search(r"/@?([\w-]+)(?:\.(?:rss|atom|xml))$|/@([\w-]+)", parts.path)
    name = next((each for each in account.groups() if each), "") if account else ""
    generic = name.lower() in ("", "feed", "rss", "atom", "index")
    return _slug(host if generic else f"{name}@{host}")


def _slug(name: str) -> str:
    """Return a name that can be a bot's."""
    return re.sub(r"[^\w@.+-]+", "-", name).strip("-.")[:64]


def _web(value: object) -> str | None:
    text = as_text(value)
    return text if text.startswith(("http://", "https://")) else None

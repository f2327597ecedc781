"""RSS and Atom: the text of entries, and what the site allows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from conftest import tiny_recipe
from mynah.config import FetchConfig
from mynah.errors import BrokenSource, NoConsent, SourceError, SourceNotFound
from mynah.pipeline import make_bot
from mynah.sources import Fetched, read_all
from mynah.sources.answer import Answer
from mynah.sources.feeds import _handle, _parsed, plain
from web_server import Reply, running


def rss(*items: str, about: str = "<title>Ferry</title><language>en-GB</language>") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
        f"<link>https://ferry.example/</link>{about}{''.join(items)}</channel></rss>"
    ).encode()


def item(number: int, html: str, more: str = "") -> str:
    at = f"Mon, {1 + number % 28:02} May 2023 08:00:00 +0200"
    link = f"https://ferry.example/{number}"
    return (
        f"<item><guid>{link}</guid><link>{link}</link><pubDate>{at}</pubDate>"
        f"<description>{escape(html)}</description>{more}</item>"
    )


@contextmanager
def site(
    feed: bytes, headers: Mapping[str, str] | None = None, robots: str | None = None, **more: bytes
) -> Any:
    routes = {"/feed": lambda asked: Reply(feed, headers=dict(headers or {}))}
    routes |= {f"/{name}": lambda asked, body=body: Reply(body) for name, body in more.items()}
    if robots is not None:
        routes["/robots.txt"] = lambda asked: Reply(robots.encode())
    with running(routes) as web:
        yield web


def fetched(url: str, **settings: Any) -> Fetched:
    return read_all([f"rss:{url}/feed"], FetchConfig(**settings))


def test_a_feed_of_posts() -> None:
    items = (item(2, "<p>Low tide,<br>high hopes.</p><p>R&amp;D</p>"), item(1, "One boat."))
    with site(rss(*items)) as web:
        found = fetched(web.url)
        read = list(found.posts)
    assert [each.text for each in read] == ["Low tide,\nhigh hopes.\n\nR&D", "One boat."]
    assert read[0].created_at == "2023-05-03T06:00:00Z"
    assert read[0].id == read[0].url == "https://ferry.example/2"
    assert read[0].lang == "en-GB"
    assert [(each.handle, each.name) for each in found.accounts] == [("127.0.0.1", "Ferry")]


@pytest.mark.parametrize(
    ("title", "html", "text"),
    [
        ("One boat", "<p>One boat. Two gulls.</p>", "One boat. Two gulls."),
        ("One boat…", "<p>All of one boat.</p>", "All of one boat."),
        ("News", "<p>All of one boat.</p>", "News\n\nAll of one boat."),
        ("Only a title", "", "Only a title"),
    ],
)
def test_a_title_is_said_once(title: str, html: str, text: str) -> None:
    with site(rss(item(1, html, f"<title>{title}</title>"))) as web:
        assert [each.text for each in fetched(web.url).posts] == [text]


def test_an_atom_feed_leads_on_to_older_pages() -> None:
    def page(number: int, following: str) -> bytes:
        return (
            '<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>'
            f'<link rel="next" href="{following}"/><entry><id>urn:{number}</id>'
            f'<updated>2023-05-0{number}T08:00:00Z</updated><content type="html">'
            f"Wave {number}</content></entry></feed>"
        ).encode()

    with site(page(3, "/second"), second=page(2, "/third"), third=page(1, "/feed")) as web:
        found = fetched(web.url)
        assert [each.text for each in found.posts] == ["Wave 3", "Wave 2", "Wave 1"]
        assert list(found.input_hashes()) == [f"rss:{web.url}/feed (3 pages)"]


def test_a_date_that_is_none_is_no_matter() -> None:
    """Found by damage: the library warned of a date that it could not read."""
    entry = item(1, "One boat.").replace("Mon, 02 May 2023 08:00:00 +0200", "the day after")
    with site(rss(entry)) as web:
        [post] = fetched(web.url).posts
    assert (post.text, post.created_at) == ("One boat.", None)


def test_a_feed_does_not_lead_to_another_site() -> None:
    about = (
        '<title>F</title><link xmlns="http://www.w3.org/2005/Atom" rel="next" '
        'href="http://127.0.0.2:9/private"/>'
    )
    with site(rss(item(1, "One boat."), about=about)) as web:
        assert len(list(fetched(web.url).posts)) == 1


def test_authors_of_one_feed_are_voices_of_their_own() -> None:
    items = [
        item(number, f"Wave {number}", f"<dc:creator>{name}</dc:creator>")
        for number, name in ((1, "Ana Lee"), (2, "Bo"))
    ]
    with site(rss(*items)) as web:
        found = fetched(web.url)
        assert [each.author for each in found.posts] == ["Ana-Lee", "Bo"]


@pytest.mark.parametrize(
    ("headers", "robots", "why"),
    [
        ({"X-Robots-Tag": "noindex, noai"}, None, "X-Robots-Tag"),
        ({"Content-Signal": "search=yes, ai-train=no"}, None, "Content-Signal"),
        ({}, "User-agent: *\nContent-Signal: ai-train=no\nAllow: /", "Content-Signal"),
    ],
)
def test_a_site_that_denies_training_is_left_alone(
    headers: dict[str, str], robots: str | None, why: str
) -> None:
    feed = rss(item(1, "One boat."))
    with site(feed, headers, robots) as web, pytest.raises(NoConsent, match=why):
        fetched(web.url, i_have_the_right_to=True)


@pytest.mark.parametrize(
    ("headers", "robots", "why"),
    [
        ({"TDM-Reservation": "1"}, None, "TDM-Reservation"),
        ({}, "User-agent: *\nDisallow: /", "robots.txt"),
    ],
)
def test_a_site_that_keeps_machines_out_needs_a_word(
    headers: dict[str, str], robots: str | None, why: str
) -> None:
    with site(rss(item(1, "One boat.")), headers, robots) as web:
        with pytest.raises(NoConsent, match=why) as told:
            fetched(web.url)
        assert "--i-have-the-right-to" in told.value.hint
        assert len(list(fetched(web.url, i_have_the_right_to=True).posts)) == 1


def test_what_the_site_says_is_kept() -> None:
    about = "<title>F</title><copyright>All rights reserved</copyright>"
    with site(rss(item(1, "One boat."), about=about), robots="User-agent: *\nAllow: /") as web:
        found = fetched(web.url)
    said = {check.what: check.answer for check in found.consents[0].checks}
    assert said["rights"] == "All rights reserved"
    assert said["robots.txt"] == "allows this address"


@pytest.mark.parametrize("body", [b"", b"hello", b"<html><body>Hi</body></html>", b"\xff\x00\x01"])
def test_what_is_no_feed(body: bytes) -> None:
    with site(body) as web, pytest.raises(BrokenSource, match="is no feed"):
        list(fetched(web.url).posts)


@pytest.mark.parametrize("url", ["ftp://ferry.example", "http://", "", "http://["])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SourceNotFound):
        read_all([f"rss:{url}"], FetchConfig())


@pytest.mark.parametrize(
    ("url", "handle"),
    [
        ("https://www.ferry.example/feed", "ferry.example"),
        ("https://social.example/@clerk.rss", "clerk@social.example"),
        ("https://social.example/@clerk/feed.atom", "clerk@social.example"),
        ("https://ferry.example/blog/atom.xml", "ferry.example"),
    ],
)
def test_what_a_feed_is_called(url: str, handle: str) -> None:
    assert _handle(url) == handle


@given(st.text(alphabet="<>/&;pbr \nax'\"=!-[]é"))
def test_html_to_text_takes_anything(html: str) -> None:
    assert plain(html) == plain(html).strip()


@given(st.lists(st.text(alphabet="abc é🌊&<>", min_size=1).map(str.split), max_size=4))
def test_html_to_text_gives_back_what_was_written(blocks: list[list[str]]) -> None:
    texts = [" ".join(words) for words in blocks if words]
    html = "".join(f"<p>{escape(text)}</p>\n" for text in texts)
    assert plain(html) == "\n\n".join(texts)


@given(st.data())
def test_a_spoilt_feed_is_a_feed_or_an_error_of_ours(data: st.DataObject) -> None:
    body = bytearray(rss(item(1, "<p>One boat.</p>"), item(2, "Two.")))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SourceError):
        _parsed(Answer(url="https://ferry.example/feed", status=200, body=bytes(body)))


def test_from_a_feed_to_a_bot_that_talks(bots: Path, tiny_base: Path) -> None:
    items = [item(number, row["text"]) for number, row in enumerate(tiny.account_rows())]
    with site(rss(*items)) as web:
        made = make_bot(bots, [f"rss:{web.url}/feed"], replace(tiny_recipe(tiny_base)))
    assert made.folder.name == "127.0.0.1" and len(made.samples) == 3

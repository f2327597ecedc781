"""Bluesky's records: positions in bytes, what is a link, who wrote what and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.plain_text import plain
from mynah.records import Post, Span
from mynah.sources.bluesky_records import Owner, is_address, to_account, to_post
from mynah.sources.journal import Journal

ME = Owner("did:plc:me", "wader.example")
KEY = "3lhmyd27gsk23"  # 2025-02-08T01:41:13Z


def made(record: dict[str, Any], key: str = KEY) -> Post:
    post = to_post(key, {"createdAt": "2025-02-08T01:41:00Z", **record}, ME, Journal())
    assert post is not None
    return post


def facet(start: int, end: int, **feature: str) -> dict[str, Any]:
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}


def link(start: int, end: int, uri: str) -> dict[str, Any]:
    return facet(start, end, **{"$type": "app.bsky.richtext.facet#link", "uri": uri})


def test_a_post() -> None:
    post = made({"text": "Mud & more mud.", "langs": ["en"]})
    assert post == Post(
        id=KEY,
        author="wader.example",
        text="Mud & more mud.",
        source="bluesky",
        created_at="2025-02-08T01:41:00Z",
        lang="en",
        url=f"https://bsky.app/profile/did:plc:me/post/{KEY}",
    )


def test_a_picture_without_a_word_is_no_post() -> None:
    journal = Journal()
    for text in ("", " \n", None, 7, b"x"):
        record = {"text": text, "embed": {"$type": "app.bsky.embed.images"}}
        assert (to_post(KEY, record, ME, journal) is None) == (text != 7)
    assert journal.notices() == ("4 posts have no text.",)


def reply(parent: str) -> dict[str, Any]:
    return {"reply": {"root": {"uri": "at://did:plc:you/x/1"}, "parent": {"uri": parent}}}


def quoting(uri: str, *, media: bool = False) -> dict[str, Any]:
    inner: dict[str, Any] = {"$type": "app.bsky.embed.record", "record": {"uri": uri}}
    with_media = {"$type": "app.bsky.embed.recordWithMedia", "record": inner, "media": {}}
    return {"embed": with_media if media else inner}


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({}, "post"),
        (reply("at://did:plc:you/app.bsky.feed.post/1"), "reply"),
        (reply("at://did:plc:me/app.bsky.feed.post/1"), "self-reply"),
        (reply("at://did:plc:me2/app.bsky.feed.post/1"), "reply"),
        (quoting("at://did:plc:you/app.bsky.feed.post/1"), "quote"),
        (quoting("at://did:plc:you/app.bsky.feed.post/1", media=True), "quote"),
        (quoting("at://did:plc:you/app.bsky.feed.generator/1"), "post"),
        ({"embed": {"$type": "app.bsky.embed.external", "external": {"uri": "https://x"}}}, "post"),
        (reply("at://did:plc:you/x/1") | quoting("at://did:plc:you/app.bsky.feed.post/1"), "reply"),
        ({"reply": "odd", "embed": ["odd"]}, "post"),
    ],
)
def test_kinds(record: dict[str, Any], kind: str) -> None:
    assert made({"text": "Low water.", **record}).kind == kind


def test_what_is_quoted_does_not_come_along() -> None:
    other = {"$type": "app.bsky.embed.record", "record": {"uri": "at://b/app.bsky.feed.post/1"}}
    other |= {"value": {"text": "their words"}}
    assert made({"text": "So true.", "embed": other}).text == "So true."


def test_a_clock_that_is_ahead_is_set_right_by_the_key() -> None:
    assert made({"text": "x", "createdAt": "2199-01-01T00:00:00Z"}).created_at == (
        "2025-02-08T01:41:13Z"
    )
    assert made({"text": "x", "createdAt": "never"}).created_at == "2025-02-08T01:41:13Z"
    assert made({"text": "x", "createdAt": "2019-01-01T00:00:00+01:00"}).created_at == (
        "2018-12-31T23:00:00Z"
    )
    assert made({"text": "x"}, key="self").created_at == "2025-02-08T01:41:00Z"
    assert made({"text": "x", "createdAt": None}, key="self").created_at is None


def test_two_languages_are_what_the_writer_reads() -> None:
    assert made({"text": "x", "langs": ["de"]}).lang == "de"
    assert made({"text": "x", "langs": ["de", "en"]}).lang is None
    assert made({"text": "x", "langs": "de"}).lang is None


# Bytes, not characters: an emoji before the link is four of them, a family of four 25.
BEFORE = ["", "é ", "🌊 ", "👨‍👩‍👧‍👦 ", "e\u0301 ", "שלום ", "日本語", "a\u200d ", "🇫🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿 "]


@pytest.mark.parametrize("before", BEFORE)
def test_a_link_is_found_behind_anything(before: str) -> None:
    start = len(before.encode())
    post = made({
        "text": f"{before}example.com/a… there",
        "facets": [link(start, start + 16, "https://example.com/abc")],
    })  # fmt: skip
    [span] = post.spans
    assert post.text[span.start : span.end] == "example.com/a…"
    assert plain(post).endswith("there") and "example" not in plain(post)


WORDS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("é\u0301\u0308\u200d\ufe0f🌊👩👧🏽🇫🇷日\u0000\n @#."),
    ),
    max_size=30,
)


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=6))
def test_facets_find_again_what_they_were_made_for(pieces: list[tuple[str, bool]]) -> None:
    """Whatever stands around them: emoji, combining marks, joiners, line ends."""
    text, facets, wanted = "", [], []
    for words, after in pieces:
        text += words
        shown = "example.com/é" if after else "@gull.example"
        start, first = len(text.encode()), len(text)
        text += shown
        uri, did = "https://www.Example.com/é/x", "did:plc:gull"
        feature = {"uri": uri} if after else {"did": did}
        kind = "link" if after else "mention"
        name = f"app.bsky.richtext.facet#{kind}"
        facets.append(facet(start, len(text.encode()), **feature, **{"$type": name}))
        wanted.append((first, len(text), "url" if after else "mention"))
    post = to_post(KEY, {"text": text, "facets": facets}, ME, Journal())
    if post is None:
        assert not text.strip()
        return
    assert [(span.start, span.end, span.kind) for span in post.spans] == wanted
    units = len(text.encode("utf-16-le")) // 2
    old = [{"type": "mention", "index": {"start": 0, "end": units}, "value": "did:plc:gull"}]
    assert made({"text": text, "entities": old}).spans == (
        Span(start=0, end=len(text), kind="mention"),
    )


@given(
    WORDS.filter(str.strip),
    st.lists(st.tuples(st.integers(-3, 200), st.integers(-3, 200)), max_size=5),
)
def test_wrong_positions_lose_no_word(text: str, positions: list[tuple[int, int]]) -> None:
    facets = [link(start, end, "https://example.com") for start, end in positions]
    old = [{"type": "mention", "index": {"start": a, "end": b}, "value": "x"} for a, b in positions]
    post = made({"text": text, "facets": facets, "entities": old})
    assert post.text == text
    for span in post.spans:
        assert 0 <= span.start < span.end <= len(text)
        assert span.kind == "mention" or is_address(
            text[span.start : span.end], "https://example.com"
        )


FIELDS = (
    "text facets index byteStart features $type entities embed record uri reply parent langs "
    "createdAt type value"
).split()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict))
)
def test_no_record_is_too_odd(record: dict[str, Any]) -> None:
    post = to_post(KEY, record, ME, Journal())
    assert post is None or post.text.strip()
    to_account(record, ME)


def test_a_boundary_inside_a_character_marks_nothing() -> None:
    text, uri = "🌊example.com", "https://example.com"
    assert made({"text": text, "facets": [link(2, 15, uri)]}).spans == ()
    halves = [{"type": "link", "index": {"start": 1, "end": 13}, "value": uri}]
    assert made({"text": text, "entities": halves}).spans == ()


def test_old_entities_count_utf16() -> None:
    old = [{"type": "link", "index": {"start": 3, "end": 14}, "value": "https://Example.com"}]
    post = made({"text": "🌊 example.com!", "entities": old})
    assert post.spans == (Span(start=2, end=13, kind="url"),)


@pytest.mark.parametrize(
    ("shown", "target", "address"),
    [
        ("https://example.com/a", "https://example.com/a", True),
        ("example.com/very-long…", "https://example.com/very-long/way", True),
        ("example.com/very-long...", "https://www.example.com/very-long/way", True),
        ("www.Example.com", "http://example.com/", True),
        ("the tide table", "https://example.com", False),
        ("here", "https://here.example", False),
        ("here.", "https://here.example", False),
        ("…", "https://example.com", False),
        ("other.example", "https://example.com", False),
    ],
)
def test_words_with_a_link_under_them_stay(shown: str, target: str, address: bool) -> None:
    assert is_address(shown, target) is address
    post = made({"text": shown, "facets": [link(0, len(shown.encode()), target)]})
    assert (post.spans != ()) is address


def test_tags_are_words() -> None:
    tag = facet(0, 5, **{"$type": "app.bsky.richtext.facet#tag", "tag": "tide"})
    post = made({"text": "#tide is out", "facets": [tag], "tags": ["hidden"]})
    assert post.spans == () and plain(post) == "#tide is out"


def test_a_profile() -> None:
    account = to_account({"displayName": "Wader 🦆", "description": "Mud."}, ME)
    assert (account.handle, account.name, account.bio) == ("wader.example", "Wader 🦆", "Mud.")
    assert account.url == "https://bsky.app/profile/did:plc:me"

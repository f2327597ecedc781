"""X over its API: the word first, then every post, whole, once, and the token nowhere."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from conftest import tiny_recipe
from mynah.config import FetchConfig
from mynah.errors import AccessRefused, NoConsent, NoSuchAccount, RateLimited, RemoteError
from mynah.pipeline import make_bot
from mynah.records import Post
from mynah.sources import Fetched, Trip, read_all
from mynah.sources.journal import Journal
from mynah.sources.tweets import Owner, to_post
from mynah.sources.tweets_v2 import translated
from x_server import TOKEN, X, plain_posts, post, problem, running_x


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[X]:
    monkeypatch.setenv("X_BEARER_TOKEN", TOKEN)
    with running_x() as x:
        yield x


def settings(x: X, **more: Any) -> FetchConfig:
    return FetchConfig(**{"x_api": x.web.url, "i_have_the_right_to": True} | more)


def fetched(x: X, spec: str = "x:ferryclerk", **more: Any) -> Fetched:
    return read_all([spec], settings(x, **more), Trip(sleep=lambda seconds: None))


def posts(x: X, **more: Any) -> list[Post]:
    return list(fetched(x, **more).posts)


def test_every_post_comes_once_newest_first(x: X) -> None:
    x.posts = plain_posts(230)
    found = fetched(x)
    read = list(found.posts)
    assert [each.id for each in read] == [row["id"] for row in x.posts]
    assert read[0].created_at == "2024-02-27T06:00:00Z"
    assert read[0].url == f"https://x.com/FerryClerk/status/{read[0].id}"
    assert [account.handle for account in found.accounts] == ["FerryClerk"]
    assert found.accounts[0].own_archive is False
    assert list(found.input_hashes()) == ["x:ferryclerk (3 pages)"]


def test_nothing_is_asked_before_the_person_gave_their_word(x: X) -> None:
    with pytest.raises(NoConsent, match="needs your word") as told:
        fetched(x, i_have_the_right_to=False)
    assert "--i-have-the-right-to" in told.value.hint
    assert x.web.asked == []


class Listener:
    """Write down what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def begin(self, what: str, total: float | None = None) -> None: ...
    def advance(self, done: float, note: str = "") -> None: ...
    def end(self) -> None: ...


@pytest.mark.parametrize(
    ("most", "price"), [(None, r"\$16.00 for 3,200"), (200, r"\$1.00 for 200")]
)
def test_the_price_is_said_first(x: X, most: int | None, price: str) -> None:
    listener = Listener()
    with pytest.raises(NoConsent):
        config = settings(x, max_posts=most, i_have_the_right_to=False)
        read_all(["x:ferryclerk"], config, Trip(watch=listener))
    first, second = listener.said
    assert "price" in first and price.replace("\\", "") in first
    assert "terms" in second and "forbid" in second


def test_what_was_asked_and_said_is_kept(x: X) -> None:
    found = fetched(x)
    (consent,) = found.consents
    assert (consent.source, consent.account) == ("x", "ferryclerk")
    assert consent.flags == ("--i-have-the-right-to",)
    assert consent.by == getpass.getuser()
    assert [check.what for check in consent.checks] == ["price", "X's developer terms"]
    assert "may not be published" in consent.terms[0]
    list(found.posts)
    assert any("may not be published" in notice for notice in found.notices)


def test_no_more_is_paid_for_than_was_asked_for(x: X) -> None:
    assert len(posts(x, max_posts=30)) == 30
    assert [each.params.get("max_results") for each in x.web.asked] == [None, "30"]


def test_x_is_understood_in_its_new_words(x: X) -> None:
    long = "A long story. " * 40
    first = post(500, long[:270] + "…", note_tweet={"text": long}, referenced_tweets=[])
    second = post(499, "Yes.", referenced_tweets=[{"type": "replied_to", "id": "1"}])
    x.posts = [first, second, *plain_posts(150)]
    old = posts(x)
    x.new_words = True
    x.web.asked.clear()
    assert posts(x) == old
    assert old[0].text == long and old[1].kind == "reply"
    refused = [each for each in x.web.asked if "tweet.fields" in each.params]
    assert len(refused) == 1  # asked in the old words once, not once a page


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "post"),
        ({"referenced_tweets": [{"type": "retweeted", "id": "7"}]}, "repost"),
        ({"referenced_tweets": [{"type": "quoted", "id": "7"}]}, "quote"),
        ({"referenced_tweets": [{"type": "replied_to", "id": "7"}]}, "reply"),
        (
            {
                "referenced_tweets": [{"type": "replied_to", "id": "7"}],
                "in_reply_to_user_id": "42",
            },
            "self-reply",
        ),
    ],
)
def test_kinds(x: X, more: dict[str, Any], kind: str) -> None:
    x.posts = [post(1, "@gull_7 No & yes.", **more)]
    assert [each.kind for each in posts(x)] == [kind]


def test_links_mentions_and_entities(x: X) -> None:
    text = "@gull_7 🌊 look https://t.co/aaaaaaaaaa &amp; https://t.co/bbbbbbbbbb"
    one, two = text.index("https://t.co/a"), text.index("https://t.co/b")
    link = {"start": one, "end": one + 23, "url": "https://t.co/aaaaaaaaaa", "display_url": "a.b"}
    picture = {"start": two, "end": two + 23, "url": "https://t.co/bbbbbbbbbb", "media_key": "3_1"}
    wrong = link | {"start": 3, "end": 9}
    mention = {"start": 0, "end": 7, "username": "gull_7"}
    entities = {"urls": [link, picture, wrong, {}], "mentions": [mention]}
    x.posts = [post(1, text, entities=entities)]
    (read,) = posts(x)
    marked = [(read.text[span.start : span.end], span.kind) for span in read.spans]
    assert marked == [
        ("@gull_7", "mention"),
        ("https://t.co/aaaaaaaaaa", "url"),
        ("https://t.co/bbbbbbbbbb", "media"),
    ]
    assert read.escaped


def test_an_edited_post_knows_its_last_version(x: X) -> None:
    x.posts = [post(2, "Second try."), post(1, "Frist try.", edit_history_tweet_ids=["1", "2"])]
    assert [each.latest_id for each in posts(x)] == [None, "2"]


def test_x_shows_the_newest_3200(x: X) -> None:
    x.posts = [post(number, f"Wave {number} came in.") for number in range(3_300)][::-1]
    found = fetched(x)
    assert len(list(found.posts)) == 3_200
    assert any("newest 3,200" in notice for notice in found.notices)


def test_a_limit_without_a_reset_is_waited_for(x: X) -> None:
    """Another client asked again at once, hundreds of times a second."""
    x.web.fail(429, times=3, body={"title": "Too Many Requests"})
    naps: list[float] = []
    read = read_all(["x:ferryclerk"], settings(x), Trip(sleep=naps.append))
    assert len(list(read.posts)) == 130
    assert len(naps) == 3 and naps == sorted(naps) and naps[0] >= 1


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [(401, AccessRefused, "401"), (402, AccessRefused, "paid"), (403, AccessRefused, "403")],
)
def test_what_x_refuses(x: X, status: int, error: type[RemoteError], word: str) -> None:
    told = problem(status, "No", f"Not with {TOKEN}, dear client.")
    x.web.fail(status, body=told.body)
    with pytest.raises(error, match=word) as raised:
        fetched(x)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("resource-not-found", 404, NoSuchAccount),
        ("not-authorized-for-resource", 403, AccessRefused),
        ("usage-capped", 429, RateLimited),
        ("about:blank", 429, RateLimited),
        ("disconnected", 503, RemoteError),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False], ids=["in errors", "bare"])
def test_a_problem_inside_a_200(
    x: X, kind: str, status: int, error: type[RemoteError], wrapped: bool, tmp_path: Path
) -> None:
    body = problem(status, "Trouble", "The whale is back.", kind).body
    found = read_all(["x:ferryclerk"], settings(x), Trip(pages=tmp_path / "pages"))
    x.web.faults += [replace(problem(200, "", ""), body={"errors": [body]} if wrapped else body)]
    with pytest.raises(error, match="whale"):
        list(found.posts)
    assert not (tmp_path / "pages").exists()  # an error is no page


def test_a_name_that_nobody_has(x: X) -> None:
    with pytest.raises(NoSuchAccount, match="no nobody"):
        fetched(x, "x:nobody")


@pytest.mark.parametrize("name", ["a b", "émile", "x/../y", "waytoolongforahandleonx"])
def test_a_name_that_cannot_be(x: X, name: str) -> None:
    with pytest.raises(NoSuchAccount, match="no handle"):
        fetched(x, f"x:{name}")
    assert x.web.asked == []


def test_a_protected_account_is_left_alone(x: X) -> None:
    x.user["protected"] = True
    with pytest.raises(AccessRefused, match="followers only"):
        fetched(x)


@pytest.mark.parametrize("token", ["", "  ", "two words", "tok\nen", "tökén"])
def test_without_a_token(x: X, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("X_BEARER_TOKEN", token)
    with pytest.raises(AccessRefused, match=r"token") as told:
        fetched(x)
    assert "X_BEARER_TOKEN" in told.value.hint
    assert x.web.asked == []


def test_from_x_to_a_bot_that_talks(x: X, bots: Path, tiny_base: Path) -> None:
    """And the token is in no file of it, nor in the pages of a fetch that was stopped."""
    recipe = replace(tiny_recipe(tiny_base), fetch=settings(x))
    made = make_bot(bots, ["x:ferryclerk"], recipe)
    assert made.folder.name == "ferryclerk" and len(made.samples) == 3
    x.web.fail(401)
    config = ["--x-api", x.web.url, "--i-have-the-right-to"]
    answer = tiny.mynah("fetch", "x:ferryclerk", *config, "--name", "again")
    assert answer.code == 2
    assert TOKEN not in answer.err + answer.out
    files = [path for path in bots.rglob("*") if path.is_file()]
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = ["id", "text", "created_at", "lang", "entities", "referenced_tweets", "note_tweet"]
ENTITY = st.dictionaries(st.sampled_from(["start", "end", "url", "username"]), JSON)
ENTITIES = st.dictionaries(st.sampled_from(["urls", "mentions"]), st.lists(ENTITY | JSON) | JSON)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), ENTITIES)
def test_no_row_is_too_odd(row: dict[str, Any], entities: Any) -> None:
    row |= {"text": row.get("text") or "A wave", "entities": entities}
    read = to_post(translated(row), Owner("a", "42"), "x-api", Journal())
    assert read is None or (read.text and all(s.end <= len(read.text) for s in read.spans))

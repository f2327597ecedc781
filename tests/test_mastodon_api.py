"""Mastodon's API: a server that others wrote, and one of our own for what that one does not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mastodon_mock.config import SeedAccount, SeedConfig, SeedStatus
from mastodon_mock.testing import MockServer

from conftest import tiny_recipe
from fediverse import content, link, mention, status
from mynah.config import FetchConfig
from mynah.errors import (
    BrokenSource,
    EmptySource,
    NoConsent,
    NoSuchAccount,
    ServerDown,
    SourceNotFound,
)
from mynah.pipeline import make_bot
from mynah.records import Post, read_posts
from mynah.sources import Fetched, Trip, read, read_all
from mynah.stages import fetch_posts
from mynah.updating import News, update_posts
from web_server import Asked, Reply, Web, running

DATA = Path(__file__).resolve().parents[2] / "shared/data/formats"
MINE = FetchConfig(i_have_the_right_to=True)
THINGS = "fog ferry gull rope lamp kelp tide bell crab pier".split()
DEEDS = "sank sang slept broke left rusted drifted vanished waited returned".split()


def seeded() -> SeedConfig:
    """Return alice with 100 posts, of which every tenth is for some people only."""
    hidden = ("unlisted", "private", "direct")
    texts = [
        f"Harbour note {n}: the {THINGS[n % 10]} {DEEDS[n // 10]} & the {THINGS[n // 10]} <mostly> "
        f"{DEEDS[n % 10]}, which nobody at the pier had counted on. #harbour"
        for n in range(100)
    ]
    statuses = [
        SeedStatus(
            account="alice",
            text=text,
            visibility=hidden[n // 10 % 3] if n % 10 == 9 else "public",
        )
        for n, text in enumerate(texts)
    ]
    names = ("alice", "bob")
    accounts = [SeedAccount(username=n, display_name=n.title(), access_token=n) for n in names]
    return SeedConfig(accounts=accounts, statuses=statuses)


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    with MockServer(seed=seeded(), startup_timeout=120) as server:
        theirs = server.client("bob").status_post("Bob's own words, which alice boosts")
        alice = server.client("alice")
        alice.status_reblog(theirs)
        first = alice.status_post("and one more thing")
        alice.status_post("to myself", in_reply_to_id=first)
        yield server


def account(server: MockServer, name: str = "alice") -> str:
    return f"mastodon:{name}@127.0.0.1:{server.port}"


def fetch(spec: str, trip: Trip | None = None, **more: Any) -> tuple[Fetched, list[Post]]:
    fetched = read_all([spec], replace(MINE, **more), trip)
    return fetched, list(fetched.posts)


def test_all_public_posts_and_nothing_else(mock: MockServer) -> None:
    fetched, posts = fetch(account(mock))
    numbers = [int(found[1]) for post in posts if (found := re.search(r"note (\d+):", post.text))]
    assert numbers == [n for n in reversed(range(100)) if n % 10 != 9]
    assert len(posts) == 92
    assert not any("Bob's own words" in post.text for post in posts)
    assert fetched.notices == ("4 posts are not public.",)  # the others are not shown to strangers
    [hashed] = fetched.input_hashes()
    assert hashed.endswith("(3 pages)")
    [who] = fetched.accounts
    assert (who.handle, who.name, who.own_archive) == ("alice@127.0.0.1", "Alice", False)
    assert [post.kind for post in posts[:3]] == ["self-reply", "post", "post"]
    assert "the fog sank & the fog <mostly> sank" in posts[-1].text
    assert all(post.created_at and post.url for post in posts)


def test_no_more_pages_than_are_wanted(mock: MockServer) -> None:
    fetched, posts = fetch(account(mock), max_posts=7)
    assert len(posts) == 7
    assert next(iter(fetched.input_hashes())).endswith("(1 page)")


class Naps(list[float]):
    """A sleep that only writes down how long it would have taken."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def test_a_limit_is_waited_for_as_mastodon_says_it(mock: MockServer) -> None:
    naps = Naps()
    reset = (datetime.now(UTC) + timedelta(seconds=200)).isoformat().replace("+00:00", "Z")
    with mock.fault(
        path="/api/v1/accounts/*/statuses",
        type="status",
        status=429,
        headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset},
        count=2,
    ):
        assert len(fetch(account(mock), Trip(sleep=naps))[1]) == 92
    assert len(naps) == 2 and all(100 < nap < 210 for nap in naps)


def test_trouble_is_tried_again_and_nonsense_is_told(mock: MockServer) -> None:
    naps, path = Naps(), "/api/v1/accounts/*/statuses"
    with mock.fault(path=path, type="status", status=502, count=2):
        assert len(fetch(account(mock), Trip(sleep=naps))[1]) == 92
    assert len(naps) == 2
    with mock.fault(path=path, type="malformed"), pytest.raises(BrokenSource):
        fetch(account(mock))


def test_nobody_of_that_name(mock: MockServer) -> None:
    with pytest.raises(NoSuchAccount) as told:
        fetch(account(mock, "mallory"))
    assert "mallory" in told.value.sentence and told.value.hint


def test_without_a_word_nothing_is_read(mock: MockServer) -> None:
    with pytest.raises(NoConsent) as told:
        read(account(mock), FetchConfig())
    assert "indexable" in told.value.sentence
    assert "--i-have-the-right-to" in told.value.hint


def test_a_bot_of_an_account(mock: MockServer, bots: Path, tiny_base: Path) -> None:
    recipe = replace(tiny_recipe(tiny_base), fetch=MINE)
    made = make_bot(bots, [account(mock)], recipe)
    run = made.folder.read_run()
    assert made.folder.name == "alice@127.0.0.1"
    [consent] = run["consents"]
    assert consent["flags"] == ["--i-have-the-right-to"]
    assert {check["what"] for check in consent["checks"]} >= {"noindex", "indexable", "profile"}
    assert all(sample.text for sample in made.samples)
    new = mock.client("alice").status_post("Stop press: the ferry has sunk twice this week")
    try:
        assert update_posts(made.folder, MINE).new == 1
        assert list(read_posts(made.folder.posts))[-1].text.startswith("Stop press")
    finally:
        mock.client("alice").status_delete(new)


@dataclass
class Sea:
    """A server of our own: one account, its statuses newest first, what it was asked."""

    profile: dict[str, Any] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    terms: str | None = None
    next_host: str | None = None
    broken_from: str | None = None  # max_id of the page that fails
    web: Web = field(default_factory=lambda: Web({}))

    def routes(self) -> dict[str, Any]:
        return {
            "/api/v1/accounts/lookup": self.lookup,
            "/api/v2/instance": lambda asked: Reply({"rules": [{"text": t} for t in self.rules]}),
            "/api/v1/instance/terms_of_service": self.terms_of_service,
            "/api/v1/accounts/77/statuses": self.page,
        }

    def lookup(self, asked: Asked) -> Reply:
        if asked.params["acct"] != "buoy":
            return Reply({"error": "Record not found"}, 404)
        told = {"id": "77", "username": "buoy", "acct": "buoy", "indexable": True, "noindex": False}
        return Reply(told | self.profile)

    def terms_of_service(self, asked: Asked) -> Reply:
        return Reply({"content": self.terms}) if self.terms else Reply({"error": "none"}, 404)

    def page(self, asked: Asked) -> Reply:
        limit, newest = int(asked.params["limit"]), asked.params.get("max_id")
        if self.broken_from is not None and newest == self.broken_from:
            return Reply({}, 500)
        rows = [s for s in self.statuses if newest is None or int(s["id"]) < int(newest)]
        rows = [s for s in rows if int(s["id"]) > int(asked.params.get("since_id", "0"))][:limit]
        if len(rows) < limit:
            return Reply(rows)
        kept = "".join(f"&{k}={v}" for k, v in asked.params.items() if k != "max_id")
        url = f"{self.next_host or self.web.url}{asked.path}?max_id={rows[-1]['id']}{kept}"
        return Reply(rows, headers={"Link": f'<{url}>; rel="next", <{url}&min_id=1>; rel="prev"'})

    @property
    def spec(self) -> str:
        return f"mastodon:buoy@{self.web.host}"

    def pages(self) -> list[dict[str, str]]:
        return [each.params for each in self.web.asked if each.path.endswith("/statuses")]


def many(count: int) -> list[dict[str, Any]]:
    return [status(n, content(f"Bell {n} & rope")) for n in range(count, 0, -1)]


@pytest.fixture
def sea() -> Iterator[Sea]:
    sea = Sea()
    with running(sea.routes()) as web:
        sea.web = web
        yield sea


def test_pages_follow_the_link_header(sea: Sea) -> None:
    sea.statuses = many(100)
    assert [post.id for post in fetch(sea.spec)[1]] == [str(n) for n in range(100, 0, -1)]
    assert [asked.get("max_id") for asked in sea.pages()] == [None, "61", "21"]
    assert all(asked["limit"] == "40" for asked in sea.pages())
    assert all(asked["exclude_reblogs"] == "true" for asked in sea.pages())


def test_a_link_elsewhere_is_not_followed(sea: Sea) -> None:
    sea.statuses, sea.next_host = many(100), "http://localhost:9"
    assert len(fetch(sea.spec)[1]) == 40


def test_a_link_that_is_none_ends_the_reading(sea: Sea) -> None:
    """Found by damage: a bracket without its fellow was a ValueError."""
    sea.statuses, sea.next_host = many(100), "http://["
    assert len(fetch(sea.spec)[1]) == 40


def test_a_link_that_leads_back_ends_the_reading(sea: Sea) -> None:
    sea.statuses = many(40)
    here = f"{sea.web.url}/api/v1/accounts/77/statuses?limit=40"
    sea.web.routes = sea.routes() | {
        "/api/v1/accounts/77/statuses": lambda asked: Reply(
            sea.statuses, headers={"Link": f'<{here}>; rel="next"'}
        )
    }
    _, posts = fetch(sea.spec)
    assert len(posts) == 40 and len(sea.pages()) == 2


def test_what_a_status_becomes(sea: Sea) -> None:
    shown, _ = mention("coral", "reef.example")
    theirs = {
        "username": "coral",
        "acct": "coral@reef.example",
        "url": "https://reef.example/@coral",
    }
    sea.statuses = [
        status(9, reblog=status(1), visibility="public"),  # though it was asked for none
        status(8, visibility="unlisted"),
        status(7, f"<p>{shown} hello</p>", in_reply_to_id="1", in_reply_to_account_id="5",
               mentions=[theirs]),
        status(6, in_reply_to_id="5", in_reply_to_account_id="77"),
        status(5, '<p class="quote-inline">RE: x</p><p>This.</p>', quote={"state": "accepted"}),
        status(4, f"<p>At {link('https://tide.example/t')}</p>", spoiler_text="tides"),
        status(3, ""),
    ]  # fmt: skip
    fetched, posts = fetch(sea.spec)
    assert [(post.id, post.kind, post.text) for post in posts] == [
        ("7", "reply", "@coral@reef.example hello"),
        ("6", "self-reply", "The bell rang twice."),
        ("5", "quote", "This."),
        ("4", "post", "At https://tide.example/t"),
    ]
    assert posts[3].warning == "tides"
    assert set(fetched.notices) == {
        "1 boost was skipped.",
        "1 post is not public.",
        "1 post has no text.",
    }


def test_an_interrupted_fetch_goes_on_and_an_update_asks_for_what_is_new(
    sea: Sea, bots: Path
) -> None:
    sea.statuses, sea.broken_from = many(100), "21"
    once = replace(MINE, attempts=1)
    with pytest.raises(ServerDown):
        fetch_posts(bots, [sea.spec], once)
    sea.broken_from = None
    sea.web.asked.clear()
    folder = fetch_posts(bots, [sea.spec], once)
    assert [asked["max_id"] for asked in sea.pages()] == ["21"]
    assert len(list(read_posts(folder.posts))) == 100
    sea.web.asked.clear()
    sea.statuses = many(103)
    assert update_posts(folder, MINE).new == 3
    assert [(asked["since_id"], asked.get("max_id")) for asked in sea.pages()] == [("100", None)]
    assert len({post.id for post in read_posts(folder.posts)}) == 103


def test_what_the_author_has_deleted_is_counted_and_taken_out(sea: Sea, bots: Path) -> None:
    """Also the newest and the oldest post: the list is whole."""
    sea.statuses = many(100)
    folder = fetch_posts(bots, [sea.spec], MINE)
    kept = [each for each in sea.statuses if each["id"] not in ("1", "50", "100")]
    sea.statuses = [status(101), *kept]
    assert update_posts(folder, replace(MINE, max_posts=10), whole=True) == News(new=1, gone=1)
    assert update_posts(folder, MINE, whole=True) == News(new=0, gone=3)
    assert len(list(read_posts(folder.posts))) == 101
    assert update_posts(folder, MINE, whole=True, forget=True) == News(new=0, gone=3)
    left = {post.id for post in read_posts(folder.posts)}
    assert len(left) == 98 and left.isdisjoint(("1", "50", "100"))
    assert update_posts(folder, MINE).gone == 0  # nobody looked
    sea.statuses = []
    assert update_posts(folder, MINE, whole=True) == News(new=0, gone=0)


@pytest.mark.parametrize(
    ("profile", "what"),
    [
        ({"noindex": True}, "noindex"),
        ({"note": "<p>I ring. <a href='/x' class='hashtag'>#<span>NoBot</span></a></p>"},
         "profile"),
        ({"fields": [{"name": "me", "value": "#noAI"}]}, "profile"),
    ],
)  # fmt: skip
def test_a_no_is_a_no_whatever_is_typed(sea: Sea, profile: dict[str, Any], what: str) -> None:
    sea.profile, sea.statuses = profile, many(3)
    with pytest.raises(NoConsent) as told:
        fetch(sea.spec)
    assert what in told.value.sentence and "archive" in told.value.hint
    assert not sea.pages()


def test_who_has_not_agreed_to_be_searched_needs_a_word(sea: Sea) -> None:
    sea.profile, sea.statuses = {"indexable": False}, many(3)
    with pytest.raises(NoConsent):
        read(sea.spec, FetchConfig())
    assert len(fetch(sea.spec)[1]) == 3
    sea.profile = {"indexable": None}  # a server that does not ask
    fetched = read(sea.spec, FetchConfig())
    assert len(list(fetched.posts)) == 3
    [consent] = fetched.consents
    assert {check.what: check.verdict for check in consent.checks}["indexable"] == "warns"


def test_what_else_an_account_and_its_server_say_is_told(sea: Sea) -> None:
    sea.statuses = many(3)
    sea.profile = {"bot": True, "discoverable": False, "moved": {"acct": "buoy@new.example"}}
    sea.rules = ["Be kind.", "No scraping, not even for fun."]
    sea.terms = "<p>We like boats. Posts may not be used to train an AI model. Bye.</p>"
    fetched, _ = fetch(sea.spec)
    [consent] = fetched.consents
    warned = [(check.what, check.answer) for check in consent.checks if check.verdict == "warns"]
    assert warned == [
        ("bot", "the account calls itself a bot"),
        ("discoverable", "wants not to be recommended"),
        ("moved", "posts as buoy@new.example now"),
        ("rules of 127.0.0.1", '"No scraping, not even for fun"'),
        ("rules of 127.0.0.1", '"Posts may not be used to train an AI model"'),
    ]


def test_a_name_of_another_domain_than_its_server(sea: Sea) -> None:
    sea.statuses = many(3)
    self_link = {"rel": "self", "href": f"{sea.web.url}/users/buoy"}
    with running({"/.well-known/webfinger": lambda asked: Reply({"links": [self_link]})}) as other:
        _, posts = fetch(f"mastodon:buoy@localhost:{other.host.rpartition(':')[2]}")
    assert {post.author for post in posts} == {"buoy@localhost"}


@pytest.mark.parametrize("name", ["buoy", "@buoy", "https://sea.example/about", "a@b@c", "@", "b@"])
def test_a_name_without_a_server(name: str) -> None:
    with pytest.raises(SourceNotFound) as told:
        read(f"mastodon:{name}", MINE)
    assert "mastodon:alice@example.social" in told.value.hint


@pytest.mark.parametrize("shape", ["mastodon:@buoy@{}", "mastodon:http://{}/@buoy"])
def test_other_ways_to_name_an_account(sea: Sea, shape: str) -> None:
    sea.statuses = many(2)
    assert len(fetch(shape.format(sea.web.host))[1]) == 2


def test_an_account_without_public_posts(sea: Sea) -> None:
    with pytest.raises(EmptySource):
        fetch(sea.spec)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real samples are not at hand")
@pytest.mark.parametrize(
    ("name", "count"), [("sudorandom_50634bd6", 17), ("sudorandom_9d58cc0b", 12)]
)
def test_real_statuses(sea: Sea, name: str, count: int) -> None:
    path = DATA / f"mastodon_api_statuses/{name}.json"
    if not path.exists():
        pytest.skip(f"{name} is not at hand")
    sea.statuses = json.loads(path.read_text(encoding="utf-8"))
    _, posts = fetch(sea.spec)
    assert len(posts) == len(sea.statuses) == count
    for post, row in zip(posts, sea.statuses, strict=True):
        assert not re.search(r"</?(?:p|a|span|br)\b|&(?:amp|lt|gt|#39);", post.text)
        links = re.findall(r'<a href="([^"]*)" target="_blank"', row["content"])
        assert [post.text[span.start : span.end] for span in post.spans] == links
        assert post.text.count("\n\n") == row["content"].count("</p><p>")


def test_statuses_that_somebody_saved(tmp_path: Path) -> None:
    me = {"id": "7", "username": "buoy", "url": "https://sea.example/@buoy", "noindex": True}
    rows = [status(2, account=me), status(1, account=me | {"id": "8"})]
    listed, lines = tmp_path / "saved", tmp_path / "saved.jsonl"
    listed.write_text(json.dumps(rows))
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for path in (listed, lines):
        with pytest.raises(NoConsent) as told:
            read(str(path), FetchConfig())
        assert "noindex" in told.value.sentence
        fetched, posts = fetch(str(path))  # whoever said no may be the one who asks
        assert [(post.id, post.author) for post in posts] == [("2", "buoy@sea.example")]
        assert fetched.notices[-1] == "1 post is somebody else's."
        assert [consent.account for consent in fetched.consents] == ["buoy@sea.example"]

"""Bluesky: a real server of accounts and a real directory on loopback, and whatever goes wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

import pds_server
import web_server
from conftest import tiny_recipe
from mynah.cleaning import read_cleaned
from mynah.config import FetchConfig
from mynah.errors import NoConsent, NoSuchAccount, RateLimited, ServerDown, SourceError
from mynah.pipeline import make_bot
from mynah.plain_text import plain
from mynah.records import Post, read_posts
from mynah.run_folder import RunFolder
from mynah.sources import Trip, read_all
from mynah.stages import fetch_posts
from mynah.updating import News, update_posts
from pds_server import POSTS, Person, Servers
from tiny import SENTENCES
from web_server import Asked, Reply, Web

LIST = "/xrpc/com.atproto.repo.listRecords"
POSTED = 600


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Run a real PDS and PLC; where they cannot be had, skip and say why."""
    try:
        home = pds_server.installed()
    except pds_server.NotToBeHad as error:
        pytest.skip(f"No PDS on Node {pds_server.NODE} to be had: {error}")
    with pds_server.running(home, tmp_path_factory.mktemp("pds")) as servers:
        yield servers


@pytest.fixture(autouse=True)
def _at_home(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNAH_BLUESKY", servers.pds)
    monkeypatch.setenv("MYNAH_PLC", servers.plc)


class _Ahead(dict[str, Callable[[Asked], Reply]]):
    """Routes that hand every request on to the real servers; answers name this one instead."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self.servers, self.web = servers, Web({})

    def get(self, path: str, default: object = None) -> Callable[[Asked], Reply]:
        return super().get(path, self.ahead)

    def ahead(self, asked: Asked) -> Reply:
        base = self.servers.plc if asked.path.startswith("/did:") else self.servers.pds
        answer = httpx2.get(base + asked.path, params=asked.params, timeout=600)
        body = answer.content.replace(self.servers.pds.encode(), self.web.url.encode())
        limits = {n: v for n, v in answer.headers.items() if n.lower().startswith("ratelimit")}
        return Reply(body, answer.status_code, limits)


@pytest.fixture
def web(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Stand between Mynah and the real servers: see what is asked, and break things."""
    routes = _Ahead(servers)
    with web_server.running(routes) as web:
        routes.web = web
        monkeypatch.setenv("MYNAH_BLUESKY", web.url)
        monkeypatch.setenv("MYNAH_PLC", web.url)
        yield web


def pages(web: Web) -> list[dict[str, str]]:
    """Return what was asked about posts."""
    return [each.params for each in web.asked if each.params.get("collection") == POSTS]


def link(text: str, shown: str, uri: str) -> dict[str, Any]:
    start = len(text[: text.index(shown)].encode())
    index = {"byteStart": start, "byteEnd": start + len(shown.encode())}
    feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
    return {"text": text, "facets": [{"index": index, "features": [feature]}]}


def mention(text: str, shown: str, did: str) -> dict[str, Any]:
    start = len(text[: text.index(shown)].encode())
    index = {"byteStart": start, "byteEnd": start + len(shown.encode())}
    feature = {"$type": "app.bsky.richtext.facet#mention", "did": did}
    return {"text": text, "facets": [{"index": index, "features": [feature]}]}


def reference(uri: str) -> dict[str, str]:
    return {"uri": uri, "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"}


def life(number: int, me: Person, first: str, theirs: str) -> dict[str, Any]:
    """Return the record of one of 600 posts, of all kinds in turn."""
    text = f"{number}. 🌊 {SENTENCES[number % len(SENTENCES)]}"
    made: dict[str, Any] = {"text": text, "langs": ["en"]}
    parent = {4: first, 5: theirs}.get(number % 8)
    if parent:
        made["reply"] = {"root": reference(parent), "parent": reference(parent)}
    match number % 8:
        case 1:
            shown = "example.com/a-very-lon…"
            made |= link(f"{text} {shown}", shown, "https://example.com/a-very-long/way")
        case 2:
            made |= link(f"{text} The tide table.", "tide table", "https://example.com/tides")
        case 3:
            made |= mention(f"👩‍🚀 @bob.test {text}", "@bob.test", me.did)
        case 6:
            made["embed"] = {"$type": "app.bsky.embed.record", "record": reference(theirs)}
    made["createdAt"] = f"2024-05-{1 + number // 24:02}T{number % 24:02}:00:00.000Z"
    return made


@pytest.fixture(scope="session")
def people(servers: Servers) -> tuple[Person, Person]:
    """Return Alice, who posts 600 times and reposts and likes Bob, and Bob."""
    alice, bob = servers.person("alice"), servers.person("bob")
    theirs = bob.post("THEIR WORDS, not hers.")
    alice.put("app.bsky.actor.profile", {"displayName": "Alice 🌊", "description": "Tides."})
    first = alice.post("The first of many.", createdAt="2024-04-30T08:00:00Z")
    alice.write([life(number, alice, first, theirs) for number in range(POSTED - 1)])
    for collection in ("app.bsky.feed.repost", "app.bsky.feed.like"):
        alice.write([{"subject": reference(theirs)}] * 40, collection)
    return alice, bob


def fetched(bots: Path, *sources: str, **settings: Any) -> RunFolder:
    named = {"name": settings.pop("name", None)}
    return fetch_posts(bots, sources, FetchConfig(**settings), **named)


def posts_of(folder: RunFolder) -> list[Post]:
    return list(read_posts(folder.posts))


def test_the_server_and_the_file_give_the_same(
    people: tuple[Person, Person], bots: Path, tmp_path: Path
) -> None:
    alice, _bob = people
    folder = fetched(bots, "bluesky:alice.test")
    posts = posts_of(folder)
    assert folder.name == "alice.test" and len(posts) == POSTED
    kinds = Counter(post.kind for post in posts)
    assert kinds == {"post": 375, "self-reply": 75, "reply": 75, "quote": 75}
    assert not any("THEIR WORDS" in post.text for post in posts)
    assert {post.lang for post in posts} == {"en", None}
    assert posts[0].url == f"https://bsky.app/profile/{alice.did}/post/{posts[0].id}"
    marked = [(span.kind, p.text[span.start : span.end]) for p in posts for span in p.spans]
    assert Counter(marked) == {("url", "example.com/a-very-lon…"): 75, ("mention", "@bob.test"): 75}
    assert sum("tide table" in plain(post) for post in posts) == 75
    assert not any("example.com" in plain(post) for post in posts)

    path = tmp_path / "alice.test.car"
    path.write_bytes(alice.car())
    again = fetched(bots, str(path), name="again")
    assert folder.posts.read_bytes() == again.posts.read_bytes()
    run, other = folder.read_run(), again.read_run()
    assert run["accounts"] == other["accounts"]
    assert run["accounts"][0]["name"] == "Alice 🌊" and run["accounts"][0]["bio"] == "Tides."
    assert list(run["stages"]["fetch"]["inputs"]) == ["bluesky:alice.test (7 pages)"]
    asked = [[check["what"] for check in each["consents"][0]["checks"]] for each in (run, other)]
    assert asked[0] == asked[1] and "label !no-unauthenticated" in asked[0]


def test_limits_are_on_and_seen(people: tuple[Person, Person], servers: Servers) -> None:
    asked = {"repo": people[0].did, "collection": POSTS}
    headers = httpx2.get(servers.pds + LIST, params=asked).headers
    assert headers["RateLimit-Limit"] == "3000" and int(headers["RateLimit-Remaining"]) < 3000


@pytest.mark.parametrize("prefix", ["", "@", "https://bsky.app/profile/", "at://"])
def test_names_as_people_copy_them(people: tuple[Person, Person], bots: Path, prefix: str) -> None:
    folder = fetched(bots, f"bluesky:{prefix}Bob.test")
    assert [post.text for post in posts_of(folder)] == ["THEIR WORDS, not hers."]


def test_an_identifier_instead_of_a_name(people: tuple[Person, Person], bots: Path) -> None:
    folder = fetched(bots, f"bluesky:{people[1].did}")
    assert folder.name == "bob.test" and len(posts_of(folder)) == 1


def test_only_the_newest(people: tuple[Person, Person], bots: Path, web: Web) -> None:
    every = posts_of(fetched(bots, "bluesky:alice.test", name="every"))
    web.asked.clear()
    folder = fetched(bots, "bluesky:alice.test", max_posts=150)
    assert posts_of(folder) == every[:150]
    assert len(pages(web)) == 2


def test_an_interrupted_fetch_goes_on(people: tuple[Person, Person], bots: Path, web: Web) -> None:
    """The connection breaks after three pages, for good; the same command goes on there."""
    whole = posts_of(fetched(bots, "bluesky:alice.test", name="whole"))
    web.asked.clear()

    class Breaking(list[Asked]):
        def append(self, asked: Asked) -> None:
            super().append(asked)
            if len(pages(web)) == 4:
                web.drop()

    web.asked = Breaking()
    with pytest.raises(ServerDown) as caught:
        fetched(bots, "bluesky:alice.test", attempts=1)
    assert "goes on" in caught.value.hint
    assert not (bots / "alice.test").exists() and len(pages(web)) == 4
    web.asked = []
    assert posts_of(fetched(bots, "bluesky:alice.test")) == whole
    assert len(pages(web)) == 4  # the broken one, two more, and one that is empty
    assert not list(bots.glob(".fetch-*"))


def test_an_update_asks_for_what_is_new(servers: Servers, bots: Path, web: Web) -> None:
    carol = servers.person("carol")
    carol.write([{"text": f"Old post {number}."} for number in range(230)])
    folder = fetched(bots, "bluesky:carol.test")
    carol.write([{"text": f"New post {number}."} for number in range(3)])
    web.asked.clear()
    assert update_posts(folder, FetchConfig()).new == 3
    posts = posts_of(folder)
    assert len(posts) == 233 and len({post.id for post in posts}) == 233
    first, *rest = pages(web)
    assert first["reverse"] == "true" and first["cursor"] == posts[0].id
    assert len(rest) == 1  # an empty page is how the server says that there is no more
    assert update_posts(folder, FetchConfig()).new == 0
    assert len(folder.read_run()["consents"]) == 3


def test_what_the_author_has_deleted_is_counted(servers: Servers, bots: Path) -> None:
    wren = servers.person("wren")
    uris = wren.write([{"text": f"Old post {number}."} for number in range(120)])
    folder = fetched(bots, "bluesky:wren.test")
    wren.delete(uris[-1])
    wren.delete(uris[3])
    wren.write([{"text": "New post."}])
    assert update_posts(folder, FetchConfig(), whole=True, forget=True) == News(new=1, gone=2)
    assert len(posts_of(folder)) == 119


def test_a_pause_that_the_server_asks_for(people: tuple[Person, Person], web: Web) -> None:
    """Bluesky's dialect: RateLimit-Reset is the second in Unix time at which to come back."""
    naps: list[float] = []
    trip = Trip(sleep=naps.append)
    web.fail(429, body={"error": "RateLimitExceeded"}, RateLimit_Reset="17")
    web.fail(502, times=2)
    web.drop()
    source = ["bluesky:bob.test"]
    assert len(list(read_all(source, FetchConfig(), trip).posts)) == 1
    assert len(naps) == 4 and 17 <= naps[0] <= 18
    web.fail(429, body={"error": "RateLimitExceeded"}, RateLimit_Reset="2000")
    with pytest.raises(RateLimited):
        read_all(source, FetchConfig(), trip)


PREFERENCES = "community.lexicon.preference.ai"
INTENTS = "org.user-intents.declaration"
GLOBAL = {"$type": f"{PREFERENCES}#globalScope"}
FOR_POSTS = {"$type": f"{PREFERENCES}#collectionScope", "collection": POSTS}
FOR_LIKES = {"$type": f"{PREFERENCES}#collectionScope", "collection": "app.bsky.feed.like"}
SELF_LABELS = "com.atproto.label.defs#selfLabels"


def preferring(scope: dict[str, str], **uses: bool) -> dict[str, Any]:
    at = "2026-05-01T08:00:00.000Z"
    answers = {use: {"allow": allow, "updatedAt": at} for use, allow in uses.items()}
    return {"updatedAt": at, "scope": scope, "preferences": answers}


def labelled(*labels: str) -> dict[str, Any]:
    values = [{"val": label} for label in labels]
    return {"labels": {"$type": SELF_LABELS, "values": values}}


def intending(**uses: bool) -> dict[str, Any]:
    at = "2026-05-01T08:00:00.000Z"
    return {use: {"allow": allow, "updatedAt": at} for use, allow in uses.items()}


Declared = Sequence[tuple[str, str, dict[str, Any]]]
PROFILE = "app.bsky.actor.profile"
DENIED: dict[str, tuple[Declared, str]] = {
    "hidden": ([(PROFILE, "self", labelled("!no-unauthenticated"))], "logged in"),
    "training": ([(PREFERENCES, "self", preferring(GLOBAL, training=False))], "training"),
    "synthetic": (
        [(PREFERENCES, "self", preferring(GLOBAL, training=True, syntheticContent=False))],
        "synthetic",
    ),
    "posts": (
        [
            (PREFERENCES, "self", preferring(GLOBAL, training=True)),
            (PREFERENCES, "3kaaaaaaaaaa2", preferring(FOR_POSTS, training=False)),
        ],
        "training",
    ),
    "intent": ([(INTENTS, "self", intending(syntheticContentGeneration=False))], "generative"),
}
ALLOWED: dict[str, Declared] = {
    "nothing": [],
    "allowed": [
        (PREFERENCES, "self", preferring(GLOBAL, training=True, embedding=False)),
        (INTENTS, "self", intending(syntheticContentGeneration=True, bulkDataset=False)),
    ],
    "posts": [
        (PREFERENCES, "self", preferring(GLOBAL, training=False)),
        (PREFERENCES, "3kaaaaaaaaaa2", preferring(FOR_POSTS, training=True)),
    ],
    "other": [
        (PREFERENCES, "3kaaaaaaaaaa2", preferring(FOR_LIKES, training=False)),
        (INTENTS, "did:web:other.example", intending(syntheticContentGeneration=False)),
    ],
}


@pytest.fixture(scope="session")
def dora(servers: Servers) -> Person:
    """Return somebody who changes her mind."""
    dora = servers.person("dora")
    dora.post("Say what you like, I said it first.")
    return dora


def declare(person: Person, records: Declared) -> None:
    for collection in (PROFILE, PREFERENCES, INTENTS):
        for uri in person.listed(collection):
            person.delete(uri)
    for collection, key, record in records:
        person.put(collection, record, key)


@pytest.mark.parametrize("denial", DENIED)
@pytest.mark.parametrize("right", [False, True])
def test_who_denies_is_not_read(
    dora: Person, bots: Path, web: Web, denial: str, right: bool
) -> None:
    records, words = DENIED[denial]
    declare(dora, records)
    with pytest.raises(NoConsent, match="does not allow this") as caught:
        fetched(bots, "bluesky:dora.test", i_have_the_right_to=right)
    assert words in caught.value.sentence and "own archive" in caught.value.hint
    assert pages(web) == [] and not list(bots.glob("*"))


@pytest.mark.parametrize("word", ALLOWED)
def test_who_does_not_deny_is_read(dora: Person, bots: Path, word: str) -> None:
    declare(dora, ALLOWED[word])
    folder = fetched(bots, "bluesky:dora.test")
    [consent] = folder.read_run()["consents"]
    answers = {check["what"]: check["answer"] for check in consent["checks"]}
    assert consent["account"] == "dora.test" and set(map(bool, answers.values())) == {True}
    said = "allowed" if word in ("allowed", "posts") else "nothing declared"
    assert answers[f"training of models ({PREFERENCES})"] == said


def test_a_bot_is_told(dora: Person, bots: Path) -> None:
    declare(dora, [(PROFILE, "self", labelled("bot"))])
    [consent] = fetched(bots, "bluesky:dora.test").read_run()["consents"]
    assert {"what": "label bot", "answer": "set: a program writes here, no person"} in [
        {key: check[key] for key in ("what", "answer")} for check in consent["checks"]
    ]


def complaint(bots: Path, name: str, kind: type[SourceError] = NoSuchAccount) -> str:
    with pytest.raises(kind) as caught:
        fetched(bots, f"bluesky:{name}")
    assert caught.value.hint and caught.value.sentence.endswith(".")
    assert not list(bots.glob("*"))
    return caught.value.sentence


def test_names_that_lead_nowhere(bots: Path) -> None:
    assert complaint(bots, "nobody.test") == "Nobody on Bluesky is called nobody.test."
    unknown = f"did:plc:{'a' * 24}"
    assert complaint(bots, unknown) == f"There is no account {unknown}."
    for name in ("alice", "did:key:z6Mk", "alice.test bob.test", "@", "did:plc:short"):
        assert "is no name of an account" in complaint(bots, name)


def test_an_account_that_is_switched_off(servers: Servers, bots: Path) -> None:
    eve = servers.person("eve")
    eve.post("Gone tomorrow.")
    eve.call("com.atproto.server.deactivateAccount")
    assert complaint(bots, eve.did).endswith("has been deactivated by its owner.")


def document(did: str, server: str, handle: str) -> dict[str, Any]:
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": server}
    return {"id": did, "alsoKnownAs": [f"at://{handle}"], "service": [service]}


def test_an_identifier_on_the_web(
    people: tuple[Person, Person], servers: Servers, bots: Path, web: Web
) -> None:
    """did:web is found at its own address; the server that it names does not have the account."""
    did = f"did:web:{web.host.replace(':', '%3A')}"
    there = document(did, servers.pds, "bob.test")
    web.routes["/.well-known/did.json"] = lambda _: Reply(there)  # type: ignore[index]
    name = web.host.partition(":")[2]
    sentence = complaint(bots, did)
    assert sentence.endswith("is not on its server any more.") and name in sentence
    assert "bob.test" not in sentence  # it claims a name that leads to somebody else
    there["service"] = []
    assert "no server with posts" in complaint(bots, did)
    there["id"] = "did:web:other.example"
    assert "another account" in complaint(bots, did, SourceError)


def test_a_name_that_the_account_does_not_claim(
    people: tuple[Person, Person], bots: Path, web: Web
) -> None:
    answer = {"did": people[1].did}
    web.routes["/xrpc/com.atproto.identity.resolveHandle"] = lambda _: Reply(answer)  # type: ignore[index]
    assert "does not go by that name" in complaint(bots, "nasa.example")


def test_a_bot_that_talks(servers: Servers, bots: Path, tiny_base: Path) -> None:
    frank = servers.person("frank")
    texts = [f"{a} {b}" for number, a in enumerate(SENTENCES) for b in SENTENCES[:number]][:130]
    frank.write([
        {"text": text, "createdAt": f"2024-0{1 + number // 28}-{1 + number % 28:02}T08:00:00Z"}
        for number, text in enumerate(texts)
    ])  # fmt: skip
    made = make_bot(bots, ["bluesky:frank.test"], tiny_recipe(tiny_base))
    assert made.folder.name == "frank.test" and len(made.samples) == 3
    assert {post.author for post in read_cleaned(made.folder.cleaned)} == {"frank.test"}
    assert "frank.test" in made.folder.card.read_text()
    assert json.loads(made.folder.samples.read_text().splitlines()[0])["text"]

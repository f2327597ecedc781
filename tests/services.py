"""What every service on the network answers, made up here and given by hand, without a server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

import car_files
import fediverse
from samples import ME, NAME, bluesky_address, bluesky_post, iso, text, tweet_v2

ENVIRONMENT = {"X_BEARER_TOKEN": "opensNothing", "COMMUNITY_ARCHIVE_KEY": "opensNothing"}
_MOST = 100  # requests of one fetch of a few posts; more would have no end


@dataclass(frozen=True)
class Service:
    """One account at one service."""

    reader: str  # name of the module that reads it
    spec: str
    answers: dict[str, tuple[bytes, ...]]  # by the path's end; after the last one it is `after`
    posts: int
    after: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    skipped: int = 0  # rows that are no posts to be learned from

    def __str__(self) -> str:
        return self.spec

    def transport(self) -> httpx2.MockTransport:
        """Return what answers in the service's place."""
        asked: Counter[str] = Counter()

        def answer(request: httpx2.Request) -> httpx2.Response:
            end = request.url.path.rpartition("/")[2]
            key = end if end in self.answers else request.url.params.get("collection", "")
            number = asked[key]
            asked[key] += 1
            assert asked.total() < _MOST, f"{self.spec} is asked without end"
            if key not in self.answers:
                return httpx2.Response(404, content=b'{"error": "none"}')
            bodies = self.answers[key]
            body = bodies[number] if number < len(bodies) else self.after
            return httpx2.Response(self.status, content=body, headers=self.headers)

        return httpx2.MockTransport(answer)


def services(count: int = 4) -> Iterator[Service]:
    """Yield one account at every service, with `count` posts on the first of two pages."""
    yield from (x(count), x_in_new_words(count), x_problem(), community(count))
    yield from (mastodon(count), bluesky(count), rss(count), atom(count))


def body(value: Any) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value).encode()


def x(count: int) -> Service:
    """Return X's API with a quote, a reply, a long post and a second page."""
    rows = [tweet_v2(n) for n in range(count)]
    rows[0]["referenced_tweets"] = [{"type": "quoted", "id": "5"}]
    rows[1] |= {"in_reply_to_user_id": "7", "edit_history_tweet_ids": [rows[1]["id"]]}
    rows[-1]["note_tweet"] = {"text": text(count) + " And more.", "entities": {"urls": []}}
    rows[-1]["entities"] = {
        "urls": [{"start": 0, "end": 3, "expanded_url": "https://tide.example"}]
    }
    first = {"data": rows, "meta": {"result_count": count, "next_token": "p2"}}
    pages = body(first), body({"data": [tweet_v2(count)], "meta": {"result_count": 1}})
    user = {"data": {"id": "42", "username": ME, "name": NAME, "protected": False}}
    answers = {ME: (body(user),), "tweets": pages}
    return Service("x_api", f"x:{ME}", answers, count + 1, body({"meta": {"result_count": 0}}))


def x_in_new_words(count: int) -> Service:
    """Return the same in the words of August 2026."""
    old = x(count)
    new = {
        key: tuple(each.replace(b"_tweet", b"_post") for each in pages)
        for key, pages in old.answers.items()
    }
    return Service("x_api", old.spec, new, old.posts, old.after)


def x_problem() -> Service:
    """Return what X says where nobody has that name: a problem in a 200."""
    kind = "https://api.x.com/2/problems/resource-not-found"
    problem = {"title": "Not Found", "detail": "There is no such user.", "type": kind}
    return Service("x_api", f"x:{ME}", {ME: (body({"errors": [problem]}),)}, 0)


def community(count: int) -> Service:
    """Return the Community Archive, with a row that nobody uploaded."""
    rows: list[dict[str, Any]] = [
        {"tweet_id": str(n + 9), "created_at": iso(n), "full_text": text(n), "archive_upload_id": 3}
        | {"reply_to_tweet_id": None, "reply_to_user_id": "42" if n else None}
        for n in range(count)
    ]
    rows.append(rows[0] | {"archive_upload_id": None, "tweet_id": "8"})
    account = [{"account_id": "42", "username": ME, "account_display_name": NAME}]
    answers = {"all_account": (body(account),), "tweets": (body(rows[:1]), body(rows))}
    return Service("community_api", f"community:{ME}", answers, count, b"[]")


def mastodon(count: int) -> Service:
    """Return Mastodon's API with a content warning, a boost and a Link header."""
    root = "https://sea.example"
    profile = {
        "id": "7",
        "username": "buoy",
        "indexable": True,
        "noindex": False,
        "note": "<p>I</p>",
    }
    profile |= {"fields": [{"name": "site", "value": "<a href='https://tide.example'>x</a>"}]}
    rows = [fediverse.status(n + 1, fediverse.content(text(n))) for n in range(count)]
    rows[0]["spoiler_text"] = "tides"
    rows.append(fediverse.status(98, reblog={"id": "5"}))
    answers = {
        "lookup": (body(profile),),
        "instance": (body({"rules": [{"text": "No scraping.", "hint": ""}]}),),
        "terms_of_service": (body({"content": "<p>No AI.</p>"}),),
        "statuses": (body(rows), body([fediverse.status(99)])),
    }
    link = {"Link": f'<{root}/api/v1/accounts/7/statuses?max_id=1>; rel="next"'}
    return Service(
        "mastodon", "mastodon:buoy@sea.example", answers, count + 1, b"[]", link, skipped=1
    )


def bluesky(count: int) -> Service:
    """Return a directory, a server and an account that says nothing against being read."""
    handle, did = "tide.example", car_files.DID
    endpoint = {"id": "#atproto_pds", "serviceEndpoint": "https://pds.example"}
    document = {"id": did, "alsoKnownAs": [f"at://{handle}"], "service": [endpoint]}
    rows = [{"uri": bluesky_address(n), "cid": "b", "value": bluesky_post(n)} for n in range(count)]
    rows[0]["value"] |= {"facets": [{"index": {"byteStart": 0, "byteEnd": 3}, "features": [
        {"$type": "app.bsky.richtext.facet#link", "uri": "https://tide.example"}]}]}  # fmt: skip
    profile = {"uri": f"at://{did}/app.bsky.actor.profile/self", "value": {"displayName": NAME}}
    allows = {"uri": f"at://{did}/a/self", "value": {"preferences": {"training": {"allow": True}}}}
    answers = {
        "com.atproto.identity.resolveHandle": (body({"did": did}),),
        did: (body(document),),
        "com.atproto.sync.getRepoStatus": (body({"did": did, "active": True}),),
        car_files.POSTS: (body({"records": rows, "cursor": "3k"}),),
        "app.bsky.actor.profile": (body({"records": [profile]}),),
        "community.lexicon.preference.ai": (body({"records": [allows]}),),
        "org.user-intents.declaration": (body({"records": []}),),
    }
    return Service("bluesky", f"bluesky:{handle}", answers, count, body({"records": []}))


def rss(count: int) -> Service:
    """Return an RSS feed whose site says something to machines."""
    items = "".join(
        f"<item><guid>{n}</guid><title>Day {n}</title><author>a@b.example (A)</author>"
        f"<pubDate>Mon, {1 + n:02} May 2023 08:00:00 +0200</pubDate>"
        f"<description>&lt;p&gt;{text(n).replace('&', 'and')}&lt;/p&gt;</description></item>"
        for n in range(count)
    )
    feed = f"<rss version='2.0'><channel><title>Tides</title>{items}</channel></rss>".encode()
    robots = b"User-agent: *\nDisallow: /private\nContent-Signal: search=yes\n"
    answers = {"feed": (feed,), "robots.txt": (robots,)}
    headers = {"Content-Type": "application/rss+xml"}
    return Service("feeds", "rss:https://tide.example/feed", answers, count, headers=headers)


def atom(count: int) -> Service:
    """Return an Atom feed."""
    entries = "".join(
        f"<entry><id>{n}</id><updated>{iso(n)}</updated><author><name>{NAME}</name></author>"
        f"<content type='html'>{text(n).replace('&', 'and')}</content></entry>"
        for n in range(count)
    )
    links = "<link rel='next' href='https://tide.example/older'/>"
    start = "<feed xmlns='http://www.w3.org/2005/Atom'><title>Tides</title>"
    answers = {
        "atom.xml": (f"{start}{links}{entries}</feed>".encode(),),
        "older": (f"{start}<entry><id>9</id><summary>First.</summary></entry></feed>".encode(),),
        "robots.txt": (b"",),
    }
    return Service("feeds", "rss:https://tide.example/atom.xml", answers, count + 1)

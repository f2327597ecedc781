"""A Mastodon account over its server's API: `mastodon:alice@example.social`.

Public posts alone, newest first, without boosts. Pages follow the Link header, as
https://docs.joinmastodon.org/api/guidelines/#pagination asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from mynah.errors import NoSuchAccount, SourceNotFound
from mynah.records import Account, Post
from mynah.sources.answer import Answer
from mynah.sources.consent import Check
from mynah.sources.fediverse import SOURCE, Person, Taker
from mynah.sources.fediverse_consent import checks
from mynah.sources.hypertext import to_text
from mynah.sources.journal import Content
from mynah.sources.session import address
from mynah.sources.values import as_dict, as_list, as_text, host_of
from mynah.sources.visit import Visit

LIMIT = 40  # posts a page, the most that Mastodon gives
_NAME = re.compile(r"@?([\w.-]+)@([\w.-]+(?::\d+)?|\[[\da-fA-F:]+\](?::\d+)?)/?")
_PAGE = re.compile(r"https?://([^/@\s]+)/(?:@|users/)([\w.-]+)/?", re.IGNORECASE)
_ABOUT_MACHINES = re.compile(
    r"scrap(?:e|ing)|crawl|machine.learning|\bLLMs?\b|\bA\.?I\b\.?|artificial intelligence", re.I
)
_FORBIDDEN_BY = ("mastodon.social", "mastodon.online")  # whose terms bind who reads the API
_NEITHER = (404, 410, 422)
_EXPORT = "The person's own export is the better source: Preferences > Import and export."


def read(visit: Visit) -> Content:
    """Ask what the account and its server allow, then read its posts as they are asked for."""
    name, host = _name(visit.name)
    root, profile = _profile(visit, name, host)
    domain = (urlsplit(address(host)).hostname or host).lower()  # a port is no part of a name
    handle = f"{as_text(profile.get('username')) or name}@{domain}"
    bio = to_text(as_text(profile.get("note"))).text
    visit.consent(handle, [*checks(profile), *_server_checks(visit, root)])
    visit.journal.account(
        Account(
            handle=handle,
            name=as_text(profile.get("display_name")),
            bio=bio,
            url=as_text(profile.get("url")) or None,
        )
    )
    person = Person(handle, as_text(profile.get("id")))
    posts = _posts(visit, root, Taker(person, visit.journal))
    return Content("mastodon-api", visit.fresh(posts, SOURCE, handle))


def _name(typed: str) -> tuple[str, str]:
    """Return name and server of `alice@example.social`, or of the address of a profile."""
    if found := _NAME.fullmatch(typed):
        return found[1], found[2]
    if found := _PAGE.fullmatch(typed):
        return found[2], found[1]
    raise SourceNotFound(
        f"{typed} does not name an account and its server.",
        hint="Write both: mynah fetch mastodon:alice@example.social",
    )


def _profile(visit: Visit, name: str, host: str) -> tuple[str, dict[str, Any]]:
    """Return the address of the account's server, and its profile.

    Raises:
        NoSuchAccount: nobody has that name there.
    """
    root = address(host)
    answer = _lookup(visit, root, name)
    if answer.status in _NEITHER and (elsewhere := _home(visit, root, name, host)):
        root, answer = elsewhere, _lookup(visit, elsewhere, name)
    if answer.status in _NEITHER:
        raise NoSuchAccount(
            f"Nobody at {host} is called {name}, or {host} does not speak Mastodon's API.",
            hint=f"Look at https://{host}/@{name} in a browser.",
        )
    return root, answer.json()


def _lookup(visit: Visit, root: str, name: str) -> Answer:
    return visit.get(f"{root}/api/v1/accounts/lookup", {"acct": name}, allow=_NEITHER)


def _home(visit: Visit, root: str, name: str, host: str) -> str | None:
    """Return the server that an account really lives on, where its name has another domain."""
    asked = {"resource": f"acct:{name}@{host}"}
    answer = visit.get(f"{root}/.well-known/webfinger", asked, allow=(400, *_NEITHER))
    if answer.status >= 400:
        return None
    for link in map(as_dict, as_list(answer.json().get("links"))):
        found = re.match(r"https?://[^/\s]+", as_text(link.get("href")))
        if link.get("rel") == "self" and found and found[0] != root:
            return found[0]
    return None


def _server_checks(visit: Visit, root: str) -> Iterator[Check]:
    """Yield what the server's rules and terms say about machines."""
    host = urlsplit(root).hostname or root
    if host in _FORBIDDEN_BY:
        answer = f"forbid scraping to train models. {_EXPORT.rstrip('.')}"
        yield Check(what=f"terms of {host}", answer=answer, verdict="warns")
        return
    said = [*_rules(visit, root), *_terms(visit, root)]
    about = [sentence for sentence in said if _ABOUT_MACHINES.search(sentence)]
    for sentence in about[:3]:
        yield Check(what=f"rules of {host}", answer=f'"{sentence[:200]}"', verdict="warns")
    if not about:
        answer = "say nothing about machines" if said else "cannot be read by machines"
        yield Check(what=f"rules of {host}", answer=answer)


def _rules(visit: Visit, root: str) -> Iterator[str]:
    answer = visit.get(f"{root}/api/v2/instance", allow=(401, 403, *_NEITHER))
    rules = as_list(answer.json().get("rules")) if answer.status < 400 else []
    for rule in map(as_dict, rules):
        yield _sentence(f"{as_text(rule.get('text'))} {as_text(rule.get('hint'))}")


def _terms(visit: Visit, root: str) -> Iterator[str]:
    url = f"{root}/api/v1/instance/terms_of_service"  # since Mastodon 4.4
    answer = visit.get(url, allow=(400, 401, 403, *_NEITHER))
    if answer.status < 400:
        text = to_text(as_text(answer.json().get("content"))).text
        yield from filter(None, map(_sentence, re.split(r"(?<=[.!?])\s+|\n+", text)))


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _posts(visit: Visit, root: str, taker: Taker) -> Iterator[Post]:
    for status in _statuses(visit, root, taker.person):
        post = taker.status(status)
        if post is not None:
            yield post


def _statuses(visit: Visit, root: str, person: Person) -> Iterator[dict[str, Any]]:
    """Yield statuses, newest first, page by page."""
    url: str | None = f"{root}/api/v1/accounts/{person.id}/statuses"
    asked: dict[str, str | int] = {"limit": LIMIT, "exclude_reblogs": "true"}
    newest = visit.known(SOURCE, person.handle).newest_id or ""
    if newest.isdecimal():
        asked["since_id"] = newest
    seen: set[str] = set()
    while url is not None:
        seen.add(url)
        page = visit.page(url, asked)
        rows = page.rows()
        yield from rows
        url, asked = _next(page, root, seen) if rows else None, {}


def _next(page: Answer, root: str, seen: set[str]) -> str | None:
    """Return the address of the next page, which has to be a new one of the same server."""
    url = page.links.get("next", "")
    if not (host := host_of(url)):
        return None
    here, there = urlsplit(root), urlsplit(url)
    # Behind a proxy a server may call itself http; it is asked as it was at first.
    url = there._replace(scheme=here.scheme).geturl()
    return url if host == host_of(root) and url not in seen else None

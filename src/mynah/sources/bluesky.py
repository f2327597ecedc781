"""An account on Bluesky, or on any server of its network: every post, and no login.

A name leads to an identifier (DID), that to a document, and the document to the server that holds
the account's records; there they are listed, a hundred at a time, newest first. What the account
reposted or liked are records of another kind, which nobody asks for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote

from mynah.errors import BrokenSource, NoSuchAccount, RemoteError
from mynah.records import Post
from mynah.sources.answer import Answer
from mynah.sources.bluesky_consent import checks
from mynah.sources.bluesky_records import POSTS, PROFILE, Owner, is_timed, to_account, to_post
from mynah.sources.journal import Content
from mynah.sources.session import address
from mynah.sources.values import as_dict, as_list, as_text
from mynah.sources.visit import Visit

_RESOLVER = "https://public.api.bsky.app"  # MYNAH_BLUESKY names another
_DIRECTORY = "https://plc.directory"  # MYNAH_PLC names another

_DID = re.compile(r"did:(?:plc:[a-z2-7]{24}|web:[A-Za-z0-9.%-]+)")
_HANDLE = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")
_SERVER = re.compile(r"https://[^/\s]+|http://(?:localhost|127\.0\.0\.1)(?::\d+)?")
_PAGE = 100  # records, the most that a server gives
_LOOK = "Look at the name again: https://bsky.app/profile/{name}"
# What servers say of an account that is not there to be read, as a status or as an error.
_GONE = {
    "deactivated": "has been deactivated by its owner",
    "deleted": "has been deleted",
    "notfound": "is not on its server any more",
    "suspended": "has been suspended",
    "takendown": "has been taken down",
}


def read(visit: Visit) -> Content:
    """Find the account, ask what it allows, and read the posts as they are asked for.

    Raises:
        NoSuchAccount: nobody has that name, or the account is gone.
        NoConsent: the account denies this use.
        RemoteError: a server cannot be reached, or answers oddly.
    """
    owner, server = _find(visit)
    _check_there(visit, server, owner)
    profile = next((record for _, record in _few(visit, server, owner, PROFILE)), {})
    told = list(checks(profile, lambda collection: _few(visit, server, owner, collection)))
    visit.consent(owner.handle, told)
    visit.journal.account(to_account(profile, owner))
    return Content("bluesky", _posts(visit, server, owner))


def _posts(visit: Visit, server: str, owner: Owner) -> Iterator[Post]:
    """Return the posts; with --max-posts no more pages are asked for than that needs."""
    records = _records(visit, server, owner)
    posts = (to_post(key, record, owner, visit.journal) for key, record in records)
    return islice((post for post in posts if post is not None), visit.config.max_posts)


def _records(visit: Visit, server: str, owner: Owner) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield keys and records of posts: newest first, in an update those after the newest known."""
    known = visit.known("bluesky", owner.handle).ids
    newest = max(filter(is_timed, known), default=None)
    asked: dict[str, str | int] = {"repo": owner.did, "collection": POSTS, "limit": _PAGE}
    if newest is not None:
        asked |= {"reverse": "true", "cursor": newest}
    while True:
        answer = visit.page(f"{server}/xrpc/com.atproto.repo.listRecords", asked, allow=(400,))
        rows, cursor = _listed(answer, owner)
        yield from rows
        if not rows or not cursor or cursor == asked.get("cursor"):
            return
        asked = {**asked, "cursor": cursor}


def _few(
    visit: Visit, server: str, owner: Owner, collection: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return the records of a kind that an account has one or two of."""
    asked: dict[str, str | int] = {"repo": owner.did, "collection": collection, "limit": _PAGE}
    url = f"{server}/xrpc/com.atproto.repo.listRecords"
    return _listed(visit.get(url, asked, allow=(400,)), owner)[0]


def _listed(answer: Answer, owner: Owner) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Return a page's keys and records, and where the next page begins.

    Raises:
        RemoteError: the server did not understand.
    """
    value = answer.json()
    if answer.status == 400:
        raise RemoteError(
            f"The server of {owner.handle} did not give its posts ({answer.problem()}).",
            hint="Run the same command again later.",
        )
    found = []
    for row in map(as_dict, as_list(value.get("records"))):
        key = as_text(row.get("uri")).rpartition("/")[2]
        found.append((key, as_dict(row.get("value"))))
    return found, as_text(value.get("cursor"))


def _check_there(visit: Visit, server: str, owner: Owner) -> None:
    """Ask for the account's state: asked for records, servers only say that it is not there.

    Raises:
        NoSuchAccount: it is not there to be read.
    """
    url = f"{server}/xrpc/com.atproto.sync.getRepoStatus"
    answer = visit.get(url, {"did": owner.did}, allow=(400, 404, 501))
    if answer.status in (404, 501):  # a server of another make, which does not know the question
        return
    value = answer.json()
    state = as_text(value.get("error")) or as_text(value.get("status"))
    why = _GONE.get(state.lower().removeprefix("repo"))
    if why and not value.get("active"):
        raise NoSuchAccount(f"{visit.name} {why}.", hint=_LOOK.format(name=owner.did))


def _find(visit: Visit) -> tuple[Owner, str]:
    """Return whose account it is, and the address of its server."""
    name = _plain_name(visit.name)
    did = name if name.startswith("did:") else _did_of(visit, name)
    if did is None:
        raise NoSuchAccount(f"Nobody on Bluesky is called {name}.", hint=_LOOK.format(name=name))
    document = _document(visit, did, name)
    handle = _handle(document)
    if name not in (did, handle):
        raise NoSuchAccount(
            f"{name} leads to an account that does not go by that name.",
            hint=f"If you mean that account: mynah fetch bluesky:{did}",
        )
    # A document may claim any name; this one counts only if it leads back.
    if name == did and not (handle and _did_of(visit, handle) == did):
        handle = did.rpartition(":")[2].replace("%3A", "-")
    return Owner(did, handle), _server(document, handle)


def _plain_name(name: str) -> str:
    """Return a handle or a DID, of whatever people copy out of their browser.

    Raises:
        NoSuchAccount: it cannot be a name.
    """
    name = re.sub(r"^(?:at://|(?:https?://)?bsky\.app/profile/|@)", "", name).partition("/")[0]
    name = name if name.startswith("did:") else name.lower()
    if _DID.fullmatch(name) or _HANDLE.fullmatch(name):
        return name
    meant = f"{name}.bsky.social" if re.fullmatch(r"[a-z0-9-]+", name) else "alice.bsky.social"
    raise NoSuchAccount(
        f"'{name}' is no name of an account on Bluesky.",
        hint=f"Write the whole handle, as bluesky:{meant}, or its DID.",
    )


def _did_of(visit: Visit, handle: str) -> str | None:
    """Return the identifier of a handle, None where it has none."""
    service = os.environ.get("MYNAH_BLUESKY", _RESOLVER).rstrip("/")
    url = f"{service}/xrpc/com.atproto.identity.resolveHandle"
    answer = visit.get(url, {"handle": handle}, allow=(400, 404))
    did = as_text(answer.json().get("did")) if answer.status == 200 else ""
    return did if _DID.fullmatch(did) else None


def _document(visit: Visit, did: str, name: str) -> dict[str, Any]:
    """Return the document of an identifier.

    Raises:
        NoSuchAccount: there is none, or none any more.
    """
    answer = visit.get(_place_of(did), allow=(404, 410))
    if answer.status == 404:
        raise NoSuchAccount(f"There is no account {name}.", hint=_LOOK.format(name=name))
    if answer.status == 410:
        raise NoSuchAccount(f"{name} has been deleted.", hint="Its posts are gone for good.")
    document = answer.json()
    if document.get("id") != did:
        raise BrokenSource(f"The document of {name} is of another account.", hint="Try it later.")
    return document


def _place_of(did: str) -> str:
    if did.startswith("did:web:"):
        return f"{address(unquote(did.removeprefix('did:web:')))}/.well-known/did.json"
    return f"{os.environ.get('MYNAH_PLC', _DIRECTORY).rstrip('/')}/{did}"


def _handle(document: dict[str, Any]) -> str:
    """Return the name that a document claims, "" where it claims none."""
    names = (as_text(name) for name in as_list(document.get("alsoKnownAs")))
    found = next((name for name in names if name.startswith("at://")), "")
    handle = found.removeprefix("at://").lower()
    return handle if _HANDLE.fullmatch(handle) else ""


def _server(document: dict[str, Any], name: str) -> str:
    """Return the address of the server that holds the records.

    Raises:
        NoSuchAccount: the document names none.
    """
    for service in map(as_dict, as_list(document.get("service"))):
        found = as_text(service.get("serviceEndpoint")).rstrip("/")
        if as_text(service.get("id")).endswith("#atproto_pds") and _SERVER.fullmatch(found):
            return found
    raise NoSuchAccount(
        f"{name} has an identity, but no server with posts.", hint=_LOOK.format(name=name)
    )

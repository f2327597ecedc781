"""The Community Archive: X archives that their owners uploaded for everybody.

The database also holds posts of people who never uploaded anything; only rows that came with an
upload are read, and an account without one is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mynah.errors import AccessRefused, NoSuchAccount
from mynah.records import Account, Post
from mynah.sources.consent import Check
from mynah.sources.journal import Content
from mynah.sources.tweets import Owner, to_post
from mynah.sources.values import as_text
from mynah.sources.visit import Visit

_SOURCE = "community-archive"
_PAGE = 1_000
_HANDLE = re.compile(r"@?(\w{1,20})", re.ASCII)
_COLUMNS = (
    "tweet_id,created_at,full_text,reply_to_tweet_id,reply_to_user_id,reply_to_username,"
    "archive_upload_id"
)
_KEY_HINT = (
    "It is in the API page of https://www.community-archive.org (the anon key, which is public); "
    "then type: export COMMUNITY_ARCHIVE_KEY=<key>"
)
_UPLOADED = "not.is.null"


def read(visit: Visit) -> Content:
    """Find the account, see that its owner uploaded it, then read the posts as asked for."""
    found = _HANDLE.fullmatch(visit.name)
    if found is None:
        raise NoSuchAccount(
            f"'{visit.name}' is no handle on X.", hint="Type it as community:handle"
        )
    headers = _headers()
    row = _account(visit, found[1], headers)
    handle, account_id = as_text(row.get("username")), as_text(row.get("account_id"))
    visit.consent(handle, [_check(visit, account_id, headers)])
    visit.journal.account(
        Account(
            handle=handle,
            name=as_text(row.get("account_display_name")),
            url=f"https://x.com/{handle}",
        )
    )
    posts = _posts(visit, Owner(handle, account_id), headers)
    return Content(_SOURCE, visit.fresh(posts, _SOURCE, handle))


def _headers() -> dict[str, str]:
    key = os.environ.get("COMMUNITY_ARCHIVE_KEY", "").strip()
    if not key:
        raise AccessRefused("The Community Archive wants its public key.", hint=_KEY_HINT)
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise AccessRefused("COMMUNITY_ARCHIVE_KEY holds something that is no key.", hint=_KEY_HINT)
    return {"apikey": key, "Authorization": f"Bearer {key}"}


def _account(visit: Visit, handle: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of an account; `_` stands for any letter in the question, not in a handle."""
    asked = {"username": f"ilike.{handle}", "select": "account_id,username,account_display_name"}
    rows = visit.get(_table(visit, "all_account"), asked, headers=headers).rows()
    for row in rows:
        if as_text(row.get("username")).lower() == handle.lower() and row.get("account_id"):
            return row
    raise NoSuchAccount(
        f"The Community Archive has no @{handle}.",
        hint="Its members are listed at https://www.community-archive.org",
    )


def _check(visit: Visit, account_id: str, headers: Mapping[str, str]) -> Check:
    asked = _asked(account_id) | {"limit": 1}
    rows = visit.get(_table(visit, "tweets"), asked, headers=headers).rows()
    if any(row.get("archive_upload_id") is not None for row in rows):
        answer = "its owner published the archive for others to use"
        return Check(what="upload", answer=answer)
    answer = "its owner has uploaded nothing; what is there came from elsewhere"
    return Check(what="upload", answer=answer, verdict="denies")


def _posts(visit: Visit, owner: Owner, headers: Mapping[str, str]) -> Iterator[Post]:
    asked, offset, before = _asked(owner.id) | {"limit": _PAGE}, 0, b""
    if newest := visit.known(_SOURCE, owner.handle).newest:
        asked["created_at"] = f"gte.{newest}"
    while True:
        page = visit.page(_table(visit, "tweets"), asked | {"offset": offset}, headers=headers)
        rows = page.rows()
        # Not "fewer than asked for": the database may have a lower limit.
        if not rows or page.body == before:
            return
        offset, before = offset + len(rows), page.body
        for row in rows:
            if row.get("archive_upload_id") is None:
                continue
            post = to_post(_as_tweet(row), owner, _SOURCE, visit.journal)
            if post is not None:
                yield post


def _asked(account_id: str) -> dict[str, str | int]:
    return {
        "account_id": f"eq.{account_id}",
        "archive_upload_id": _UPLOADED,
        "select": _COLUMNS,
        "order": "created_at.desc,tweet_id.desc",
    }


def _as_tweet(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row under the names of X's own archive."""
    return {
        "id_str": row.get("tweet_id"),
        "created_at": row.get("created_at"),
        "full_text": row.get("full_text"),
        "in_reply_to_status_id_str": row.get("reply_to_tweet_id"),
        "in_reply_to_user_id_str": row.get("reply_to_user_id"),
        "in_reply_to_screen_name": row.get("reply_to_username"),
    }


def _table(visit: Visit, name: str) -> str:
    return f"{visit.config.community_archive}/rest/v1/{name}"

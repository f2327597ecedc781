"""X over its API v2: paid by the post, with the person's own token, at most the newest 3,200.

The token stands in X_BEARER_TOKEN, goes to X in a header and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mynah.errors import AccessRefused, NoSuchAccount, RateLimited, RemoteError
from mynah.records import Account, Post
from mynah.sources.answer import Answer
from mynah.sources.consent import Check
from mynah.sources.journal import Content
from mynah.sources.session import GO_ON
from mynah.sources.tweets import Owner, to_post
from mynah.sources.tweets_v2 import translated
from mynah.sources.values import as_dict, as_list, as_text
from mynah.sources.visit import Visit

_MOST = 3_200  # what X gives of a timeline
_PAGE = 100  # posts a page, X's most; 5 is its least
_PRICE = 0.005  # dollars a post, in 2026; one's own cost a fifth
_HANDLE = re.compile(r"@?(\w{1,20})", re.ASCII)
_TOKEN_HINT = (
    "Make one at https://console.x.com (an app's bearer token), then type: "
    "export X_BEARER_TOKEN=<token>"
)
_TERMS = (
    "Posts read over X's API may not be published: keep posts.jsonl to yourself, and do not push, "
    "hand on or serve a bot of them to others.",
    "Where X or the account asks for it, delete their posts, and what was made of them, within "
    "24 hours.",
)


@dataclass(frozen=True)
class _Words:
    """What X calls things: it renamed them in August 2026, and may answer in either way."""

    parameter: str
    fields: str


_OLD = _Words(
    "tweet.fields",
    "created_at,lang,entities,referenced_tweets,note_tweet,in_reply_to_user_id,"
    "edit_history_tweet_ids",
)
_NEW = _Words(
    "post.fields",
    "created_at,lang,entities,referenced_posts,note_post,in_reply_to_user_id,edit_history_post_ids",
)


def read(visit: Visit) -> Content:
    """Say price and terms, look the account up, then read its posts as they are asked for."""
    found = _HANDLE.fullmatch(visit.name)
    if found is None:
        raise NoSuchAccount(f"'{visit.name}' is no handle on X.", hint="Type it as x:handle")
    visit.consent(found[1], _checks(visit.config.max_posts), terms=_TERMS)
    headers = {"Authorization": f"Bearer {_token()}"}
    user = _user(visit, found[1], headers)
    handle = as_text(user.get("username")) or found[1]
    visit.journal.account(
        Account(
            handle=handle,
            name=as_text(user.get("name")),
            bio=as_text(user.get("description")),
            url=f"https://x.com/{handle}",
        )
    )
    posts = _posts(visit, as_text(user.get("id")), handle, headers)
    return Content("x-api", visit.fresh(posts, "x-api", handle))


def _checks(most: int | None) -> list[Check]:
    posts = min(most or _MOST, _MOST)
    price = f"about ${_PRICE} a post, so at most ${posts * _PRICE:,.2f} for {posts:,} posts"
    return [
        Check(what="price", answer=f"{price}, paid by you to X", verdict="warns"),
        Check(
            what="X's developer terms",
            answer="forbid training a model on posts read over the API, unless you have a right "
            "of your own to them, as to your own posts",
            verdict="needs-word",
        ),
    ]


def _token() -> str:
    token = os.environ.get("X_BEARER_TOKEN", "").strip()
    if not token:
        raise AccessRefused("X's API needs a token of your own.", hint=_TOKEN_HINT)
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise AccessRefused("X_BEARER_TOKEN holds something that is no token.", hint=_TOKEN_HINT)
    return token


def _user(visit: Visit, handle: str, headers: Mapping[str, str]) -> dict[str, Any]:
    url = f"{visit.config.x_api}/2/users/by/username/{handle}"
    answer = visit.get(url, {"user.fields": "description,name,protected"}, headers=headers)
    _refuse_problem(answer)
    user = as_dict(answer.json().get("data"))
    if user.get("protected") is True:
        raise AccessRefused(
            f"@{handle} shows posts to followers only.",
            hint="Ask the person for their own archive instead: mynah make <archive.zip>",
        )
    return user


def _posts(visit: Visit, user_id: str, handle: str, headers: Mapping[str, str]) -> Iterator[Post]:
    """Yield the posts, newest first; replies and reposts too, since X gives fewer without."""
    url = f"{visit.config.x_api}/2/users/{user_id}/tweets"
    most = visit.config.max_posts or _MOST
    asked: dict[str, str | int] = {"max_results": min(_PAGE, max(5, most))}
    if newest := visit.known("x-api", handle).newest_id:
        asked["since_id"] = newest
    words, read, owner = _OLD, 0, Owner(handle, user_id)
    while True:
        words, page = _page(visit, url, asked, headers, words)
        rows = [row for row in as_list(page.get("data")) if isinstance(row, dict)]
        read_rows = (to_post(translated(row), owner, "x-api", visit.journal) for row in rows)
        yield from (post for post in read_rows if post is not None)
        read += len(rows)
        following = as_text(as_dict(page.get("meta")).get("next_token"))
        if not following or following == asked.get("pagination_token") or read >= _MOST:
            break
        asked["pagination_token"] = following
    if read >= _MOST:
        visit.journal.say(f"X gives the newest {_MOST:,} posts; older ones are in your archive.")


def _page(
    visit: Visit,
    url: str,
    asked: Mapping[str, str | int],
    headers: Mapping[str, str],
    words: _Words,
) -> tuple[_Words, dict[str, Any]]:
    """Return a page and the words that X understood: where the old ones are refused, the new."""
    params = {**asked, words.parameter: words.fields}
    allow = (400,) if words is _OLD else ()
    answer = visit.page(url, params, headers=headers, allow=allow, check=_refuse_problem)
    if answer.status == 400:
        return _page(visit, url, asked, headers, _NEW)
    return words, answer.json()


def _refuse_problem(answer: Answer) -> None:
    """Raise what X says is wrong where a 200 holds a problem and no data."""
    page = answer.json()
    errors = [each for each in as_list(page.get("errors")) if isinstance(each, dict)]
    problem = errors[0] if errors else page
    if "data" in page or "meta" in page or not (problem.get("title") or problem.get("detail")):
        return
    kind = as_text(problem.get("type")).rpartition("/")[2]
    said = as_text(problem.get("detail")) or as_text(problem.get("title"))
    sentence = f"X says: {' '.join(said.split())[:300]}"
    if kind == "resource-not-found":
        raise NoSuchAccount(sentence, hint="Look at the handle again.")
    if kind == "usage-capped" or problem.get("status") == 429:
        raise RateLimited(sentence, hint=GO_ON)
    if kind in ("not-authorized-for-resource", "client-forbidden", "unsupported-authentication"):
        raise AccessRefused(sentence, hint=_TOKEN_HINT)
    raise RemoteError(sentence, hint="Look at https://console.x.com, then run it again.")

"""X's API v2 on loopback, as its documentation describes it, in the old words or the new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import tiny
from web_server import Asked, Reply, Web, running

TOKEN = "AAAAAAAAAAAAAAAAAAAAloopbackTokenThatOpensNothing"
USER = {"id": "42", "username": "FerryClerk", "name": "Ferry Clerk ⛴", "description": "Tides."}
_MOST = 3_200
_NEW_NAMES = {
    "referenced_tweets": "referenced_posts",
    "note_tweet": "note_post",
    "edit_history_tweet_ids": "edit_history_post_ids",
}


def problem(status: int, title: str, detail: str, kind: str = "about:blank") -> Reply:
    """Return an error as X writes it: problem+json."""
    kind = kind if ":" in kind else f"https://api.x.com/2/problems/{kind}"
    body = {"title": title, "detail": detail, "type": kind, "status": status}
    return Reply(body, status, {"Content-Type": "application/problem+json"})


def post(number: int, text: str, **more: Any) -> dict[str, Any]:
    """Return a post in the old words; the newest has the highest number."""
    at = f"{datetime(2024, 1, 1) + timedelta(hours=6 * number):%Y-%m-%dT%H:%M:%S}.000Z"
    post_id = str(1_700_000_000_000_000_000 + number)
    base = {"id": post_id, "text": text, "created_at": at, "lang": "en"}
    return base | {"edit_history_tweet_ids": [post_id]} | more


def plain_posts(count: int = 130) -> list[dict[str, Any]]:
    """Return posts to learn a voice from, the newest first as X has them."""
    rows = tiny.account_rows(count)
    return [post(number, row["text"]) for number, row in enumerate(rows)][::-1]


@dataclass
class X:
    """The service: one account and its posts, newest first."""

    posts: list[dict[str, Any]] = field(default_factory=plain_posts)
    new_words: bool = False
    user: dict[str, Any] = field(default_factory=lambda: dict(USER))
    web: Web = field(init=False)

    def routes(self) -> dict[str, Any]:
        by_name = f"/2/users/by/username/{self.user['username']}"
        return {
            by_name: self.show_user,
            by_name.lower(): self.show_user,
            "/2/users/by/username/nobody": self.show_nobody,
            f"/2/users/{self.user['id']}/tweets": self.timeline,
        }

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "Unauthorized")
        if ("post.fields" in asked.params) != self.new_words and "user.fields" not in asked.params:
            return problem(400, "Invalid Request", "A parameter is not one of ours.")
        return None

    def show_user(self, asked: Asked) -> Reply:
        return self.refusal(asked) or Reply({"data": self.user})

    def show_nobody(self, asked: Asked) -> Reply:
        gone = problem(404, "Not Found Error", "There is no nobody.", "resource-not-found")
        return Reply({"errors": [gone.body]})

    def timeline(self, asked: Asked) -> Reply:
        if refusal := self.refusal(asked):
            return refusal
        size = int(asked.params["max_results"])
        if not 5 <= size <= 100:
            return problem(400, "Invalid Request", f"max_results {size} is not between 5 and 100.")
        known = int(asked.params.get("since_id", 0))
        rows = [row for row in self.posts[:_MOST] if int(row["id"]) > known]
        start = int(asked.params.get("pagination_token", "p0").removeprefix("p"))
        shown = [self.in_words(row, asked) for row in rows[start : start + size]]
        meta: dict[str, Any] = {"result_count": len(shown)}
        if start + size < len(rows):
            meta["next_token"] = f"p{start + size}"
        return Reply({"meta": meta} | ({"data": shown} if shown else {}))

    def in_words(self, row: dict[str, Any], asked: Asked) -> dict[str, Any]:
        """Return the fields that were asked for, under the names of the day."""
        if self.new_words:
            row = {_NEW_NAMES.get(key, key): value for key, value in row.items()}
        wanted = asked.params.get("post.fields", asked.params.get("tweet.fields", "")).split(",")
        return {key: value for key, value in row.items() if key in ("id", "text", *wanted)}


@contextmanager
def running_x(x: X | None = None) -> Iterator[X]:
    """Serve X on a free port."""
    x = x or X()
    with running(x.routes()) as web:
        x.web = web
        yield x

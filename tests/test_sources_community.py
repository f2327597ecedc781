"""The Community Archive: the posts of people who uploaded them, and of nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import tiny_recipe
from mynah.config import FetchConfig
from mynah.errors import AccessRefused, NoConsent, NoSuchAccount
from mynah.pipeline import make_bot
from mynah.sources import Fetched, read_all
from web_server import Asked, Reply, Web, running

KEY = "a-public-key-of-the-loopback"
ACCOUNTS = [
    {"account_id": "1", "username": "FerryXClerk", "account_display_name": "Another"},
    {"account_id": "42", "username": "Ferry_Clerk", "account_display_name": "Ferry Clerk"},
    {"account_id": "43", "username": "gull_7", "account_display_name": "Gull"},
]


def row(number: int, text: str, **more: Any) -> dict[str, Any]:
    base = {"account_id": "42", "tweet_id": str(1_000_000 + number), "full_text": text}
    at = f"2023-{1 + number // 28:02}-{1 + number % 28:02}T08:00:00+00:00"
    return base | {"created_at": at, "archive_upload_id": 9} | more


ROWS = [
    *(row(number, each["text"]) for number, each in enumerate(tiny.account_rows())),
    row(140, "@gull_7 No.", reply_to_tweet_id="5", reply_to_user_id="43"),
    row(141, "And then.", reply_to_tweet_id="6", reply_to_user_id="42"),
    row(142, "RT @gull_7: Fish &amp; chips"),
    row(143, "Streamed in, never uploaded.", archive_upload_id=None),
    row(1, "A gull's words.", account_id="43", archive_upload_id=None),
]


def accounts(asked: Asked) -> Reply:
    """Answer as PostgREST does to ilike, where `_` is any letter."""
    if asked.headers.get("apikey") != KEY:
        return Reply({"message": "Invalid API key"}, 401)
    wanted = asked.params["username"].removeprefix("ilike.").lower()
    return Reply([each for each in ACCOUNTS if like(each["username"].lower(), wanted)])


def like(name: str, pattern: str) -> bool:
    pairs = zip(name, pattern, strict=False)
    return len(name) == len(pattern) and all(b in ("_", a) for a, b in pairs)


def tweets(asked: Asked) -> Reply:
    """Answer with at most fifty rows, less than what is asked for."""
    wanted = asked.params
    rows = [each for each in ROWS if f"eq.{each['account_id']}" == wanted["account_id"]]
    if wanted.get("archive_upload_id") == "not.is.null":
        rows = [each for each in rows if each["archive_upload_id"] is not None]
    if since := wanted.get("created_at", "").removeprefix("gte."):
        rows = [each for each in rows if each["created_at"][:19] >= since[:19]]
    rows.sort(key=lambda each: each["created_at"], reverse=True)
    start = int(wanted.get("offset", 0))
    return Reply(rows[start : start + min(50, int(wanted["limit"]))])


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("COMMUNITY_ARCHIVE_KEY", KEY)
    with running({"/rest/v1/all_account": accounts, "/rest/v1/tweets": tweets}) as web:
        yield web


def fetched(web: Web, name: str = "ferry_clerk") -> Fetched:
    return read_all([f"community:{name}"], FetchConfig(community_archive=web.url))


def test_everything_that_was_uploaded_and_nothing_else(web: Web) -> None:
    found = fetched(web)
    read = list(found.posts)
    assert len(read) == 133
    assert {each.author for each in read} == {"Ferry_Clerk"}
    assert not any("Streamed" in each.text for each in read)
    assert [each.kind for each in read[:3]] == ["repost", "self-reply", "reply"]
    assert read[0].escaped and read[0].created_at == "2023-06-03T08:00:00Z"
    assert found.consents[0].checks[0].what == "upload"


def test_somebody_who_uploaded_nothing_is_left_alone(web: Web) -> None:
    with pytest.raises(NoConsent, match="uploaded nothing"):
        fetched(web, "gull_7")


@pytest.mark.parametrize("name", ["nobody", "ferry__lerk", "a%", "x y"])
def test_a_name_is_no_pattern(web: Web, name: str) -> None:
    with pytest.raises(NoSuchAccount):
        fetched(web, name)


@pytest.mark.parametrize("key", ["", "two words"])
def test_without_the_public_key(web: Web, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("COMMUNITY_ARCHIVE_KEY", key)
    with pytest.raises(AccessRefused, match=r"key") as told:
        fetched(web)
    assert "COMMUNITY_ARCHIVE_KEY" in told.value.hint


def test_from_the_community_archive_to_a_bot_that_talks(
    web: Web, bots: Path, tiny_base: Path
) -> None:
    recipe = replace(tiny_recipe(tiny_base), fetch=FetchConfig(community_archive=web.url))
    made = make_bot(bots, ["community:ferry_clerk"], recipe)
    assert made.folder.name == "ferry_clerk" and len(made.samples) == 3

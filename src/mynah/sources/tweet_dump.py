"""Tweets as X's interfaces gave them and people saved them, one object each.

v1.1 is what tweepy wrote until 2023, with `tweet_mode="extended"` or without; v2 is what twarc
and newer scripts write, in pages with the authors beside them. Lists, lines and single objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mynah.records import Account, Post
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import objects, outline
from mynah.sources.place import Place, stem
from mynah.sources.tweets import Owner, to_post
from mynah.sources.tweets_v2 import translated
from mynah.sources.values import as_dict, as_list, as_text

SCHEME = "file"
Tweet = dict[str, Any]


def recognises(place: Place) -> float:
    """Tell by what the first object has beside a text."""
    found = outline(place)
    if _is_v1(as_dict(found.get("statuses"))):
        return 0.9
    if _is_v1(found):
        return 1.0
    if _is_page(found):
        return 1.0 if {"meta", "includes"} & found.keys() else 0.7
    return 0.9 if _is_v2(found) else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the objects as they are asked for."""
    first = outline(place)
    form = "tweets-v1.1" if _is_v1(first) or "statuses" in first else "tweets-v2"
    return Content(form, _posts(place, journal))


def _posts(place: Place, journal: Journal) -> Iterator[Post]:
    for found in objects(place.open(place.names[0], journal)):
        for tweet, user in _tweets(found):
            handle = as_text(user.get("screen_name")) or as_text(user.get("username"))
            owner = Owner(handle or stem(place), as_text(user.get("id_str", user.get("id"))))
            post = to_post(tweet, owner, "tweets", journal)
            if post is not None:
                journal.account(_account(owner.handle, user))
                yield post


def _tweets(found: dict[str, Any]) -> Iterator[tuple[Tweet, dict[str, Any]]]:
    """Yield the tweets of an object in v1.1's words, each with its author."""
    if "statuses" in found:
        for status in map(as_dict, as_list(found["statuses"])):
            yield whole(status), as_dict(status.get("user"))
    elif "data" in found:
        users = {as_text(user.get("id")): user for user in _users(found)}
        data = found["data"]
        for tweet in map(as_dict, data if isinstance(data, list) else [data]):
            yield translated(tweet), users.get(as_text(tweet.get("author_id")), {})
    elif "meta" in found:
        return  # a last page, without anything
    elif _is_v2(found):
        yield translated(found), as_dict(found.get("author"))
    else:
        yield whole(found), as_dict(found.get("user"))


def whole(tweet: Tweet) -> Tweet:
    """Return a v1.1 tweet with its full text, which streams kept apart."""
    extended = as_dict(tweet.get("extended_tweet"))
    return tweet | extended | {"truncated": False} if extended.get("full_text") else tweet


def _users(page: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return map(as_dict, as_list(as_dict(page.get("includes")).get("users")))


def _account(handle: str, user: dict[str, Any]) -> Account:
    return Account(
        handle=handle,
        name=as_text(user.get("name")),
        bio=as_text(user.get("description")),
        url=f"https://x.com/{handle}",
    )


def _is_v1(found: dict[str, Any]) -> bool:
    texts = found.keys() & {"text", "full_text"}
    return bool(texts) and "id_str" in found and isinstance(found.get("user"), dict)


def _is_v2(found: dict[str, Any]) -> bool:
    marks = found.keys() & {"author_id", "edit_history_tweet_ids"}
    return bool(marks) and {"id", "text"} <= found.keys()


def _is_page(found: dict[str, Any]) -> bool:
    return {"id", "text"} <= as_dict(found.get("data")).keys()

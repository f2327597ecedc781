"""Tweets as X's API v2 has them, in either of its vocabularies, in the words of v1.1.

X renamed them in August 2026 (`tweet` to `post`) and may answer in both; `tweets` reads the result.
"""

from __future__ import annotations

from typing import Any

from mynah.sources.values import as_dict, as_list, as_text

Tweet = dict[str, Any]


def translated(tweet: Tweet) -> Tweet:
    """Return a tweet of v2, of either vocabulary, in the words of v1.1."""
    long = as_dict(tweet.get("note_tweet")) or as_dict(tweet.get("note_post"))
    source = long if as_text(long.get("text")) else tweet
    referenced = tweet.get("referenced_tweets") or tweet.get("referenced_posts")
    # A damaged file may have anything for a type, also what cannot be a key.
    kinds = {as_text(ref.get("type")): ref.get("id") for ref in map(as_dict, as_list(referenced))}
    edits = tweet.get("edit_history_tweet_ids") or tweet.get("edit_history_post_ids")
    return {
        "id_str": tweet.get("id"),
        "created_at": tweet.get("created_at"),
        "full_text": source.get("text"),
        "lang": tweet.get("lang"),
        "entities": _entities(as_dict(source.get("entities"))),
        "in_reply_to_status_id_str": kinds.get("replied_to"),
        "in_reply_to_user_id_str": tweet.get("in_reply_to_user_id"),
        "retweeted_status": not kinds.keys().isdisjoint(("retweeted", "reposted")),
        "is_quote_status": "quoted" in kinds,
        "edit_info": {"initial": {"editTweetIds": edits}},
    }


def _entities(entities: dict[str, Any]) -> dict[str, list[Any]]:
    links = [_placed(link) for link in map(as_dict, as_list(entities.get("urls")))]
    names = [_placed(name) for name in map(as_dict, as_list(entities.get("mentions")))]
    return {
        "urls": [link for link in links if not _is_media(link)],
        "media": [link for link in links if _is_media(link)],
        "user_mentions": names,
    }


def _placed(entity: dict[str, Any]) -> dict[str, Any]:
    where = [entity.get("start"), entity.get("end")]
    return entity | {"indices": where, "screen_name": entity.get("username")}


def _is_media(link: dict[str, Any]) -> bool:
    return "media_key" in link or as_text(link.get("display_url")).startswith("pic.")

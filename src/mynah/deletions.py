"""Posts that a bot has and their source has no more: the author has deleted or hidden them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from mynah.records import Post, read_posts

# What gives an account's posts without gaps, as `Post.source` has it. A dump of tweets that
# somebody searched for does not, nor does a feed.
WHOLE = frozenset({"bluesky", "grailbird", "mastodon", "x-archive"})
LISTED = frozenset({"bluesky", "mastodon"})  # of these, services, which may be asked for all again

_Key = tuple[str, str]


class Listing:
    """What a source has of each account today.

    Args:
        everything: it was asked for all posts, so what is missing is gone, whenever it was
            written. Else only what lies between the oldest and the newest post that came.
    """

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._ids: defaultdict[_Key, set[str]] = defaultdict(set)
        self._times: defaultdict[_Key, list[str]] = defaultdict(list)  # oldest and newest

    def seeing(self, posts: Iterable[Post]) -> Iterator[Post]:
        """Yield posts on and remember which they were."""
        for post in posts:
            key = _key(post)
            self._ids[key].add(post.id)
            if post.created_at:
                times = (*self._times[key], post.created_at)
                self._times[key] = [min(times), max(times)]
            yield post

    def lacks(self, post: Post) -> bool:
        """Tell whether the source would have a post if it were still there, and has not.

        Reposts are left alone: services are not asked for them, and nothing is learned from them.
        An account of which nothing came tells nothing.
        """
        key = _key(post)
        if post.source not in WHOLE or post.kind == "repost" or key not in self._ids:
            return False
        if post.id in self._ids[key]:
            return False
        times = self._times[key]
        within = bool(times and post.created_at) and times[0] <= str(post.created_at) <= times[1]
        return self._everything or within

    def gone(self, path: Path) -> int:
        """Return how many posts of a posts.jsonl the source lacks."""
        return sum(self.lacks(post) for post in read_posts(path))


def _key(post: Post) -> _Key:
    return post.source, post.author.lower()

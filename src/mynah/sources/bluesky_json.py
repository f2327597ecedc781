"""What programs save of Bluesky's answers: pages of records, or of an account's feed.

`com.atproto.repo.listRecords` gives an account's own records, `app.bsky.feed.getAuthorFeed` what
its page shows: posts with their authors, and in between reposts, which are somebody else's words.
Pages come alone, in a list, one after another, and wrapped as `{"body": …}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mynah.records import Post
from mynah.sources.bluesky_consent import label_checks
from mynah.sources.bluesky_records import POSTS, Owner, to_account, to_post
from mynah.sources.consent import agreed, of_a_file
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import objects, outline
from mynah.sources.place import Place, stem
from mynah.sources.values import as_dict, as_list, as_text

SCHEME = "file"


def recognises(place: Place) -> float:
    """Tell by the address of the first record or post."""
    found = outline(place, {"body"})
    for before in ("", "body."):
        row, item = (as_dict(found.get(before + name)) for name in ("records", "feed"))
        if _is_address(row.get("uri")) or _is_address(as_dict(item.get("post")).get("uri")):
            return 1.0
    return 0.9 if _is_address(as_dict(found.get("post")).get("uri")) else 0.0


def read(place: Place, journal: Journal) -> Content:
    """Read the posts as they are asked for.

    Raises:
        NoConsent: while iterating, at the first post of an account that wants no strangers.
    """
    reader = _Reader(place.path.name, stem(place), journal)
    return Content("bluesky-json", reader.posts(objects(place.open(place.names[0], journal))))


def _is_address(value: object) -> bool:
    return as_text(value).startswith("at://did:")


@dataclass
class _Reader:
    """Turn pages into posts; knows whom it has met."""

    label: str
    handle: str  # for records, which name nobody
    journal: Journal
    _met: set[str] = field(default_factory=set)

    def posts(self, pages: Iterator[dict[str, Any]]) -> Iterator[Post]:
        """Yield the posts of all pages."""
        for page in pages:
            for uri, record, author in self._rows(as_dict(page.get("body")) or page):
                post = self._post(uri, record, author)
                if post is not None:
                    yield post

    def _rows(self, page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Yield address, record and author of what is the account's own."""
        for row in map(as_dict, as_list(page.get("records"))):
            yield as_text(row.get("uri")), as_dict(row.get("value")), {}
        for item in map(as_dict, [page] if "post" in page else as_list(page.get("feed"))):
            if as_text(as_dict(item.get("reason")).get("$type")).endswith("#reasonRepost"):
                self.journal.skip(
                    "repost is left out: its words are somebody else's",
                    "reposts are left out: their words are somebody else's",
                )
            else:
                post = as_dict(item.get("post"))
                record, author = as_dict(post.get("record")), as_dict(post.get("author"))
                yield as_text(post.get("uri")), record, author

    def _post(self, uri: str, record: dict[str, Any], author: dict[str, Any]) -> Post | None:
        parts = uri.split("/")
        if not _is_address(uri) or len(parts) != 5 or parts[3] != POSTS:
            self.journal.skip("record is no post", "records are no posts")
            return None
        owner = Owner(parts[2], as_text(author.get("handle")) or self.handle)
        if owner.did not in self._met:
            self._met.add(owner.did)
            self._meet(owner, author)
        return to_post(parts[4], record, owner, self.journal)

    def _meet(self, owner: Owner, author: dict[str, Any]) -> None:
        profile = author | {"labels": {"values": author.get("labels")}}
        told = [of_a_file(check) for check in label_checks(profile)]
        if author:  # pages of records say nothing of the account
            consent = agreed(self.label, "bluesky", owner.handle, told, word=self.journal.word)
            self.journal.consents.append(consent)
        self.journal.account(to_account(profile, owner))

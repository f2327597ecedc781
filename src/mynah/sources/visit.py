"""One account at one service: what a reader of the network gets to work with.

visit.consent("alice", checks)            # first of all: says, records, refuses
answer = visit.get(url, params)           # asked anew each time: consent, profile
answer = visit.page(url, params)          # kept till the fetch has ended: lists of posts
visit.fresh(posts, "bluesky", "alice")    # newest first: an update stops at what it has
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mynah.config import FetchConfig
from mynah.records import Post
from mynah.sources.answer import Answer
from mynah.sources.consent import Check, Consent, agreed
from mynah.sources.journal import Journal
from mynah.sources.pages import Pages
from mynah.watch import Nobody, Watch

if TYPE_CHECKING:  # a library of HTTP is loaded when somebody names a service
    import httpx2

    from mynah.sources.session import Session


@dataclass(frozen=True)
class Known:
    """What a bot has of an account already."""

    ids: frozenset[str] = frozenset()
    newest: str | None = None  # created_at of the newest post, ISO-8601 UTC
    newest_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What a fetch takes along to every service it visits."""

    pages: Path | None = None  # where pages are kept until the fetch has ended
    watch: Watch = field(default_factory=Nobody)
    known: Mapping[tuple[str, str], Known] = field(default_factory=dict)  # (source, author)
    transport: httpx2.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Visit:
    """One account at one service."""

    scheme: str  # "bluesky"
    name: str  # "alice.example"
    config: FetchConfig
    journal: Journal
    trip: Trip
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _count: int = 0

    @property
    def spec(self) -> str:
        """Return what the person typed."""
        return f"{self.scheme}:{self.name}"

    @property
    def watch(self) -> Watch:
        """Return who looks on."""
        return self.trip.watch

    @cached_property
    def session(self) -> Session:
        """Return the session, opened when it is first used."""
        from mynah.sources.session import Session

        trip = self.trip
        return Session(self.config, trip.watch, transport=trip.transport, sleep=trip.sleep)

    def get(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
    ) -> Answer:
        """Ask a service anew, see `Session.get`."""
        return self.session.get(url, params, headers=headers, allow=allow)

    def page(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
        check: Callable[[Answer], None] = lambda answer: None,
    ) -> Answer:
        """Return a page of posts: the kept one, or asked for, kept and counted.

        A status of `allow` comes back as it is and is not kept; nor is an answer that `check`
        does not like, for services that say what is wrong in a 200.
        """
        pages = Pages(self.trip.pages, self.config.keep_hours)
        answer = pages.find(url, params or {})
        if answer is None:
            answer = self.get(url, params, headers=headers, allow=allow)
            if answer.status >= 400:
                return answer
            check(answer)
            pages.keep(url, params or {}, answer)
        self._count += 1
        self._digest.update(hashlib.sha256(answer.body).digest())
        self.watch.advance(self._count, f"{self.spec}: page {self._count:,}")
        return answer

    def done(self) -> None:
        """Note the hash of all pages in their order, and close the connections."""
        if self._count:
            many = "page" if self._count == 1 else "pages"
            label = f"{self.spec} ({self._count:,} {many})"
            self.journal.hashed(label, self._digest.hexdigest())
        if "session" in vars(self):
            self.session.close()

    def consent(
        self, account: str, checks: Sequence[Check], *, terms: Sequence[str] = ()
    ) -> Consent:
        """Say what the account and its service allow, and keep it for run.json.

        Raises:
            NoConsent: one of them denies, or needs a word that the person has not given.
        """
        for check in checks:
            self.watch.say(f"{self.spec}: {check.what}: {check.answer}.")
        consent = agreed(
            self.spec,
            self.scheme,
            account,
            checks,
            word=self.config.i_have_the_right_to,
            terms=terms,
        )
        self.journal.consents.append(consent)
        for sentence in terms:
            self.journal.say(sentence)
        return consent

    def known(self, source: str, author: str) -> Known:
        """Return what the bot has already; nothing where this is its first fetch.

        Args:
            source: as in `Post.source`.
            author: as in `Post.author`.
        """
        return self.trip.known.get((source, author.lower()), Known())

    def fresh(self, posts: Iterator[Post], source: str, author: str) -> Iterator[Post]:
        """Yield posts, which come newest first, until one that the bot has already.

        With --max-posts no more pages are asked for than that needs.
        """
        ids = self.known(source, author).ids
        for post in islice(posts, self.config.max_posts):
            if post.id in ids:
                return
            yield post

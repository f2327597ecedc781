"""Where posts come from: a path or an account in, an iterator of posts out.

    fetched = read("twitter-2024.zip", FetchConfig())
    write_rows(folder.posts, map(post_to_json, fetched.posts))
    fetched.notices, fetched.accounts, fetched.input_hashes()

One module a source, found by content or, on the network, by the name before the colon
(`recognition`). Sources share `place` (bytes within limits), `parsing` (JSON and lines), `tweets`
and `rows` (records), `visit` (services: consent, patience, pages) and do not know each other.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mynah.config import FetchConfig
from mynah.errors import EmptySource
from mynah.records import Account, Post
from mynah.run_folder import now
from mynah.sources.consent import Check, Consent
from mynah.sources.journal import Content, Journal
from mynah.sources.people import Choice
from mynah.sources.recognition import (
    CERTAIN,
    READERS,
    REMOTES,
    find,
    lasting,
    remote,
    remote_of,
)
from mynah.sources.values import made_up_id
from mynah.sources.visit import Known, Trip, Visit

_NEW_ARCHIVE = "Get a new one: x.com > Settings > Your account > Download an archive."
_NOTHING_PUBLIC = "Only what the account shows to everybody can be read."
_NEEDS_TEXT = 'Each row needs a text: {"text": "..."} in JSON lines, a column named text in CSV.'

_UNASKED = (
    "The file does not tell whether its author agreed: make a bot of your own words, or of "
    "somebody's who did."
)

__all__ = [
    "READERS",
    "REMOTES",
    "Fetched",
    "Found",
    "Known",
    "Trip",
    "lasting",
    "read",
    "read_all",
    "rehash",
    "remote_of",
]


@dataclass
class Found:
    """What one of the sources turned out to be; the counts are whole with the last post."""

    source: str  # the file's name, or the account as it was typed
    format: str
    sureness: str  # "for certain", "very likely", "likely", "a guess"
    posts: int = 0

    def __str__(self) -> str:
        return f"{self.source} is {self.format} ({self.sureness}): {self.posts:,} posts."


@dataclass(frozen=True)
class Fetched:
    """Posts to iterate over once, and what is known about them.

    `posts` is lazy; `accounts`, `notices` and `input_hashes` are whole once it is exhausted
    (an archive's own account is there from the start). Iterating may raise a SourceError.
    """

    format: str  # "x-archive-2022"; several sources give "csv+x-archive-2022"
    posts: Iterator[Post]
    inputs: tuple[Path, ...]
    found: tuple[Found, ...]  # one for each source
    _journal: Journal

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Return who posts, in order of appearance."""
        return tuple(self._journal.accounts.values())

    @property
    def avatars(self) -> dict[str, bytes]:
        """Return the picture of each account that came with one, by handle, not looked at yet."""
        return dict(self._journal.avatars)

    @property
    def notices(self) -> tuple[str, ...]:
        """Return sentences that the person should read."""
        return self._journal.notices()

    @property
    def consents(self) -> tuple[Consent, ...]:
        """Return what accounts on the network allow; nothing for a person's own archive."""
        return tuple(self._journal.consents)

    @property
    def partial(self) -> bool:
        """Tell whether an archive names a file of posts that nobody has brought."""
        return self._journal.partial

    @property
    def skipped(self) -> int:
        """Return how many rows became no post: with the posts, they are all that was there."""
        return self._journal.skipped

    def input_hashes(self) -> dict[str, str]:
        """Return the SHA-256 of every member that posts were read from, by `zip/member` or file.

        Only those are hashed, and while they are read: a zip's gigabytes of media never are. The
        pages of a service have one hash together.
        """
        return dict(self._journal.hashes)


def read(spec: str, config: FetchConfig) -> Fetched:
    """Read one source: a path, recognised by its content, or an account as `bluesky:alice.example`.

    Raises:
        SourceError: here or while iterating, always with a hint.
    """
    return read_all((spec,), config)


def read_all(specs: Sequence[str], config: FetchConfig, trip: Trip | None = None) -> Fetched:
    """Read several sources as one, such as the zips that X cut one archive into.

    A post that is in two of them comes once; a source without posts is only a notice while
    another has some.

    Args:
        specs: paths and accounts.
        config: how to read them.
        trip: what to take along to services on the network.

    Raises:
        SourceError: here or while iterating, always with a hint.
    """
    journal = Journal(word=config.i_have_the_right_to)
    contents: list[tuple[Found, Content]] = []
    inputs: list[Path] = []
    for spec in specs:
        if account := remote_of(spec):
            content = _visited(Visit(*account, config, journal, trip or Trip()))
            contents.append((Found(spec, content.format, CERTAIN), content))
            continue
        match = find(spec, config)
        content = match.reader.read(match.place, journal)
        found = Found(_shown(spec, match.place.path), content.format, match.sureness)
        contents.append((found, content))
        inputs.append(match.place.path)
    posts = _once(_chained(contents, Choice(config.author, journal), journal), journal)
    if config.max_posts is not None:
        posts = _newest(posts, config.max_posts, journal)
    formats = "+".join(sorted({content.format for _, content in contents}))
    return Fetched(formats, posts, tuple(inputs), tuple(each for each, _ in contents), journal)


def _shown(spec: str, path: Path) -> str:
    """Return the file's name as it was typed: a place may be the folder around it."""
    name = Path(spec.partition(":")[2] or spec).name
    return path.name if name in ("", "..") else name


def _visited(visit: Visit) -> Content:
    """Return what a service has, which closes its connections however reading it ends."""
    try:
        content = remote(visit.scheme).read(visit)
    except BaseException:
        visit.done()
        raise
    return replace(content, posts=_until_done(content.posts, visit))


def _until_done(posts: Iterator[Post], visit: Visit) -> Iterator[Post]:
    try:
        yield from posts
    finally:
        visit.done()


def rehash(spec: str, config: FetchConfig) -> dict[str, str]:
    """Read a source once more, for the SHA-256 of all that posts are read from.

    An account on the network is not asked again: it has none.

    Raises:
        SourceError: it is not there any more, or not as it was.
    """
    if remote_of(spec):
        return {}
    fetched = read(spec, config)
    deque(fetched.posts, maxlen=0)
    return fetched.input_hashes()


def _chained(
    contents: Sequence[tuple[Found, Content]], choice: Choice, journal: Journal
) -> Iterator[Post]:
    """Yield the posts of all sources, of the chosen author alone where one is named.

    Raises:
        EmptySource: there is none.
        AuthorNeeded: several people speak, and none of them is named.
    """
    speakers: set[tuple[str, str]] = set()
    for found, content in contents:
        for post in choice.of(content):
            found.posts += 1
            speakers.add((content.format, post.author))
            yield post
    choice.check_found()
    empty = [found.source for found, _ in contents if not found.posts]
    if len(empty) == len(contents):
        raise EmptySource(
            f"{' and '.join(empty) or 'No source'} holds no post.", hint=_why(contents)
        )
    for name in empty:
        journal.say(f"{name} holds no post.")
    remotes = {content.format for found, content in contents if remote_of(found.source)}
    _doubt(sorted(each for each in speakers if each[0] not in remotes), journal)


def _doubt(speakers: Sequence[tuple[str, str]], journal: Journal) -> None:
    """Say whose words they are that nobody could be asked about; keep it for run.json."""
    asked = {consent.account for consent in journal.consents}
    own = {account.handle for account in journal.accounts.values() if account.own_archive}
    unasked = [each for each in speakers if each[1] not in asked | own]
    check = Check(what="consent", answer="the file does not tell", verdict="warns")
    for form, handle in unasked:
        journal.consents.append(Consent(source=form, account=handle, when=now(), checks=(check,)))
    if unasked:
        journal.say(_UNASKED)


def _why(contents: Sequence[tuple[Found, Content]]) -> str:
    if any(content.format.startswith("x-archive") for _, content in contents):
        return _NEW_ARCHIVE
    return _NOTHING_PUBLIC if any(remote_of(found.source) for found, _ in contents) else _NEEDS_TEXT


def _once(posts: Iterator[Post], journal: Journal) -> Iterator[Post]:
    """Yield each post once; another post that claims the same id gets one of its own."""
    seen: dict[tuple[str, str], int] = {}
    for post in posts:
        key, mark = (post.author, post.id), hash(post.text)
        if key not in seen:
            seen[key] = mark
            yield post
        elif seen[key] == mark:
            journal.skip("post came twice and is read once", "posts came twice and are read once")
        else:
            yield replace(post, id=made_up_id(post.author, post.id, post.text))


def _newest(posts: Iterator[Post], most: int, journal: Journal) -> Iterator[Post]:
    """Yield the newest posts of each author, in their first order; later lines count as newer."""
    heaps: defaultdict[str, list[tuple[str, int, Post]]] = defaultdict(list)
    for number, post in enumerate(posts):
        heap, item = heaps[post.author], (post.created_at or "", number, post)
        if len(heap) < most:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
            journal.skip(
                "older post was left out by --max-posts", "older posts were left out by --max-posts"
            )
    kept = sorted((item for heap in heaps.values() for item in heap), key=lambda item: item[1])
    yield from (post for _, _, post in kept)

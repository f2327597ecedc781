"""Who speaks in a chat: a handle for everybody, and the one whose words are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mynah.errors import AuthorNeeded
from mynah.records import Account, Post
from mynah.sources.journal import Content, Journal

_SHOWN = 12  # people in a message
_NO_HANDLE = re.compile(r"[^\w.@+-]+")
_OTHERS = (
    "message by somebody else was left out",
    "messages by other people were left out",
)


@dataclass
class Cast:
    """Give everybody in a chat a handle that a bot's folder can be called by."""

    journal: Journal
    handles: dict[str, str] = field(default_factory=dict)  # by the chat's own id

    def handle(self, person: str, name: str) -> str:
        """Return the handle of a person; two of one name are told apart by their ids."""
        if person not in self.handles:
            name = " ".join("".join(filter(str.isprintable, name)).split())
            handle = _NO_HANDLE.sub("_", name).strip("_.+-") or "somebody"
            if handle in self.handles.values():
                handle = f"{handle}_{_NO_HANDLE.sub('_', person)}"
            self.handles[person] = handle
            self.journal.account(Account(handle=handle, name=name))
        return self.handles[person]


@dataclass
class Choice:
    """Let only the posts of one person through; others' accounts are forgotten."""

    wanted: str | None
    journal: Journal
    said: Counter[str] = field(default_factory=Counter)
    _known: dict[str, bool] = field(default_factory=dict)

    def of(self, content: Content) -> Iterator[Post]:
        """Yield the posts of whom the person has named; of a chat's only author without that.

        Raises:
            AuthorNeeded: a chat has several.
        """
        if self.wanted is not None:
            return self._theirs(content.posts)
        return self._only(content.posts) if content.chat else content.posts

    def check_found(self) -> None:
        """Make sure that whoever is named has said something.

        Raises:
            AuthorNeeded: they have not; says who has.
        """
        if self.wanted is not None and self.said and not any(map(self._is_theirs, self.said)):
            raise self._ask(f"Nobody called {self.wanted} speaks there, but")

    def _theirs(self, posts: Iterator[Post]) -> Iterator[Post]:
        for post in posts:
            self.said[post.author] += 1
            if self._is_theirs(post.author):
                yield post
            else:
                self.journal.skip(*_OTHERS)
        if any(map(self._is_theirs, self.said)):
            for author in self.said:
                if not self._is_theirs(author):
                    self.journal.accounts.pop(author, None)

    def _only(self, posts: Iterator[Post]) -> Iterator[Post]:
        # Held until the last one has come: a second person may speak up late.
        held: list[Post] = []
        for post in posts:
            self.said[post.author] += 1
            if len(self.said) == 1:
                held.append(post)
        if len(self.said) > 1:
            raise self._ask("Whose words? There speak")
        yield from held

    def _is_theirs(self, author: str) -> bool:
        if author not in self._known:
            account = self.journal.accounts.get(author)
            names = (author, account.name if account else "")
            self._known[author] = _folded(self.wanted or "") in map(_folded, names)
        return self._known[author]

    def _ask(self, beginning: str) -> AuthorNeeded:
        most = self.said.most_common(_SHOWN)
        people = ", ".join(f"{self._name(author)} ({count:,})" for author, count in most)
        more = len(self.said) - len(most)
        others = f", and {more:,} more" if more else ""
        example = self._name(most[0][0]).replace('"', "")
        return AuthorNeeded(
            f"{beginning} {people}{others}.", hint=f'Name one, as: --author "{example}"'
        )

    def _name(self, author: str) -> str:
        account = self.journal.accounts.get(author)
        return (account.name if account else "") or author


def _folded(name: str) -> str:
    return " ".join(name.casefold().split()).removeprefix("@")

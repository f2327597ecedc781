"""What a reader learns on the way: accounts, hashes of what was read, sentences for the person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mynah.records import Account, Post
from mynah.sources.consent import Consent


@dataclass
class Journal:
    """Fill up while posts are read; complete when the last post has been."""

    word: bool = False  # the person has said that they may use the posts
    accounts: dict[str, Account] = field(default_factory=dict)  # by handle, in order of appearance
    avatars: dict[str, bytes] = field(default_factory=dict)  # by handle, as they came
    hashes: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    partial: bool = False  # a part of what was named is missing
    skipped: int = 0  # rows that became no post: with the posts they are all there are

    def account(self, account: Account) -> None:
        """Note who posts; the first word about a handle stays."""
        self.accounts.setdefault(account.handle, account)

    def hashed(self, name: str, digest: str) -> None:
        """Note the SHA-256 of a member read to its end; two inputs of one name keep both."""
        while self.hashes.get(name, digest) != digest:
            name += "'"
        self.hashes[name] = digest

    def say(self, sentence: str) -> None:
        """Note a sentence for the person."""
        self.sentences.append(sentence)

    def count(self, one: str, many: str) -> None:
        """Count something worth a sentence: `one` and `many` follow the number."""
        self.counts[one, many] += 1

    def skip(self, one: str, many: str) -> None:
        """Count a row that becomes no post."""
        self.skipped += 1
        self.count(one, many)

    def notices(self) -> tuple[str, ...]:
        """Return the sentences, the counted ones last."""
        counted = (
            f"{count:,} {one if count == 1 else many}."
            for (one, many), count in self.counts.items()
        )
        return (*self.sentences, *counted)


@dataclass(frozen=True)
class Content:
    """What a reader makes of a place; `posts` is lazy and fills the journal."""

    format: str
    posts: Iterator[Post]
    chat: bool = False  # several people speak in it, and only one of them is to be learned from

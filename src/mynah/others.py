"""Posts of other authors: what a bot learns of posts in general helps with theirs as well.

They are the fictional sample accounts unless sources are named. The other bots in the folder
would be nearer at hand, but then a report would change with every bot that is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from mynah.cleaning import clean
from mynah.config import CleaningConfig, FetchConfig
from mynah.evaluation.texts import spread
from mynah.records import Post, read_rows
from mynah.sources import read_all

_SAMPLES = "accounts"


def other_posts(
    sources: Sequence[str] | None, own: Collection[str], most: int
) -> dict[str, list[str]]:
    """Return clean posts of each other author, about `most` in all, every author as many.

    Args:
        sources: as `mynah fetch` takes them; None for the sample accounts.
        own: handles of the bot's accounts, which are left out.
        most: how many posts.

    Raises:
        SourceError: a source cannot be read.
    """
    posts = sample_posts() if sources is None else read_all(sources, FetchConfig()).posts
    known = {handle.casefold() for handle in own}
    kept = clean((post for post in posts if post.author.casefold() not in known), CleaningConfig())
    by_author: dict[str, list[str]] = {}
    for post in kept.selected:
        by_author.setdefault(post.author, []).append(post.text)
    share = -(-most // max(len(by_author), 1))
    return {author: spread(texts, share) for author, texts in by_author.items()}


def sample_posts() -> Iterator[Post]:
    """Yield the posts of the sample accounts, their reposts left out."""
    for path in sample_accounts():
        for number, row in enumerate(read_rows(path)):
            if "text" in row and "repost_of" not in row:
                yield Post(
                    id=str(number), author=path.stem, text=row["text"], source="sample",
                    created_at=row["at"],
                )  # fmt: skip


def sample_accounts() -> list[Path]:
    """Return the files of the sample accounts: in the package, or beside it in the repository."""
    package = Path(str(files("mynah")))
    for folder in (package / _SAMPLES, package.parents[1] / "examples" / _SAMPLES):
        if found := sorted(folder.glob("*.jsonl")):
            return found
    return []

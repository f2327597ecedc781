"""Which posts a model learns from, in which words, and why the others are left out.

The rules are the original's, in its order (reposts out, text made plain, short posts out), and
then those that later exports need: edits, replies, posts with nothing of one's own, repetitions,
personal data. Nothing is lost in silence: every post is either selected or dropped with a reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mynah import languages, personal_data
from mynah.config import CleaningConfig
from mynah.plain_text import one_line, plain, repair
from mynah.records import Account, Post, read_records

Reason = Literal[
    "repost",
    "cut",
    "edited",
    "reply",
    "content-warning",
    "empty",
    "short",
    "duplicate",
    "near-duplicate",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

_REPOST = re.compile(r"RT @[\w.@-]+:")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff]")
_MARKED = re.compile(r"(?i:http)[!-~]*|@[A-Za-z0-9_]*|#\w*")
_NOT_OWN = ("http", "@", "#")  # the marks of a word that is a link, a name or a tag


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPost:
    """A post as training sees it: one row of cleaned.jsonl."""

    id: str
    author: str
    text: str
    created_at: str | None = None  # ISO-8601 UTC
    lang: str | None = None  # ISO 639-1, None where the source does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A post that training does not see, verbatim: one row of dropped.jsonl."""

    id: str
    author: str
    text: str
    reason: Reason
    detail: str = ""  # what the reason rests on, e.g. the id of the post that this one repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Both sides of the decision; every count is worked out from them."""

    selected: tuple[CleanPost, ...]  # by account in the order they came, each oldest first
    dropped: tuple[Dropped, ...]  # likewise
    replaced: dict[str, int] = field(default_factory=dict)  # personal data, by kind

    @property
    def authors(self) -> tuple[str, ...]:
        """Return the accounts that have a post, the selected ones' order first."""
        kept = [post.author for post in self.selected]
        return tuple(dict.fromkeys(kept + [post.author for post in self.dropped]))

    @property
    def characters(self) -> int:
        """Return how many characters there are to learn from."""
        return sum(len(post.text) for post in self.selected)

    def table(self) -> dict[str, Any]:
        """Return the counts: downloaded = kept + the sum of dropped, in all and by account."""
        kept = Counter(post.author for post in self.selected)
        dropped = Counter((post.author, post.reason) for post in self.dropped)
        by_author = {
            author: _row(kept[author], {reason: dropped[author, reason] for reason in REASONS})
            for author in self.authors
        }
        reasons = Counter(post.reason for post in self.dropped)
        every = _row(len(self.selected), {reason: reasons[reason] for reason in REASONS})
        replaced = {kind: self.replaced.get(kind, 0) for kind in personal_data.KINDS}
        return {**every, "by_author": by_author, "replaced": replaced}


def clean(
    posts: Iterable[Post], config: CleaningConfig, *, accounts: Iterable[Account] = ()
) -> Cleaned:
    """Decide on every post. Posts may come in any order; of two alike the older one stays."""
    arrived = list(posts)
    order = {author: n for n, author in enumerate(dict.fromkeys(p.author for p in arrived))}
    own = {account.handle for account in accounts if account.own_archive}
    judge = _Judge(config, _last_versions(arrived), own)
    verdicts = [judge(post) for post in sorted(arrived, key=_time)]
    verdicts.sort(key=lambda verdict: order[verdict.author])
    return Cleaned(
        selected=tuple(item for item in verdicts if isinstance(item, CleanPost)),
        dropped=tuple(item for item in verdicts if isinstance(item, Dropped)),
        replaced=dict(judge.replaced),
    )


class _Judge:
    """Take one post after another, oldest first, and remember what has been said already."""

    def __init__(self, config: CleaningConfig, last: set[tuple[str, str]], own: set[str]) -> None:
        self.config = config
        self.last = last  # (author, id) of the version that counts
        self.own = own  # accounts read from the person's own archive
        self.replaced: Counter[str] = Counter()
        self.texts: dict[str, str] = {}  # text -> id of its first post
        self.keys: dict[str, str] = {}  # folded text -> id of its first post

    def __call__(self, post: Post) -> CleanPost | Dropped:
        reason, detail = self.before(post)
        if reason:
            return _drop(post, reason, detail)
        text, found = self.without_personal_data(post.author, self.text(post))
        reason, detail = self.after(post, text)
        if reason:
            return _drop(post, reason, detail)
        self.replaced.update(found)
        lang = languages.known(post.lang)
        return CleanPost(
            id=post.id, author=post.author, text=text, created_at=post.created_at, lang=lang
        )

    def before(self, post: Post) -> tuple[Reason | None, str]:
        """Judge what can be judged without the plain text."""
        if is_repost(post):
            return "repost", ""
        if post.cut:  # a bot would learn to stop in the middle
            return "cut", ""
        if (post.author, post.id) not in self.last:
            return "edited", post.latest_id or ""
        if self.config.drop_replies and post.kind == "reply":
            return "reply", ""
        if self.config.content_warnings == "drop" and post.warning:
            return "content-warning", post.warning
        return None, ""

    def text(self, post: Post) -> str:
        """Return the plain text, below its content warning where that is kept."""
        text = plain(post)
        if post.warning and text and self.config.content_warnings == "keep":
            return f"CW: {one_line(repair(post.warning))} {text}"
        return text

    def after(self, post: Post, text: str) -> tuple[Reason | None, str]:
        """Judge the plain text, and remember it if it stays."""
        own = own_words(text)
        if not own and "#" not in text:
            return "empty", ""
        if count_words(own) < self.config.min_words:
            return "short", ""
        return (None, "") if self.config.keep_duplicates else self.repeated(post, text)

    def repeated(self, post: Post, text: str) -> tuple[Reason | None, str]:
        """Look the text up among those of the older posts."""
        if text in self.texts:
            return "duplicate", self.texts[text]
        key = fold(text)
        if key in self.keys:
            return "near-duplicate", self.keys[key]
        self.texts[text] = self.keys[key] = post.id
        return None, ""

    def without_personal_data(self, author: str, text: str) -> tuple[str, dict[str, int]]:
        """Replace personal data where the settings say so, else in one's own archive."""
        wanted = author in self.own if self.config.pii is None else self.config.pii
        return personal_data.replace(text) if wanted else (text, {})


def is_repost(post: Post) -> bool:
    """Tell whether the words are someone else's; archives say it only in the text."""
    return post.kind == "repost" or bool(_REPOST.match(post.text))


def own_words(text: str) -> list[str]:
    """Return the words that are neither a link, a name nor a tag.

    Where a script has no spaces, a name does not take the whole sentence with it.
    """
    lower = text.lower()
    if not any(mark in lower for mark in _NOT_OWN):
        return text.split()
    return [own for word in text.split() if (own := _own_part(word))]


def _own_part(word: str) -> str:
    if not any(mark in word.lower() for mark in _NOT_OWN):
        return word
    rest = "" if word.isascii() else _MARKED.sub("", word)
    return rest if _UNSPACED.search(rest) else ""


def count_words(words: Iterable[str]) -> int:
    """Count words; where a script writes none apart, two characters are one."""
    return sum(1 if word.isascii() else max(1, len(_UNSPACED.findall(word)) // 2) for word in words)


def fold(text: str) -> str:
    """Return what is left of a text when case, punctuation, emoji and figures do not count.

    A text without any letter is its own key: "7/10" and "9/10" would be the same otherwise.
    """
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold())
    key = re.sub(r"[\d ]*\d[\d ]*", " 0 ", words).strip()
    return key if key.strip("0 ") else text


def cleaned_to_json(post: CleanPost) -> dict[str, Any]:
    """Return the row of cleaned.jsonl."""
    return asdict(post)


def dropped_to_json(post: Dropped) -> dict[str, Any]:
    """Return the row of dropped.jsonl."""
    return asdict(post)


def read_cleaned(path: Path) -> Iterator[CleanPost]:
    """Yield the posts of a cleaned.jsonl."""
    return read_records(path, lambda row: CleanPost(**row))


def read_dropped(path: Path) -> Iterator[Dropped]:
    """Yield the posts of a dropped.jsonl."""
    return read_records(path, lambda row: Dropped(**row))


def _row(kept: int, dropped: dict[Reason, int]) -> dict[str, Any]:
    return {"downloaded": kept + sum(dropped.values()), "kept": kept, "dropped": dropped}


def _drop(post: Post, reason: Reason, detail: str) -> Dropped:
    return Dropped(id=post.id, author=post.author, text=post.text, reason=reason, detail=detail)


def _time(post: Post) -> tuple[str, int]:
    """Order by date, then by number; undated posts come first: they must never be the newest."""
    number = int(post.id) if post.id.isascii() and post.id.isdigit() and post.created_at else 0
    return post.created_at or "", number


def _last_versions(posts: Iterable[Post]) -> set[tuple[str, str]]:
    """Return (author, id) of the newest version that is there of every post."""
    last: dict[tuple[str, str], str] = {}
    newer: Callable[[str], tuple[int, str]] = lambda id: (len(id), id)  # noqa: E731
    for post in posts:
        key = (post.author, post.latest_id or post.id)
        last[key] = max(last.get(key, ""), post.id, key=newer)
    return {(author, id) for (author, _), id in last.items()}

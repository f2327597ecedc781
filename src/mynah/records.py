"""What flows between the stages: posts, accounts and generations, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from mynah.errors import BrokenSource

Kind = Literal["post", "reply", "self-reply", "repost", "quote"]
SpanKind = Literal["url", "media", "mention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a post's text, in Unicode code points of the text as stored."""

    start: int
    end: int
    kind: SpanKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post as its source gives it: text verbatim, nothing removed yet."""

    id: str
    author: str  # the handle, without @
    text: str
    source: str  # which reader found it, e.g. "x-archive"
    created_at: str | None = None  # ISO-8601 UTC, e.g. 2023-04-02T07:15:00Z
    kind: Kind = "post"
    lang: str | None = None  # BCP 47, None where the source does not know
    url: str | None = None
    escaped: bool = False  # the text holds HTML entities (&amp;) to undo exactly once
    spans: tuple[Span, ...] = ()  # links and mentions where the source marks them
    latest_id: str | None = None  # id of the last version, for an edited post
    cut: bool = False  # the source has only its beginning
    warning: str | None = None  # the content warning that its author put before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who posted: what a card and a picture need, and nothing private."""

    handle: str
    name: str = ""  # display name
    bio: str = ""
    url: str | None = None
    own_archive: bool = False  # read from the person's own export


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The real post that a generated text shares its longest run of words with."""

    text: str = ""  # empty where no word is shared
    overlap: float = 0.0  # length of that run ÷ words of the generated text, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generated post and how it came to be."""

    text: str
    prompt: str
    seed: int
    nearest: Nearest = Nearest()
    drawn_again: int = 0  # draws thrown away: copies, empty ones, ones that found no end
    copied_first: bool = False  # the first draw was a copy: what the guard is for
    tokens: int = 0  # tokens drawn for it, the thrown-away ones included
    dropped_early: int = 0  # draws thrown away as copies before they were whole
    dropped_tokens: int = 0  # tokens of those


Item = TypeVar("Item")
_POST_FIELDS = tuple(field.name for field in fields(Post))
_SPARE = ("escaped", "spans", "latest_id", "cut", "warning")


def post_from_json(row: dict[str, Any]) -> Post:
    """Build a Post from a row of posts.jsonl."""
    if not isinstance(row["text"], str):
        raise TypeError("a text that is none")
    spans = tuple(Span(**span) for span in row.get("spans") or ())
    known = {key: value for key, value in row.items() if key in _POST_FIELDS}
    return Post(**known | {"spans": spans})


def post_to_json(post: Post) -> dict[str, Any]:
    """Return the row of posts.jsonl, without the fields that are at their defaults."""
    # By hand: `asdict` copies deeply, and took as long as all of the reading.
    row = {name: getattr(post, name) for name in _POST_FIELDS}
    row["spans"] = [{"start": s.start, "end": s.end, "kind": s.kind} for s in post.spans]
    return {key: value for key, value in row.items() if key not in _SPARE or value}


def encode_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield each row as one line of JSON, characters unescaped."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file in a bot's folder.

    Raises:
        BrokenSource: a line is not a JSON object; the message names file and line.
    """
    return read_records(path, _object)


def read_records(path: Path, make: Callable[[dict[str, Any]], Item]) -> Iterator[Item]:
    """Yield what `make` makes of each row.

    Raises:
        BrokenSource: as `read_rows`, or a row lacks what `make` needs.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield make(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BrokenSource(
                    f"Line {number} of {path} is damaged ({type(error).__name__}).",
                    hint=f"Write it anew: {_ANEW.get(path.name, 'mynah make')} {path.parent.name}",
                ) from error


def read_posts(path: Path) -> Iterator[Post]:
    """Yield the posts of a posts.jsonl."""
    return read_records(path, post_from_json)


def _object(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise TypeError("not a JSON object")
    return row


_ANEW = {
    "posts.jsonl": "mynah fetch <source> --replace --name",
    "cleaned.jsonl": "mynah clean",
    "dropped.jsonl": "mynah clean",
    "samples.jsonl": "mynah say",
}

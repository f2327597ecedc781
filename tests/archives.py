"""Archives for tests, built as X lays them out; nothing in them is anyone's post."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import build_archives as builder

from mynah.config import FetchConfig
from mynah.records import Post
from mynah.sources import read

ME, MY_ID = "tidekeeper", "9000000000000042"
ACCOUNT: dict[str, Any] = {
    "username": ME,
    "display_name": "Tide Keeper 🌊 | 𝓽𝓲𝓭𝓮",
    "account_id": MY_ID,
    "created_at": "2020-01-02T03:04:05Z",
    "bio": "I count waves & lose count.",
}
EMAIL = f"{ME}@mail.example"
ROWS: list[dict[str, Any]] = [
    {"at": "2023-04-01T07:00:00Z", "text": "Wave one was smaller than the forecast & louder."},
    {"at": "2023-04-01T07:05:00Z", "text": "Wave two apologised.", "thread": True},
    {"at": "2023-04-02T08:00:00Z", "text": "@gull_7 That was my lunch.", "reply_to": "gull_7"},
    {"at": "2023-04-03T09:00:00Z", "text": "Fish again", "repost_of": "gull_7"},
    {"at": "2023-04-04T10:00:00Z", "text": "The pier at dawn 🌅", "media": "photo"},
]


def ytd(name: str, entries: list[Any]) -> bytes:
    """Return a file that assigns a list, as X writes it."""
    return builder.script(f"YTD.{name}.part0", entries)


def tweet(id_: int | str = 1, text: str = "A wave came in.", **fields: Any) -> dict[str, Any]:
    """Return the entry of a minimal tweet."""
    base = {
        "id_str": str(id_),
        "created_at": "Sat Apr 01 07:00:00 +0000 2023",
        "full_text": text,
        "lang": "en",
        "entities": {"user_mentions": [], "urls": [], "hashtags": []},
    }
    return {"tweet": base | fields}


def note(id_: int | str, text: str, at: str, **core: Any) -> dict[str, Any]:
    """Return the entry of a long post."""
    inner = {"text": text, "urls": [], "mentions": [], "hashtags": []} | core
    return {"noteTweet": {"noteTweetId": str(id_), "createdAt": at, "core": inner}}


def x_files(*entries: dict[str, Any], **more: bytes) -> dict[str, bytes]:
    """Return the files of an archive with these tweets; `note_tweet=` adds data/note-tweet.js."""
    files = builder.members(builder.Archive(ACCOUNT))
    files["data/tweets.js"] = ytd("tweets", list(entries))
    return files | {f"data/{name.replace('_', '-')}.js": data for name, data in more.items()}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip and return its path."""
    builder.write_zip(path, files)
    return path


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a folder and return its path."""
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def sample_zip(path: Path) -> Path:
    """Write the archive of ROWS."""
    return zipped(path, builder.members(builder.build(ACCOUNT, ROWS)))


def posts_of(path: Path, **settings: Any) -> list[Post]:
    """Return all posts at a path."""
    return list(read(str(path), FetchConfig(**settings)).posts)


def json_lines(*rows: dict[str, Any]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)

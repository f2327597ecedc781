"""Build the archives of the sample accounts, as X would have sent them.

    python examples/build_archives.py [OUT_DIR]

Reads examples/accounts/<handle>.jsonl: a line about the account, then a post a line. Writes one
zip an account, in X's layout of 2022-2024, the same bytes every time. Needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
URL = re.compile(r"https?://[^\s]+[^\s.,;:!?)\]}'\"]")
MENTION = re.compile(r"(?<![\w@])@(\w{1,15})", re.ASCII)
HASHTAG = re.compile(r"(?<![\w&])#(\w*[^\W\d]\w*)")
SNOWFLAKE_EPOCH = 1_288_834_974_657  # milliseconds; X's ids count from there
CUT_AT = 250  # where the tweet of a long post breaks off
REPOST_LENGTH = 140
EDIT_MINUTES = 4
ZIP_TIME = (2024, 11, 5, 12, 0, 0)

Row = dict[str, Any]


@dataclass
class Archive:
    """What goes into an account's archive, filled post by post."""

    account: Row
    tweets: list[Row] = field(default_factory=list)
    notes: list[Row] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)

    @property
    def handle(self) -> str:
        return str(self.account["username"])

    def add(self, row: Row) -> None:
        """Add a post with everything that belongs to it."""
        at = datetime.fromisoformat(row["at"])
        texts = [*row.get("earlier", ()), self._text(row)]
        times = [at - timedelta(minutes=EDIT_MINUTES) * back for back in range(len(texts))][::-1]
        ids = [snowflake(time, len(self.tweets) + place) for place, time in enumerate(times)]
        answered = self.tweets[-1] if self.tweets else None
        for text, time, tweet_id in zip(texts, times, ids, strict=True):
            tweet = self._tweet(row, text, time, tweet_id)
            tweet["edit_info"] = edit_info(ids, tweet_id, time)
            if row.get("thread") and answered:
                tweet |= reply_to(self.handle, str(self.account["account_id"]), answered["id_str"])
            self.tweets.append(tweet)
        if "note" in row:
            self.notes.append(note(row["note"], at, ids[-1], len(self.notes)))

    def _text(self, row: Row) -> str:
        if "note" in row:
            return str(row["note"])[:CUT_AT].rpartition(" ")[0] + "…"
        if "repost_of" in row:
            text = f"RT @{row['repost_of']}: {row['text']}"
            return text if len(text) <= REPOST_LENGTH else text[: REPOST_LENGTH - 1] + "…"
        return str(row["text"])

    def _tweet(self, row: Row, raw: str, time: datetime, tweet_id: str) -> Row:
        tail = [f"https://x.com/i/web/status/{tweet_id}"] if "note" in row else []
        tail += [row["quote"]] if "quote" in row else []
        text, entities = marked_up(" ".join([raw, *tail]), tweet_id)
        if row.get("media"):
            text, entities["media"] = self._with_photo(text, tweet_id)
        tweet = {
            "retweeted": False,
            "source": '<a href="https://mobile.twitter.com" rel="nofollow">Twitter Web App</a>',
            "entities": entities,
            "display_text_range": ["0", str(len(text))],
            "favorite_count": str(int(tweet_id[-3:]) % 60),
            "id_str": tweet_id,
            "truncated": False,
            "retweet_count": str(int(tweet_id[-2:]) % 7),
            "id": tweet_id,
            "created_at": time.strftime("%a %b %d %H:%M:%S +0000 %Y"),
            "favorited": False,
            "full_text": text,
            "lang": row.get("lang", "en"),
        }
        if "media" in entities:
            tweet["extended_entities"] = {"media": entities["media"]}
        if "reply_to" in row:
            tweet |= reply_to(
                row["reply_to"], number("user", row["reply_to"]), str(int(tweet_id) - 9)
            )
        return tweet

    def _with_photo(self, text: str, tweet_id: str) -> tuple[str, list[Row]]:
        name = token("photo", tweet_id, 15)
        self.media[f"data/tweets_media/{tweet_id}-{name}.png"] = PNG
        link = short("photo", tweet_id)
        address = f"pbs.twimg.com/media/{name}.png"
        photo = {
            "expanded_url": f"https://twitter.com/{self.handle}/status/{tweet_id}/photo/1",
            "indices": [str(len(text) + 1), str(len(text) + 1 + len(link))],
            "url": link,
            "media_url": f"http://{address}",
            "id_str": str(int(tweet_id) - 7),
            "id": str(int(tweet_id) - 7),
            "media_url_https": f"https://{address}",
            "sizes": {size: {"w": "1", "h": "1", "resize": "fit"} for size in ("small", "large")},
            "type": "photo",
            "display_url": link.replace("https://t.co", "pic.twitter.com"),
        }
        return f"{text} {link}", [photo]


def marked_up(raw: str, salt: str) -> tuple[str, dict[str, list[Row]]]:
    """Return a text as X stores it, HTML-escaped and its links short, and its entities.

    Indices count code points of the stored text.
    """
    text, urls, done = "", [], 0
    for found in URL.finditer(raw):
        text += html.escape(raw[done : found.start()], quote=False)
        link = short(found[0], salt)
        place = [str(len(text)), str(len(text) + len(link))]
        shown = re.sub(r"^https?://(?:www\.)?", "", found[0])
        shown = shown if len(shown) <= 27 else shown[:26] + "…"
        urls.append({"url": link, "expanded_url": found[0], "display_url": shown, "indices": place})
        text, done = text + link, found.end()
    text += html.escape(raw[done:], quote=False)
    mentions = [_user(found[1]) | _indices(found) for found in MENTION.finditer(text)]
    hashtags = [{"text": found[1]} | _indices(found) for found in HASHTAG.finditer(text)]
    return text, {"user_mentions": mentions, "urls": urls, "symbols": [], "hashtags": hashtags}


def _user(name: str) -> Row:
    user_id = number("user", name)
    return {"name": name, "screen_name": name, "id_str": user_id, "id": user_id}


def _indices(found: re.Match[str]) -> Row:
    return {"indices": [str(found.start()), str(found.end())]}


def note(raw: str, at: datetime, tweet_id: str, count: int) -> Row:
    """Return the entry of note-tweet.js: no tweet id in it, and a time a little off."""
    text, entities = marked_up(raw, tweet_id)
    time = (at + timedelta(seconds=count % 2)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    core = {
        "styletags": [],
        "urls": [_note_link(url) for url in entities["urls"]],
        "text": text,
        "mentions": [
            {"screenName": who["screen_name"]} | _range(who) for who in entities["user_mentions"]
        ],
        "cashtags": [],
        "hashtags": [{"text": tag["text"]} | _range(tag) for tag in entities["hashtags"]],
    }
    return {
        "noteTweetId": str(int(tweet_id) - 4_000_000),
        "updatedAt": time,
        "lifecycle": {"value": "5", "name": "Complete", "originalName": "Complete"},
        "createdAt": time,
        "core": core,
    }


def _note_link(url: Row) -> Row:
    names = {"expandedUrl": "expanded_url", "shortUrl": "url", "displayUrl": "display_url"}
    return {ours: url[theirs] for ours, theirs in names.items()} | _range(url)


def _range(entity: Row) -> Row:
    return {"fromIndex": entity["indices"][0], "toIndex": entity["indices"][1]}


def edit_info(ids: list[str], tweet_id: str, time: datetime) -> Row:
    """Return what a version says of all versions."""
    control = {
        "editTweetIds": ids,
        "editableUntil": (time + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "editsRemaining": str(5 - ids.index(tweet_id)),
        "isEditEligible": True,
    }
    if tweet_id == ids[0]:
        return {"initial": control}
    return {"edit": {"initialTweetId": ids[0], "editControlInitial": control}}


def reply_to(handle: str, user_id: str, tweet_id: str) -> Row:
    """Return the fields that make a tweet a reply."""
    return {
        "in_reply_to_status_id_str": tweet_id,
        "in_reply_to_status_id": tweet_id,
        "in_reply_to_user_id_str": user_id,
        "in_reply_to_user_id": user_id,
        "in_reply_to_screen_name": handle,
    }


def snowflake(time: datetime, count: int) -> str:
    """Return an id that grows with time, as X makes them."""
    return str((int(time.timestamp() * 1000) - SNOWFLAKE_EPOCH << 22) + count % 4096)


def token(kind: str, value: str, length: int) -> str:
    """Return made-up letters and digits, the same for the same value."""
    digest = hashlib.sha256(f"{kind}\0{value}".encode()).digest()
    return "".join(BASE62[byte % 62] for byte in digest[:length])


def short(url: str, salt: str) -> str:
    """Return a t.co link of X's length that leads nowhere."""
    return "https://t.co/" + token(url, salt, 10)


def number(kind: str, value: str) -> str:
    """Return a made-up account id."""
    return str(
        9_000_000_000_000_000 + int(hashlib.sha256(f"{kind}{value}".encode()).hexdigest()[:8], 16)
    )


def _png() -> bytes:
    """Return the smallest picture: one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixel = zlib.compress(b"\x00\x80")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    )


PNG = _png()


def script(name: str, value: Any) -> bytes:
    """Return a JavaScript file that assigns a value, spaced as X spaces it."""
    body = json.dumps(value, ensure_ascii=False, indent=2, separators=(",", " : "))
    return f"window.{name} = {body.replace(' : []', ' : [ ]')}".encode()


def members(archive: Archive) -> dict[str, bytes]:
    """Return the files of an archive by name."""
    account, newest_first = archive.account, archive.tweets[::-1]
    parts: dict[str, tuple[str, list[Row]]] = {
        "account": ("account", [{"account": _account(account)}]),
        "profile": ("profile", [{"profile": _profile(account)}]),
        "tweets": ("tweets", [{"tweet": tweet} for tweet in newest_first]),
        "noteTweet": ("note-tweet", [{"noteTweet": entry} for entry in archive.notes]),
        "communityTweet": ("community-tweet", []),
        "deletedTweets": ("deleted-tweets", []),
        "directMessages": ("direct-messages", []),
        "like": ("like", []),
    }
    files = {"Your archive.html": b"<!doctype html><title>Your archive</title>\n"}
    files["data/manifest.js"] = script("__THAR_CONFIG", manifest(account, parts))
    for base, rows in parts.values():
        files[f"data/{base}.js"] = script(f"YTD.{base.replace('-', '_')}.part0", rows)
    return files | archive.media


def _account(account: Row) -> Row:
    return {
        "email": f"{account['username']}@mail.example",
        "createdVia": "web",
        "username": account["username"],
        "accountId": str(account["account_id"]),
        "createdAt": account["created_at"].replace("Z", ".000Z"),
        "accountDisplayName": account["display_name"],
    }


def _profile(account: Row) -> Row:
    keys = ("bio", "website", "location")
    return {
        "description": {key: account.get(key, "") for key in keys},
        "avatarMediaUrl": "https://pbs.twimg.com/profile_images/1/none.png",
        "headerMediaUrl": "https://pbs.twimg.com/profile_banners/1/1",
    }


def manifest(account: Row, parts: dict[str, tuple[str, list[Row]]]) -> Row:
    """Return the list of all files, as the archive's own page reads it."""
    types = {}
    for kind, (base, rows) in parts.items():
        name = f"YTD.{base.replace('-', '_')}.part0"
        file = {"fileName": f"data/{base}.js", "globalName": name, "count": str(len(rows))}
        types[kind] = {"files": [file]}
    return {
        "userInfo": {
            "accountId": str(account["account_id"]),
            "userName": account["username"],
            "displayName": account["display_name"],
        },
        "archiveInfo": {
            "sizeBytes": "1048576",
            "generationDate": "2024-11-05T12:00:00.000Z",
            "isPartialArchive": False,
            "maxPartSizeBytes": "53687091200",
        },
        "dataTypes": types,
    }


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write a zip whose bytes depend on its files only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def build(account: Row, rows: Iterable[Row]) -> Archive:
    """Return the archive of an account and its posts, oldest first."""
    archive = Archive(account)
    for row in rows:
        archive.add(row)
    return archive


def read_account(path: Path) -> Archive:
    """Return the archive of a file of readable lines."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    for row in rows[1:]:
        at = datetime.fromisoformat(row["at"])
        if at.tzinfo != UTC:
            row["at"] = at.replace(tzinfo=UTC).isoformat()
    return build(rows[0]["account"], sorted(rows[1:], key=lambda row: str(row["at"])))


def main(out: Path) -> None:
    """Build every sample account's zip."""
    for path in sorted((HERE / "accounts").glob("*.jsonl")):
        archive = read_account(path)
        target = out / f"{path.stem}.zip"
        write_zip(target, members(archive))
        print(f"{target}: {len(archive.tweets)} posts, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "archives")

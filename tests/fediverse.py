"""Mastodon exports for tests, laid out as servers write them; nothing in them is anyone's post."""

from __future__ import annotations

import html
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

HOME = "https://sea.example"
ME = f"{HOME}/users/buoy"
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
ACTOR = {
    "id": ME,
    "type": "Person",
    "preferredUsername": "buoy",
    "name": "Buoy 🛟",
    "summary": "<p>I float &amp; I ring.</p>",
    "url": f"{HOME}/@buoy",
    "indexable": True,
}
_PARAGRAPH = re.compile(r"\n\n+")


def content(text: str) -> str:
    """Return what Mastodon makes of a text without links, names and tags."""
    paragraphs = _PARAGRAPH.split(html.escape(text, quote=True))
    return "".join(f"<p>{each.replace(chr(10), '<br />')}</p>" for each in paragraphs)


def note(id_: int, body: str = "<p>The bell rang twice.</p>", **fields: Any) -> dict[str, Any]:
    """Return the activity of a public post; a field of None stays None."""
    address = f"{ME}/statuses/{id_}"
    inner = {
        "id": address,
        "type": "Note",
        "summary": None,
        "inReplyTo": None,
        "published": f"2023-05-01T10:{id_ % 60:02}:00Z",
        "url": f"{HOME}/@buoy/{id_}",
        "attributedTo": ME,
        "to": [PUBLIC],
        "cc": [f"{ME}/followers"],
        "content": body,
        "contentMap": {"en": body},
        "tag": [],
    } | fields
    outer = {key: inner[key] for key in ("published", "to", "cc")}
    return {"id": f"{address}/activity", "type": "Create", "actor": ME, **outer, "object": inner}


def boost(id_: int) -> dict[str, Any]:
    """Return the activity of a boost: an address and no words."""
    return {
        "id": f"{ME}/statuses/{id_}/activity",
        "type": "Announce",
        "actor": ME,
        "to": [PUBLIC],
        "object": "https://reef.example/users/coral/statuses/1",
    }


def status(id_: int, body: str = "<p>The bell rang twice.</p>", **fields: Any) -> dict[str, Any]:
    """Return a public post as the API gives it."""
    return {
        "id": str(id_),
        "created_at": f"2024-01-01T00:{id_ // 60 % 60:02}:{id_ % 60:02}.000Z",
        "visibility": "public",
        "content": body,
        "spoiler_text": "",
        "language": "en",
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "reblog": None,
        "mentions": [],
        "url": f"https://sea.example/@buoy/{id_}",
    } | fields


def mention(name: str, host: str) -> tuple[str, dict[str, str]]:
    """Return a mention's HTML and its tag; they give two addresses of one profile."""
    shown = (
        f'<span class="h-card" translate="no"><a href="https://{host}/@{name}" '
        f'class="u-url mention">@<span>{name}</span></a></span>'
    )
    address = f"https://{host}/users/{name}"
    return shown, {"type": "Mention", "href": address, "name": f"@{name}@{host}"}


def link(url: str) -> str:
    """Return a link as Mastodon shortens it: three spans, two of them not seen."""
    scheme, _, rest = url.partition("://")
    classes = ("ellipsis", rest[:30], rest[30:]) if len(rest) > 30 else ("", rest, "")
    return (
        f'<a href="{html.escape(url)}" target="_blank" rel="nofollow noopener noreferrer">'
        f'<span class="invisible">{scheme}://</span>'
        f'<span class="{classes[0]}">{html.escape(classes[1])}</span>'
        f'<span class="invisible">{html.escape(classes[2])}</span></a>'
    )


def outbox(*items: dict[str, Any]) -> bytes:
    """Return an outbox.json with its key twice, as some servers write it."""
    rows = json.dumps(list(items))
    return (
        f'{{"@context":"https://www.w3.org/ns/activitystreams","id":"outbox.json",'
        f'"type":"OrderedCollection","totalItems":{len(items)},'
        f'"orderedItems":[],"orderedItems":{rows}}}'
    ).encode()


def export(*items: dict[str, Any], actor: dict[str, Any] | None = ACTOR) -> dict[str, bytes]:
    """Return the files of an export."""
    files = {"outbox.json": outbox(*items), "likes.json": b'{"orderedItems":["x"]}'}
    if actor is not None:
        files["actor.json"] = json.dumps(actor).encode()
    return {"media_attachments/files/1/original.png": b"\x89PNG" * 9_000, **files}


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    """Write a tar and return its path."""
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path

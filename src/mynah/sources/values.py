"""Small facts about posts that several sources share."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

REPOST = re.compile(r"RT @\w{1,20}:")
ESCAPED = re.compile(r"&(?:amp|lt|gt|quot|#39);")
QUOTED = re.compile(r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/\w+/status/\d", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# What X writes where it knows no language, and its two codes that BCP 47 has renamed.
_NO_LANGUAGE = re.compile(r"q[a-t][a-z]|zxx|und|art|unknown|", re.IGNORECASE)
_RENAMED = {"in": "id", "iw": "he"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{2,8})*", re.IGNORECASE | re.ASCII)


def as_dict(value: object) -> dict[str, Any]:
    """Return a dict: the value, or an empty one where something else stands."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list: the value, or an empty one where something else stands."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Return a string that UTF-8 can hold: half a surrogate pair becomes U+FFFD.

    The number of code points stays, so that positions still hold. Anything but a string or a
    whole number becomes "".
    """
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)
    return str(value) if type(value) is int and abs(value) < 10**20 else ""


def as_index(value: object) -> int:
    """Return a position, which X writes as a string; -1 where it is none."""
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return -1


def language(value: object) -> str | None:
    """Return a BCP 47 language; None where the source does not know one."""
    text = as_text(value).strip()
    if _NO_LANGUAGE.fullmatch(text) or not _LANGUAGE.fullmatch(text):
        return None
    return _RENAMED.get(text, text.replace("_", "-"))


def is_quote(url: object) -> bool:
    """Tell whether a link leads to a post, which is how archives mark a quote."""
    return isinstance(url, str) and QUOTED.match(url) is not None


def made_up_id(*parts: str) -> str:
    """Return an id for a post that has none: the same parts give the same id."""
    return "made-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def host_of(url: str) -> str:
    """Return host and port of an address in lower case, "" where it is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # a bracket without its fellow
        return ""

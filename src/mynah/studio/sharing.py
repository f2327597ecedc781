"""Links by which a person shares a post: they open the place's own page, where it can be edited."""

from __future__ import annotations

import re
from urllib.parse import quote

from mynah.errors import SettingsError

SIGN = " 🤖 by a bot"  # a text that somebody copies carries no other mark
_ADDRESSES = {
    "X": ("https://x.com/intent/post?text={}", 250),
    "Bluesky": ("https://bsky.app/intent/compose?text={}", 300),
    "Mastodon": ("https://{server}/share?text={}", 500),
}
_SERVER = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+(:\d{1,5})?", re.IGNORECASE)


def share_links(text: str, server: str) -> dict[str, str]:
    """Return the address of each place for a post.

    Raises:
        SettingsError: the Mastodon server is none.
    """
    if not _SERVER.fullmatch(server):
        raise SettingsError(f"'{server}' is no server.", hint="Write it as mastodon.social.")
    links = {}
    for place, (address, most) in _ADDRESSES.items():
        said = quote(cut(text, most - len(SIGN)) + SIGN, safe="")
        links[place] = address.replace("{server}", server).replace("{}", said)
    return links


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, ended at a word where it is longer."""
    if len(text) <= most:
        return text
    words, space, _ = text[:most].rpartition(" ")
    return f"{words if space and len(words) > most // 2 else text[: most - 1]}…"

"""X's own export, zip or folder, in the layouts of 2018 to 2024.

Read: posts (all parts), long posts, posts to communities; name, bio and avatar of the account. Left
out: direct messages, likes, deleted posts, circles, Grok, and the e-mail address in account.js.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import chain
from typing import Any

from mynah.avatars import LARGEST
from mynah.errors import SourceError, UnknownFormat
from mynah.records import Account, Post
from mynah.sources.journal import Content, Journal
from mynah.sources.notes import Notes
from mynah.sources.parsing import array_entries, one_object
from mynah.sources.place import AVATARS, Place, stem
from mynah.sources.tweets import Owner, to_post
from mynah.sources.values import as_dict, as_list, as_text

SCHEME = "archive"
_POSTS = re.compile(r"(?:tweets?|community-tweet)(?:-part(\d+))?\.js")
_NOTES = re.compile(r"note-tweet(?:-part(\d+))?\.js")
_ACCOUNT = re.compile(r"(?:^|/)data/(?:manifest|account)\.js$")
_POST_TYPES = ("tweets", "tweet", "communityTweet")


@dataclass
class _Members:
    """The members of one archive that are read."""

    folder: str  # ends with "/", or is ""
    posts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def recognises(place: Place) -> bool:
    """Tell whether a place has the files of an X archive."""
    return any(_POSTS.fullmatch(_base(name)) for name in place.names) or any(
        _ACCOUNT.search(name) for name in place.names
    )


def read(place: Place, journal: Journal) -> Content:
    """Read the account, the notes and the layout now, the posts as they are asked for."""
    members = _find_members(place)
    manifest = _object(place, members.folder + "manifest.js")
    _add_listed(members, manifest, place, journal)
    owner = _read_owner(place, members.folder, manifest, journal)
    notes = Notes(chain.from_iterable(_entries(place, name, journal) for name in members.notes))
    name = _layout(place, members)
    return Content(name, _posts(place, members, owner, notes, journal))


def _find_members(place: Place) -> _Members:
    """Find the members by name, whether or not a manifest lists them."""
    names = [name for name in place.names if not name.startswith("__MACOSX/")]
    posts = [name for name in names if _POSTS.fullmatch(_base(name))]
    known = posts or [name for name in names if _ACCOUNT.search(name)]
    folders = {name.removesuffix(_base(name)) for name in known}
    if len(folders) != 1:
        raise UnknownFormat(
            f"{place.path.name} holds {len(folders)} archives.",
            hint="Name each of them: mynah fetch <one> <other>",
        )
    folder = folders.pop()
    notes = [n for n in names if n.startswith(folder) and _NOTES.fullmatch(n[len(folder) :])]
    return _Members(folder, sorted(posts, key=_part), sorted(notes, key=_part))


def _add_listed(
    members: _Members, manifest: dict[str, Any], place: Place, journal: Journal
) -> None:
    """Add what the manifest lists under another name; say what it lists and is not there."""
    journal.partial |= as_dict(manifest.get("archiveInfo")).get("isPartialArchive") is True
    for kind, found in ((_POST_TYPES, members.posts), (("noteTweet",), members.notes)):
        for file in _listed(manifest, kind):
            name = members.folder + _base(as_text(file.get("fileName")))
            if name not in place.names and file.get("count") not in ("0", 0):
                journal.partial = True
                journal.say(
                    f"{_base(name)} is listed in the manifest but is not in {place.path.name}: "
                    "if X gave you several zips, name them all."
                )
            elif name in place.names and name not in found:
                found.append(name)


def _listed(manifest: dict[str, Any], kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    types = as_dict(manifest.get("dataTypes"))
    for kind in kinds:
        for file in map(as_dict, as_list(as_dict(types.get(kind)).get("files"))):
            if _base(as_text(file.get("fileName"))):
                yield file


def _read_owner(place: Place, folder: str, manifest: dict[str, Any], journal: Journal) -> Owner:
    account = as_dict(_first(place, folder + "account.js").get("account"))
    profile = as_dict(_first(place, folder + "profile.js").get("profile"))
    info = as_dict(manifest.get("userInfo"))
    handle = as_text(account.get("username")) or as_text(info.get("userName")) or stem(place)
    journal.account(
        Account(
            handle=handle,
            name=as_text(account.get("accountDisplayName")) or as_text(info.get("displayName")),
            bio=as_text(as_dict(profile.get("description")).get("bio")),
            url=f"https://x.com/{handle}",
            own_archive=True,
        )
    )
    _read_avatar(place, folder, as_text(profile.get("avatarMediaUrl")), handle, journal)
    return Owner(handle, as_text(account.get("accountId")) or as_text(info.get("accountId")))


def _read_avatar(place: Place, folder: str, address: str, handle: str, journal: Journal) -> None:
    """Read the avatar, which lies in the archive under the account's number and the address's end.

    One that cannot be read is none: nobody misses a bot for its picture.
    """
    wanted = _base(address)
    names = (name for name in place.names if name.startswith(f"{folder}{AVATARS}/"))
    found = next((name for name in names if wanted and _base(name).endswith(wanted)), None)
    if found:
        with suppress(SourceError), BufferedReader(place.open(found)) as picture:
            journal.avatars.setdefault(handle, picture.read(LARGEST + 1))


def _layout(place: Place, members: _Members) -> str:
    if any(_base(name).startswith("tweets") for name in members.posts) or not members.posts:
        return "x-archive-2022"
    first = _first(place, members.posts[0])
    return "x-archive-2020" if "tweet" in first else "x-archive-2018"


def _posts(
    place: Place, members: _Members, owner: Owner, notes: Notes, journal: Journal
) -> Iterator[Post]:
    for name in members.posts:
        for entry in _entries(place, name, journal):
            # The files of 2018 and 2019 lack the object around the tweet.
            post = to_post(as_dict(entry.get("tweet", entry)), owner, "x-archive", journal)
            if post is not None:
                yield notes.join(post)
    notes.tell_unjoined(journal)


def _entries(place: Place, name: str, journal: Journal) -> Iterator[dict[str, Any]]:
    return array_entries(place.open(name, journal))


def _first(place: Place, name: str) -> dict[str, Any]:
    """Return the first entry of a member, empty where there is none."""
    if name not in place.names:
        return {}
    entries = array_entries(place.open(name))
    return next(entries, {})


def _object(place: Place, name: str) -> dict[str, Any]:
    return one_object(place.open(name)) if name in place.names else {}


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _part(name: str) -> tuple[str, int]:
    """Return a key that puts part 10 after part 9."""
    found = _POSTS.fullmatch(_base(name)) or _NOTES.fullmatch(_base(name))
    number = int(found[1]) if found and found[1] else 0
    return _base(name).removesuffix(".js").partition("-part")[0], number

"""The check before an upload: every file is opened, and none may hold what is private."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mynah.config import GenerationConfig
from mynah.copying import CopyIndex, words_of
from mynah.errors import UnsafeUpload
from mynah.file_texts import texts
from mynah.personal_data import emails
from mynah.published import goes_up
from mynah.records import read_rows
from mynah.run_folder import RunFolder

_FEWEST = 3  # words that make a text somebody's; shorter ones everybody writes
_SHORTEST_SECRET = 12  # characters; what is shorter may stand anywhere by chance

_TOKENS = re.compile(
    r"(?<![\w-])(hf_\w{20,}|api_org_\w{20,}|gh[opsru]_\w{30,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
    r"|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}|[Bb]earer\s+[\w.~+/%-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY)"
)
_PATHS = re.compile(
    r"(?<![\w/:.~-])(/(home|Users|root|tmp|var|private|mnt|media|opt|srv|Volumes)/[\w.@+-]"
    r"|~/[\w.]|file://)|(?<!\w)[A-Za-z]:\\[\w.@+ -]"
)
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|KEY", re.IGNORECASE)

_HINTS = {
    "a real post": "Draw other posts and try again: mynah say {bot}",
    "a sample that repeats a real post": "Draw other posts and try again: mynah say {bot}",
    "an e-mail address": "Replace it in the posts and the names, and make the bot again.",
}
_HINT = "Take it out, then push again."


@dataclass(frozen=True, kw_only=True)
class Private:
    """What must not leave the machine."""

    posts: CopyIndex  # as fetched and as cleaned
    copies: CopyIndex  # samples that repeat one of them
    public: CopyIndex  # what the card says of every bot, and the names on it
    handles: frozenset[str]
    secrets: tuple[str, ...]
    places: tuple[str, ...]


def gather(folder: RunFolder, *, token: str | None, public: Iterable[str]) -> Private:
    """Collect what must not leave the machine with a bot.

    Args:
        folder: the bot's.
        token: the login that is used for the upload.
        public: texts that stand on every card.
    """
    accounts = folder.read_run()["accounts"]
    names = [account.get("name") or "" for account in accounts]
    return Private(
        posts=CopyIndex(_texts_in(folder.posts, folder.cleaned, folder.dropped)),
        copies=CopyIndex(_copied_samples(folder)),
        public=CopyIndex([*public, *names]),
        handles=frozenset(account["handle"].lower() for account in accounts),
        secrets=tuple(_secrets(token)),
        places=tuple(_places(folder)),
    )


def _texts_in(*files: Path) -> list[str]:
    texts = {row["text"]: None for file in files if file.exists() for row in read_rows(file)}
    return list(texts)


def _copied_samples(folder: RunFolder) -> list[str]:
    learned, limits = CopyIndex(_texts_in(folder.cleaned)), GenerationConfig()
    return [text for text in _texts_in(folder.samples) if learned.overlap(text).is_copy(limits)]


def _secrets(token: str | None) -> Iterator[str]:
    """Yield the login, and whatever the environment calls a secret."""
    named = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    yield from (each for each in (token, *named) if each and len(each) >= _SHORTEST_SECRET)


def _places(folder: RunFolder) -> Iterator[str]:
    """Yield folders by their full path; one that is a single word may stand in any text."""
    for place in (Path.home(), Path.cwd(), folder.root, folder.root.parent):
        if len(place.absolute().parts) > 2:
            yield from {str(place.absolute()), str(place.resolve())}


def inspect(root: Path, private: Private, bot: str) -> None:
    """Open every file that is to be uploaded.

    Args:
        root: the folder that is to be uploaded.
        private: what must not leave the machine.
        bot: its name, for the hint.

    Raises:
        UnsafeUpload: a file holds what must not leave, or is no part of a bot.
    """
    for path in sorted(path for path in root.rglob("*") if not path.is_dir()):
        name = path.relative_to(root).as_posix()
        if found := _found(path, name, private):
            raise UnsafeUpload(
                f"{name} holds {found}, so nothing was uploaded.",
                hint=_HINTS.get(found, _HINT).format(bot=bot),
            )


def _found(path: Path, name: str, private: Private) -> str | None:
    """Return what a file holds that must not leave, or None."""
    if not goes_up(name) or path.is_symlink():
        return "what is no part of a published bot"
    try:
        kinds = (_kind(text, private) for text in texts(path))
        return next((kind for kind in kinds if kind), None)
    except (ValueError, TypeError, LookupError, RecursionError, struct.error, zlib.error):
        return "bytes that do not belong there"


def _kind(text: str, private: Private) -> str | None:
    """Return what kind of private thing a text holds, or None."""
    if _TOKENS.search(text) or _has(text, private.secrets):
        return "an access token"
    if any(email.lstrip("@").lower() not in private.handles for email in emails(text)):
        return "an e-mail address"
    if _PATHS.search(text) or _has(text, private.places):
        return "a path of this machine"
    if len(words_of(text)) < _FEWEST:
        return None
    own = _own_lines(text, private.public)
    if _repeats(own, private.posts):
        return "a real post"
    return "a sample that repeats a real post" if _repeats(own, private.copies) else None


def _has(text: str, any_of: Sequence[str]) -> bool:
    return any(each in text for each in any_of)


def _own_lines(text: str, public: CopyIndex) -> list[str]:
    """Return the lines that do not stand on every card; a line of a word or two proves nothing."""
    overlaps = ((line, public.overlap(line)) for line in text.splitlines())
    return [line for line, found in overlaps if found.share < 1 or found.words < _FEWEST]


def _repeats(lines: Sequence[str], index: CopyIndex) -> bool:
    """Tell whether a line is a text of the index, or the lines hold a long run of one."""
    for line in lines:
        overlap = index.overlap(line)
        if overlap.same and overlap.words >= _FEWEST:
            return True
    run = index.tracker().read("\n".join([*lines, ""]))
    return run >= GenerationConfig().copied_words

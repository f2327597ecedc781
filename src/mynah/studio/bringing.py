"""The first step: posts come in and are counted, for one session alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.card_metadata import cleaned_of
from mynah.cleaning import read_cleaned, read_dropped
from mynah.config import CleaningConfig, FetchConfig
from mynah.dataset import enough
from mynah.errors import BotExists, SourceNotFound
from mynah.evaluation.texts import spread
from mynah.parentage import parents_of, told
from mynah.run_folder import RunFolder, open_bot
from mynah.stages import clean_posts, fetch_posts
from mynah.studio.rights import Rights

Json = dict[str, Any]

_EXAMPLES = 8
_DROPPED = 3  # examples of each reason
_ACCOUNT = re.compile(r"(bluesky:|community:|mastodon:@?[\w.-]+@)@?[\w.-]+")


class Heard:
    """A watch that keeps the sentences."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep one."""
        self.sentences.append(sentence)

    def begin(self, what: str, total: float | None = None) -> None:
        """Show nothing."""

    def advance(self, done: float, note: str = "") -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person brings, and how the bot is to be called."""

    files: Sequence[Path] = ()
    accounts: str = ""  # apart by spaces, commas or lines
    name: str = ""
    anew: bool = False  # an own bot of that name may go


def bring(
    rights: Rights, session: str, wish: Wish, fetch: FetchConfig, clean: CleaningConfig
) -> tuple[RunFolder, list[str]]:
    """Read and clean what a person brings; return the bot's folder and what there is to say.

    It is read apart from the bots, and takes its place among them when all of it went well.

    Raises:
        SourceError: it cannot be read.
        TooFewPosts: nobody could learn a voice from it.
        BotExists: there is a bot of that name.
    """
    sources = [*map(str, wish.files), *accounts_named(wish.accounts)]
    if not sources:
        raise SourceNotFound(
            "There is nothing to read yet.", hint="Drop an archive, or name an account."
        )
    watch, apart = Heard(), rights.bots / ".studio" / "drafts" / session
    try:
        name = wish.name.strip() or None
        draft = fetch_posts(apart, sources, fetch, name=name, replace=True, watch=watch)
        cleaned = clean_posts(draft, clean, watch=watch)
        if warning := enough(cleaned.characters, clean):
            watch.say(warning)
        folder = _move_in(draft, rights, session, wish.anew)
    finally:
        shutil.rmtree(apart, ignore_errors=True)
    return folder, watch.sentences


def accounts_named(words: str) -> list[str]:
    """Return the accounts that a person named; a path is none, for the page reads no files.

    Raises:
        SourceNotFound: a word names no account.
    """
    found = [word for word in re.split(r"[\s,]+", words) if word]
    for word in found:
        if not _ACCOUNT.fullmatch(word):
            raise SourceNotFound(
                f"'{word}' names no account.",
                hint="Write bluesky:name.example, mastodon:name@server or community:name.",
            )
    return found


def _move_in(draft: RunFolder, rights: Rights, session: str, anew: bool) -> RunFolder:
    folder = open_bot(rights.bots, draft.name)
    if folder.root.exists():
        own = rights.owns(folder.name, session)
        if not own or (folder.adapter.exists() and not anew):
            other = ", or allow to replace it" if own else ""
            raise BotExists(
                f"There is a bot '{folder.name}' already.", hint=f"Choose another name{other}."
            )
        with folder.lock():  # not while it is being trained
            shutil.rmtree(folder.root)
    draft.root.rename(folder.root)
    rights.claim(folder.name, session)
    return folder


def what_is_there(folder: RunFolder) -> Json:
    """Return what the page shows of a bot's posts: counts, examples, and reasons with theirs."""
    run = folder.read_run()
    folder.require(folder.cleaned)
    dropped: dict[str, list[str]] = {}
    for each in read_dropped(folder.dropped):
        dropped.setdefault(each.reason, []).append(each.text)
    kept = [post.text for post in read_cleaned(folder.cleaned)]
    strangers = [a["handle"] for a in run["accounts"] if not a.get("own_archive")]
    return {
        "name": folder.name,
        "origin": _origin(folder),
        "accounts": run["accounts"],
        "counts": cleaned_of(run),
        "examples": spread(kept, _EXAMPLES),
        "dropped": {reason: texts[:_DROPPED] for reason, texts in dropped.items()},
        "strangers": strangers,
    }


def _origin(folder: RunFolder) -> str:
    """Say where a bot's posts came from: a blend has those of its bots."""
    if parents := parents_of(folder):
        return f"blended of {told({parent.name: parent.weight for parent in parents})}"
    return f"read as {folder.stage_record('fetch')['result']['format']}"

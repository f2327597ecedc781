"""Asking for what is new: the posts that a bot's accounts have written since its last fetch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mynah.config import FetchConfig
from mynah.deletions import LISTED, Listing
from mynah.errors import BotBusy, EmptySource, SettingsError
from mynah.parentage import refuse_blend
from mynah.records import Post, post_to_json
from mynah.run_folder import RunFolder, hash_tree, write_rows
from mynah.sources import Fetched, Known, Trip, lasting, read_all, remote_of
from mynah.stages import counted, stage
from mynah.waiting_room import known_posts, merged, pages_of, waiting
from mynah.watch import Nobody, Watch


@dataclass(frozen=True, kw_only=True)
class News:
    """What the sources of a bot have now that it had not, and the other way round."""

    new: int
    gone: int = 0  # posts that it has and its source has no more; 0 where nobody looked


def update_posts(
    folder: RunFolder,
    config: FetchConfig,
    *,
    sources: Sequence[str] = (),
    whole: bool = False,
    forget: bool = False,
    watch: Watch | None = None,
) -> News:
    """Ask the services that a bot's posts came from for newer ones.

    Later stages keep what they made: the hashes in run.json tell that it is of fewer posts.

    Args:
        folder: the bot's.
        config: how to read.
        sources: where to look instead, as in a newer archive of the same account.
        whole: list all posts, where that costs nothing but time, to find out which are gone.
        forget: take those away.
        watch: looks on.

    Raises:
        SettingsError: the posts came from files alone, and no source is named.
        BotBusy: something else has changed the posts meanwhile.
    """
    watch = watch or Nobody()
    posts = folder.require(folder.posts)
    refuse_blend(folder, "update")
    record, before = folder.stage_record("fetch"), hash_tree(posts)
    asked, known = list(sources) or _remotes(folder, record), known_posts(posts)
    named = ("update", folder.name, *asked)
    with waiting(folder.root.parent, named, config.keep_hours) as wait:
        stops = {key: each for key, each in known.items() if not (whole and key[0] in LISTED)}
        fetched = read_all(asked, config, Trip(pages=pages_of(wait), watch=watch, known=stops))
        listing = Listing(everything=config.max_posts is None and all(map(remote_of, asked)))
        came = listing.seeing(_what_comes(fetched, watch))
        new = [post for post in came if not _has(known, post)]
        gone = listing.gone(posts) if whole and not fetched.partial else 0
        with stage(folder, "fetch", config, ()) as made:
            if hash_tree(posts) != before:
                raise BotBusy(
                    f"The posts of '{folder.name}' were changed meanwhile.",
                    hint=f"Run again: mynah fetch --update {folder.name}",
                )
            drop = gone > 0 and forget
            kept = (post for post in merged(posts, new) if not (drop and listing.lacks(post)))
            count = write_rows(posts, map(post_to_json, kept))
            made["inputs"] = record["inputs"] | fetched.input_hashes()
            made["outputs"] = [posts]
            consents = [consent.to_json() for consent in fetched.consents]
            made["top"] = {"consents": [*folder.read_run().get("consents", []), *consents]}
            made["result"] = {**record["result"], "posts": count, "new": len(new)}
            lasts = [lasting(spec) for spec in asked]
            made["more"] = {"sources": list(dict.fromkeys([*record["sources"], *lasts]))}
    for notice in fetched.notices:
        watch.say(notice)
    return News(new=len(new), gone=gone)


def _has(known: Mapping[tuple[str, str], Known], post: Post) -> bool:
    """Tell whether a bot has a post already: files hold the old ones too."""
    own = known.get((post.source, post.author.lower()))
    return own is not None and post.id in own.ids


def _remotes(folder: RunFolder, record: Mapping[str, Any]) -> list[str]:
    remotes = [spec for spec in record.get("sources", ()) if remote_of(spec)]
    if not remotes:
        raise SettingsError(
            f"The posts of '{folder.name}' came from files, which do not grow.",
            hint=f"Fetch the new files: mynah fetch <archive> --name {folder.name} --replace",
        )
    return remotes


def _what_comes(fetched: Fetched, watch: Watch) -> Iterator[Post]:
    """Yield what the services give; nothing new is no error here."""
    with suppress(EmptySource):
        yield from counted(fetched, watch)


def named_bot(names: Sequence[str]) -> str:
    """Return the one bot that is to be updated.

    Raises:
        SettingsError: there are several names.
    """
    if len(names) != 1:
        raise SettingsError("--update takes one bot.", hint="Run: mynah fetch --update <bot>")
    return names[0]


def saved_settings(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Return the settings that a bot was fetched with, but for a word, which is given each time."""
    refuse_blend(folder, "update")
    saved = dict(folder.stage_record("fetch")["config"])
    saved.pop("i_have_the_right_to", None)
    return {"fetch": saved}

"""Asking for what is new: the posts that a bot's accounts have written since its last fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mynah.config import FetchConfig
from mynah.errors import BotBusy, EmptySource, SettingsError
from mynah.parentage import refuse_blend
from mynah.records import Post, post_to_json
from mynah.run_folder import RunFolder, hash_tree, write_rows
from mynah.sources import Fetched, Known, Trip, lasting, read_all, remote_of
from mynah.stages import counted, stage
from mynah.waiting_room import known_posts, merged, pages_of, waiting
from mynah.watch import Nobody, Watch


def update_posts(
    folder: RunFolder,
    config: FetchConfig,
    *,
    sources: Sequence[str] = (),
    watch: Watch | None = None,
) -> int:
    """Ask the services that a bot's posts came from for newer ones; return how many there were.

    Later stages keep what they made: the hashes in run.json tell that it is of fewer posts.

    Args:
        folder: the bot's.
        config: how to read.
        sources: where to look instead, as in a newer archive of the same account.
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
        trip = Trip(pages=pages_of(wait), watch=watch, known=known)
        fetched = read_all(asked, config, trip)
        new = [post for post in _new_ones(fetched, watch) if not _has(known, post)]
        with stage(folder, "fetch", config, ()) as made:
            if hash_tree(posts) != before:
                raise BotBusy(
                    f"The posts of '{folder.name}' were changed meanwhile.",
                    hint=f"Run again: mynah fetch --update {folder.name}",
                )
            count = write_rows(posts, map(post_to_json, merged(posts, new)))
            made["inputs"] = record["inputs"] | fetched.input_hashes()
            made["outputs"] = [posts]
            consents = [consent.to_json() for consent in fetched.consents]
            made["top"] = {"consents": [*folder.read_run().get("consents", []), *consents]}
            made["result"] = {**record["result"], "posts": count, "new": len(new)}
            lasts = [lasting(spec) for spec in asked]
            made["more"] = {"sources": list(dict.fromkeys([*record["sources"], *lasts]))}
    for notice in fetched.notices:
        watch.say(notice)
    return len(new)


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


def _new_ones(fetched: Fetched, watch: Watch) -> list[Post]:
    """Return what the services gave; nothing new is no error here."""
    try:
        return list(counted(fetched, watch))
    except EmptySource:
        return []


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

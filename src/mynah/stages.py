"""Each stage as one function: read one file of the bot's folder, write the next, record it.

A stage may be run again alone. It holds the bot's lock while it works and replaces its file whole.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mynah import __version__, languages
from mynah.avatars import keep_avatars
from mynah.card import write_card
from mynah.chronicle import tell
from mynah.cleaning import Cleaned, clean, cleaned_to_json, dropped_to_json
from mynah.config import CleaningConfig, FetchConfig
from mynah.dataset import enough, joined_name
from mynah.errors import BotExists
from mynah.parentage import PLACE, refuse_blend
from mynah.records import Account, Post, post_to_json, read_posts
from mynah.run_folder import RunFolder, hash_tree, open_bot, write_rows
from mynah.sources import Fetched, Trip, lasting, read_all
from mynah.tracking import Tracker, safe_name
from mynah.waiting_room import pages_of, waiting
from mynah.watch import Nobody, Watch, bar


@contextmanager
def stage(
    folder: RunFolder,
    name: str,
    config: Any,
    inputs: Sequence[Path],
    *,
    tracker: Tracker | None = None,
    wait: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """Lock the bot, time the stage, and record settings, hashes and result when it ends well.

    The block fills the yielded dictionary: `result`, `outputs` (paths) and, where it likes, `top`.
    A bot that another process holds is waited for, `wait` seconds at most.
    """
    with folder.lock(wait):
        start = time.monotonic()
        made: dict[str, Any] = {"result": {}, "outputs": [], "top": {}, "inputs": {}}
        made |= {"config": asdict(config) if config else {}, "run": run_id(folder, name)}
        made["more"] = {}
        read = {path.name: hash_tree(path) for path in inputs}
        try:
            yield made
        except BaseException:
            if tracker is not None:
                tracker.end(finished=False)
            raise
        used = versions()
        folder.record(
            name,
            top={"versions": used, **made["top"]},
            seconds=round(time.monotonic() - start, 2),
            versions=used,
            run=made["run"],
            config=made["config"],
            inputs={**read, **made["inputs"]},
            outputs={path.name: hash_tree(path) for path in made["outputs"]},
            result=made["result"],
            **made["more"],
        )
        if tracker is not None:
            tell(tracker, folder, name)


def run_id(folder: RunFolder, stage: str) -> str:
    """Return a name for one run of a stage, unlike any other."""
    return safe_name(f"{folder.name}-{stage}-{secrets.token_hex(4)}")


def versions() -> dict[str, str]:
    """Return the versions that a bot's numbers depend on, of what is installed."""
    from importlib.metadata import PackageNotFoundError, version

    known = {"mynah": __version__, "python": platform.python_version()}
    for name in ("torch", "transformers", "xllamacpp"):
        with suppress(PackageNotFoundError):
            known[name] = version(name)
    return known


def fetch_posts(
    bots: Path,
    sources: Sequence[str],
    config: FetchConfig,
    *,
    name: str | None = None,
    replace: bool = False,
    watch: Watch | None = None,
    tracker: Tracker | None = None,
) -> RunFolder:
    """Read sources into a bot's posts.jsonl; the bot's name is the accounts' unless given.

    Raises:
        SourceError: nothing could be read.
        BotExists: there is such a bot, and `replace` is not set.
    """
    watch = watch or Nobody()
    if name is not None:  # known to be taken before minutes of reading
        _refuse_existing(open_bot(bots, name), replace)
    with waiting(bots, sources, config.keep_hours) as wait:
        trip = Trip(pages=pages_of(wait), watch=watch)
        fetched = read_all(sources, config, trip)
        count = write_rows(wait.posts, map(post_to_json, counted(fetched, watch)))
        accounts = fetched.accounts
        folder = open_bot(bots, name or joined_name(a.handle for a in accounts))
        _refuse_existing(folder, replace)
        with stage(folder, "fetch", config, (), tracker=tracker) as made:
            _refuse_existing(folder, replace)  # another fetch may have been faster
            wait.posts.replace(folder.posts)
            _forget_later_stages(folder)
            made["inputs"] = fetched.input_hashes()
            made["outputs"] = [folder.posts]
            keep_avatars(folder.avatars, fetched.avatars)
            made["top"] = {
                "name": folder.name,
                "accounts": [asdict(account) for account in accounts],
                "consents": [consent.to_json() for consent in fetched.consents],
            }
            made["result"] = {
                "format": fetched.format,
                "posts": count,
                "skipped": fetched.skipped,
                "found": [asdict(each) for each in fetched.found],
            }
            made["more"] = {"sources": [lasting(spec) for spec in sources]}
    for sentence in (*map(str, fetched.found), *fetched.notices):
        watch.say(sentence)
    return folder


def counted(fetched: Fetched, watch: Watch) -> Iterator[Post]:
    """Yield the posts and show how many there were."""
    with bar(watch, "Reading posts"):
        for number, post in enumerate(fetched.posts, start=1):
            if number % 1_000 == 0:
                watch.advance(number, f"{number:,} posts")
            yield post


def _refuse_existing(folder: RunFolder, replace: bool) -> None:
    if (folder.posts.exists() or folder.run.exists()) and not replace:
        raise BotExists(
            f"There is a bot '{folder.name}' already.",
            hint="Choose another --name, make it anew with --replace, "
            f"or go on with: mynah train {folder.name} --resume",
        )


def _forget_later_stages(folder: RunFolder) -> None:
    """Take away what was made of other posts; run.json forgets it with the new record."""
    if folder.run.exists():
        folder.run.unlink()
    exports = folder.root.glob(f"{folder.model.name}-*")
    for path in (folder.checkpoints, folder.adapter, folder.model, folder.root / PLACE, *exports):
        shutil.rmtree(path, ignore_errors=True)
    shown = (folder.samples, folder.report, folder.page, folder.quiz, folder.card)
    pictures = (folder.preview, folder.preview_page)
    for path in (folder.cleaned, folder.dropped, *shown, *pictures):
        path.unlink(missing_ok=True)


def clean_posts(
    folder: RunFolder,
    config: CleaningConfig,
    *,
    watch: Watch | None = None,
    tracker: Tracker | None = None,
) -> Cleaned:
    """Decide on every post of posts.jsonl; write cleaned.jsonl and dropped.jsonl."""
    watch = watch or Nobody()
    refuse_blend(folder, "clean")
    posts = folder.require(folder.posts)
    accounts = [Account(**row) for row in folder.read_run()["accounts"]]
    with stage(folder, "clean", config, [posts], tracker=tracker) as made:
        with bar(watch, "Cleaning"):
            cleaned = clean(read_posts(posts), config, accounts=accounts)
            spoken = languages.shares(cleaned.selected)
        write_rows(folder.cleaned, map(cleaned_to_json, cleaned.selected))
        write_rows(folder.dropped, map(dropped_to_json, cleaned.dropped))
        made["outputs"] = [folder.cleaned, folder.dropped]
        made["result"] = {
            **cleaned.table(),
            "characters": cleaned.characters,
            "languages": {code: round(share, 3) for code, share in spoken.items()},
        }
    return cleaned


def card_bot(folder: RunFolder) -> Path:
    """Write the bot's card from what its folder holds."""
    if not folder.pulled_from:
        folder.require(folder.posts)
    told_of = [path for path in (folder.adapter, folder.report) if path.exists()]
    with stage(folder, "card", None, told_of) as made:
        card = write_card(folder)
        made["outputs"] = [card]
    return card


def check_enough(folder: RunFolder, known: Sequence[str], *, watch: Watch | None = None) -> None:
    """Say so where the posts are few, or in a language that the base does not know.

    Raises:
        TooFewPosts: nobody could learn a voice from them.
    """
    watch = watch or Nobody()
    record = folder.stage_record("clean")
    warning = enough(record["result"]["characters"], CleaningConfig(**record["config"]))
    if warning:
        watch.say(warning)
    spoken: Mapping[str, float] = record["result"]["languages"]
    if languages.unknown_to(known, spoken):
        most = ", ".join(f"{code} {share:.0%}" for code, share in spoken.items())
        watch.say(
            f"Most posts are in a language that the base does not know ({most}). "
            f"{languages.multilingual_hint()}"
        )


def training_key(*parts: Any) -> str:
    """Return one hash of everything that the trained weights depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

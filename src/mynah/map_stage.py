"""A map of some bots: what each needs for the others' posts, measured once and remembered.

bots/.map/<hash of a bot>.json    bits of posts, by their hashes: no text stands in it
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mynah.attribution_stage import check_bots, choose, weigh
from mynah.bases import find_bots_base
from mynah.cleaning import read_cleaned
from mynah.config import MapConfig
from mynah.errors import BotError, SettingsError
from mynah.evaluation.texts import spread
from mynah.map_page import map_figure, map_text
from mynah.run_folder import RunFolder, hash_tree, read_json, replacing, write_bytes, write_json
from mynah.telling_words import telling_words
from mynah.voice_map import VoiceMap, lay_out
from mynah.watch import Nobody, Watch

Bits = dict[str, float]  # of posts by their hashes

_SPOKEN = 500  # posts of each bot that name its group, so that no large one speaks for the others


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A map, and the files that show it."""

    map: VoiceMap
    page: Path
    picture: Path
    measured: int  # posts that a bot was asked for; the others were remembered


def map_bots(
    bots: Path, folders: Sequence[RunFolder], config: MapConfig, *, watch: Watch | None = None
) -> Drawn:
    """Find out how far apart some voices are, and draw them.

    Args:
        bots: where what is measured is remembered.
        folders: the bots, all of one base.
        config: how many posts, and where the files go.
        watch: looks on.

    Raises:
        SettingsError: there are fewer than two bots, or of several bases, or with the same posts.
        StageMissing: a bot has not been trained, or its posts have been cleaned anew since.
    """
    check_bots(folders, 2)
    base = _one_base(folders)
    posts = choose(folders, config.posts, config.seed)
    memory = bots / ".map"
    bits, measured = _measure(memory, folders, posts, watch or Nobody())
    _forget(memory, config.keep_days)
    names = [folder.name for folder in folders]
    found = _named(lay_out(names, base, posts, bits, seed=config.seed), folders, config)
    place = Path(config.output) if config.output else bots
    page, picture = place / "map.html", place / "map.png"
    write_bytes(picture, map_figure(found))
    with replacing(page) as text:
        text.write(map_text(found))
    return Drawn(map=found, page=page, picture=picture, measured=measured)


def _one_base(folders: Sequence[RunFolder]) -> str:
    """Return the name of the bots' base.

    Raises:
        SettingsError: they have several.
    """
    groups: dict[str, list[RunFolder]] = {}
    for folder in folders:
        groups.setdefault(find_bots_base(folder).info.sha256, []).append(folder)
    if len(groups) > 1:
        most = max(groups.values(), key=len)
        fit = " ".join(folder.name for folder in most)
        raise SettingsError(
            f"These bots are of {len(groups)} different bases, and a map would show those "
            "instead of the voices.",
            hint=f"Of one base: mynah map {fit}" if len(most) > 1 else "Name bots of one base.",
        )
    return find_bots_base(folders[0]).info.name


def _measure(
    memory: Path, folders: Sequence[RunFolder], posts: Sequence[Sequence[str]], watch: Watch
) -> tuple[list[list[list[float]]], int]:
    """Return the bits of every bot for everybody's posts, and how many had to be measured."""
    marks = {text: hashlib.sha256(text.encode()).hexdigest() for own in posts for text in own}
    files = [memory / f"{_mark_of(folder)}.json" for folder in folders]
    known = [_remembered(file) for file in files]
    missing = [[text for text, mark in marks.items() if mark not in own] for own in known]
    costs = weigh(folders, missing, False, watch)
    for file, own, texts, cost in zip(files, known, missing, costs, strict=True):
        if texts:
            own.update((marks[text], bits) for text, bits in zip(texts, cost.bits, strict=True))
            write_json(file, own)
        else:
            with suppress(OSError):  # somebody else's map has just forgotten it
                os.utime(file)
    bits = [[[own[marks[text]] for text in each] for each in posts] for own in known]
    return bits, sum(map(len, missing))


def _forget(memory: Path, keep_days: float) -> None:
    """Take away what no map has used for so long: its bot is gone, or has learned on since.

    Whoever draws another map meanwhile has read it by now, or measures it anew.
    """
    oldest = time.time() - keep_days * 86_400
    for file in memory.glob("*"):
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()


def _mark_of(folder: RunFolder) -> str:
    """Return what a bot's answers depend on, hashed: what it learned, and its base."""
    whole = f"{find_bots_base(folder).info.sha256} {hash_tree(folder.adapter)}"
    return hashlib.sha256(whole.encode()).hexdigest()


def _remembered(file: Path) -> Bits:
    """Return what was measured before; a damaged file is measured anew."""
    try:
        found = read_json(file) if file.exists() else {}
    except BotError:
        return {}
    return {mark: float(bits) for mark, bits in found.items() if isinstance(bits, int | float)}


def _named(found: VoiceMap, folders: Sequence[RunFolder], config: MapConfig) -> VoiceMap:
    """Return the map with the words of each group, from the posts of its bots."""
    own = [
        spread([post.text for post in read_cleaned(folder.cleaned)], _SPOKEN) for folder in folders
    ]
    posts = [[text for at in group.bots for text in own[at]] for group in found.groups]
    words = telling_words(posts, config.words)
    groups = zip(found.groups, words, strict=True)
    return replace(found, groups=tuple(replace(group, words=tuple(each)) for group, each in groups))

"""The drift of a bot's voices: each one's posts by month, and what the held-out ones cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.attribution_stage import weigh
from mynah.cleaning import CleanPost, read_cleaned
from mynah.config import DatasetConfig, DriftConfig, build
from mynah.drift import Drift, HeldMonth, compare_months, cost_months
from mynah.drift_page import drift_figure, drift_text
from mynah.errors import SettingsError
from mynah.evaluation.texts import spread
from mynah.held_out import read_split, split_of_training
from mynah.parentage import parents_of
from mynah.run_folder import RunFolder, hash_tree, replacing, write_bytes
from mynah.versions import version_of, versions_of
from mynah.watch import Nobody, Watch

_MONTH = len("2023-04")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The drift of each voice of a bot, and the files that show it."""

    bot: str
    drifts: tuple[Drift, ...]
    left_out: tuple[str, ...]  # voices that were not followed
    page: Path
    picture: Path

    def to_json(self) -> dict[str, Any]:
        """Return what `mynah drift --json` prints."""
        return {
            "bot": self.bot,
            "voices": [drift.to_json() for drift in self.drifts],
            "left_out": list(self.left_out),
            "page": str(self.page),
            "picture": str(self.picture),
        }


@dataclass(frozen=True, kw_only=True)
class _Voice:
    """The posts of one author that have a date."""

    name: str
    texts: list[str]
    months: list[str]  # of each post
    unseen: list[bool]  # whether the bot has not learned from it
    undated: int

    def held_out(self, most: int) -> list[tuple[str, str]]:
        """Return held-out posts and their months, at most so many of a month."""
        by_month: dict[str, list[str]] = {}
        for text, month, new in zip(self.texts, self.months, self.unseen, strict=True):
            if new:
                by_month.setdefault(month, []).append(text)
        return [(text, month) for month, own in by_month.items() for text in spread(own, most)]


def has_months(folder: RunFolder) -> bool:
    """Tell whether an author's posts are of two months or more."""
    return any(len(set(voice.months)) > 1 for voice in _voices(folder, set()))


def draw_drift(folder: RunFolder, config: DriftConfig, *, watch: Watch | None = None) -> Drawn:
    """Find out how each voice of a bot changes over months, and draw it.

    Raises:
        StageMissing: the bot has not been trained, or its posts have been cleaned anew since.
        SettingsError: no post has a date, all of a voice are of one month, or none was held out.
        BotBusy: another process works on the bot.
    """
    folder.require(folder.adapter)
    folder.require(folder.cleaned)
    held = {(each.author, each.text) for each in split_of_training(folder).held_out}
    voices = _voices(folder, held)
    _check_months(folder, {month for voice in voices for month in voice.months})
    followed = [voice for voice in voices if len(set(voice.months)) > 1][: config.voices]
    if not followed:
        raise SettingsError(
            f"Each account of bot '{folder.name}' has posts of one month alone.",
            hint=f"Ask for newer ones: mynah update {_learner(folder)}",
        )
    costs = _held(folder, followed, config, watch or Nobody())
    drifts = tuple(
        Drift(
            voice=voice.name,
            months=compare_months(voice.texts, voice.months, voice.unseen, config),
            held=cost,
            undated=voice.undated,
        )
        for voice, cost in zip(followed, costs, strict=True)
    )
    names = {voice.name for voice in followed}
    left_out = tuple(voice.name for voice in voices if voice.name not in names)
    return _written(folder, drifts, left_out)


def _voices(folder: RunFolder, held: Collection[tuple[str, str]]) -> list[_Voice]:
    """Return every author's posts on their own, those with the most first.

    Two people differ all the time: months that mix them would tell who was busy when.
    """
    by_author: dict[str, list[CleanPost]] = {}
    for post in read_cleaned(folder.require(folder.cleaned)):
        by_author.setdefault(post.author, []).append(post)
    found = []
    for author, posts in by_author.items():
        dated = [(post.text, post.created_at[:_MONTH]) for post in posts if post.created_at]
        texts, months = [text for text, _ in dated], [month for _, month in dated]
        unseen = [(author, text) in held for text in texts]
        undated = len(posts) - len(dated)
        found.append(
            _Voice(name=author, texts=texts, months=months, unseen=unseen, undated=undated)
        )
    return sorted(found, key=lambda voice: -len(voice.texts))


def _check_months(folder: RunFolder, months: set[str]) -> None:
    if not months:
        own = _learner(folder)
        raise SettingsError(
            f"No post of bot '{folder.name}' has a date, so there are no months to compare.",
            hint=f"Archives have dates: mynah fetch <archive> --name {own} --replace",
        )
    if len(months) == 1:
        raise SettingsError(
            f"All posts of bot '{folder.name}' are of one month, {min(months)}.",
            hint=f"Ask for newer ones: mynah update {_learner(folder)}",
        )


def _learner(folder: RunFolder) -> str:
    """Return the bot that can get other posts: of a blend, one that it is made of."""
    return next((parent.name for parent in parents_of(folder)), folder.name)


def _held(
    folder: RunFolder, voices: Sequence[_Voice], config: DriftConfig, watch: Watch
) -> list[tuple[HeldMonth, ...]]:
    """Return what the held-out posts of each voice cost; every reader is asked once for all."""
    posts = [voice.held_out(config.posts) for voice in voices]
    texts = [text for own in posts for text, _ in own]
    if not texts:
        return [()] * len(voices)
    names = {"bot": folder} | _versions(folder, texts, config.versions)
    costs = weigh(list(names.values()), [texts] * len(names), True, watch)
    bits = {"base": costs[0].base_bits}
    bits |= {name: cost.bits for name, cost in zip(names, costs, strict=True)}
    found, start = [], 0
    for own in posts:
        mine = {name: each[start : start + len(own)] for name, each in bits.items()}
        said, months = [text for text, _ in own], [month for _, month in own]
        found.append(cost_months(said, months, mine, config))
        start += len(own)
    return found


def _versions(folder: RunFolder, texts: Sequence[str], most: int) -> dict[str, RunFolder]:
    """Return the newest earlier versions that have learned from none of the posts."""
    found: dict[str, RunFolder] = {}
    for number in reversed(versions_of(folder)):
        version = version_of(folder, number)
        if len(found) < most and _can_be_asked(version, set(texts)):
            found[f"version {number}"] = version
    return found


def _can_be_asked(version: RunFolder, texts: set[str]) -> bool:
    trained = version.read_run()["stages"].get("train")
    if not (trained and version.adapter.exists() and version.cleaned.exists()):
        return False
    if trained["inputs"].get(version.cleaned.name) != hash_tree(version.cleaned):
        return False  # nobody knows what it has learned from
    parts = read_split(version, build(DatasetConfig, trained["config"]["dataset"]))
    return texts.isdisjoint(example.text for example in parts.train)


def _written(folder: RunFolder, drifts: tuple[Drift, ...], left_out: tuple[str, ...]) -> Drawn:
    page, picture = folder.root / "drift.html", folder.root / "drift.png"
    image, text = drift_figure(folder.name, drifts), drift_text(folder.name, drifts, left_out)
    with folder.lock():
        write_bytes(picture, image)
        with replacing(page) as file:
            file.write(text)
    return Drawn(bot=folder.name, drifts=drifts, left_out=left_out, page=page, picture=picture)

"""The drift of a bot's voice: its posts by month, and what the held-out ones cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mynah.attribution_stage import weigh
from mynah.cleaning import read_cleaned
from mynah.config import DatasetConfig, DriftConfig, build
from mynah.drift import Drift, HeldMonth, compare_months, cost_months
from mynah.drift_page import drift_figure, drift_text
from mynah.errors import SettingsError
from mynah.evaluation.texts import spread
from mynah.held_out import read_split, split_of_training
from mynah.run_folder import RunFolder, hash_tree, replacing, write_bytes
from mynah.versions import version_of, versions_of
from mynah.watch import Nobody, Watch

_MONTH = len("2023-04")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A drift, and the files that show it."""

    drift: Drift
    page: Path
    picture: Path


def has_months(folder: RunFolder) -> bool:
    """Tell whether a bot's posts are of two months or more."""
    posts = read_cleaned(folder.require(folder.cleaned))
    return len({post.created_at[:_MONTH] for post in posts if post.created_at}) > 1


def draw_drift(folder: RunFolder, config: DriftConfig, *, watch: Watch | None = None) -> Drawn:
    """Find out how a voice changes over months, and draw it.

    Raises:
        StageMissing: the bot has not been trained, or its posts have been cleaned anew since.
        SettingsError: no post has a date, all are of one month, or none was held out.
        BotBusy: another process works on the bot.
    """
    folder.require(folder.adapter)
    posts = list(read_cleaned(folder.require(folder.cleaned)))
    dated = [(post, post.created_at[:_MONTH]) for post in posts if post.created_at]
    _check_months(folder, {month for _, month in dated})
    held = {(each.author, each.text) for each in split_of_training(folder).held_out}
    texts, months = [post.text for post, _ in dated], [month for _, month in dated]
    unseen = [(post.author, post.text) in held for post, _ in dated]
    found = Drift(
        bot=folder.name,
        months=compare_months(texts, months, unseen, config),
        held=_held(folder, _capped(texts, months, unseen, config.posts), config, watch or Nobody()),
        undated=len(posts) - len(dated),
    )
    return _written(folder, found)


def _check_months(folder: RunFolder, months: set[str]) -> None:
    if not months:
        raise SettingsError(
            f"No post of bot '{folder.name}' has a date, so there are no months to compare.",
            hint=f"Archives have dates: mynah fetch <archive> --name {folder.name} --replace",
        )
    if len(months) == 1:
        raise SettingsError(
            f"All posts of bot '{folder.name}' are of one month, {min(months)}.",
            hint=f"Ask for newer ones: mynah update {folder.name}",
        )


def _capped(
    texts: Sequence[str], months: Sequence[str], unseen: Sequence[bool], most: int
) -> list[tuple[str, str]]:
    """Return held-out posts and their months, at most so many of a month."""
    by_month: dict[str, list[str]] = {}
    for text, month, new in zip(texts, months, unseen, strict=True):
        if new:
            by_month.setdefault(month, []).append(text)
    return [(text, month) for month, own in by_month.items() for text in spread(own, most)]


def _held(
    folder: RunFolder, posts: Sequence[tuple[str, str]], config: DriftConfig, watch: Watch
) -> tuple[HeldMonth, ...]:
    if not posts:
        return ()
    texts = [text for text, _ in posts]
    names = {"bot": folder} | _versions(folder, texts, config.versions)
    costs = weigh(list(names.values()), [texts] * len(names), True, watch)
    bits = {"base": costs[0].base_bits}
    bits |= {name: cost.bits for name, cost in zip(names, costs, strict=True)}
    return cost_months(texts, [month for _, month in posts], bits, config)


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


def _written(folder: RunFolder, found: Drift) -> Drawn:
    page, picture = folder.root / "drift.html", folder.root / "drift.png"
    image, text = drift_figure(found), drift_text(found)
    with folder.lock():
        write_bytes(picture, image)
        with replacing(page) as file:
            file.write(text)
    return Drawn(drift=found, page=page, picture=picture)

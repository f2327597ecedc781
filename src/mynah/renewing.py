"""Bots that keep learning: from what is new since, and only where that makes them better.

All of it happens beside the bot, in a second folder. The bot changes in the end, or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mynah.bot import load_bot
from mynah.cleaning import read_cleaned
from mynah.config import (
    CleaningConfig,
    DatasetConfig,
    FetchConfig,
    GenerationConfig,
    RenewalConfig,
    TrainingConfig,
    build,
)
from mynah.copying import CopyIndex
from mynah.curriculum import encode
from mynah.dataset import split
from mynah.errors import BotBusy, SettingsError
from mynah.generation import copied_unguarded
from mynah.loss import bits_per_byte, post_nats
from mynah.model_stages import train_bot
from mynah.run_folder import RunFolder, hash_tree, now, write_json
from mynah.stages import clean_posts
from mynah.torch_engine import TorchEngine
from mynah.updating import saved_settings, update_posts
from mynah.versions import adopt, forget_versions, keep_version, link, version_of, versions_of
from mynah.watch import Nobody, Watch, bar

# Report and samples were the old one's. What was pushed is still where it was pushed to.
_STAYS = ("fetch", "clean", "train", "push")
_FORGOTTEN = "it has learned anew without the posts that are gone"
_LONGEST, _BUDGET = 512, 2_048  # tokens of a post, and of those that are judged at once


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How well a bot knows the newest posts, and how often it repeats real ones unguarded."""

    bits_per_byte: float
    copied: float  # share of the posts drawn


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """What became of an update."""

    new_posts: int
    gone: int = 0  # posts that the bot had and their source has no more
    forgotten: bool = False  # those were taken out, and the bot has learned anew without them
    kept: bool
    why: str
    judged_on: int = 0  # held-out posts, the newest
    before: Voice | None = None
    after: Voice | None = None
    version: int | None = None  # under which what stood before is kept


def renew_bot(
    folder: RunFolder,
    config: RenewalConfig,
    *,
    sources: Sequence[str] = (),
    fetch: FetchConfig | None = None,
    watch: Watch | None = None,
) -> Renewal:
    """Fetch what is new, learn on from the adapter there is, and keep that where it is better.

    Better: fewer bits per byte on the newest posts, which neither of the two has learned from, and
    no larger share of copies among posts drawn without the copy guard.

    Where posts that are gone are to be forgotten, the adapter knows them still, and so do earlier
    versions: the bot learns anew from its base, takes the old one's place however it does, and
    the versions go.

    Args:
        folder: the bot's.
        config: how to learn on and to judge.
        sources: archives or files with newer posts (default: the accounts it came from).
        fetch: how to read them (default: as the first time, but for a word that was given then).
        watch: looks on.

    Raises:
        StageMissing: the bot has not been trained.
        SettingsError: all weights were trained, or its posts came from files and none is named.
        BotBusy: the bot was changed meanwhile, or another process updates it.
    """
    watch = watch or Nobody()
    folder.require(folder.adapter)
    training = _training(folder, config)
    stood = hash_tree(folder.adapter)
    with _beside(folder) as new:
        fetch = fetch or build(FetchConfig, saved_settings(folder)["fetch"])
        forget = config.forget_deleted
        news = update_posts(new, fetch, sources=sources, whole=True, forget=forget, watch=watch)
        found = Renewal(new_posts=news.new, gone=news.gone, kept=False, why="nothing new was found")
        forget = forget and news.gone > 0
        if not (news.new or forget):
            return found
        clean_posts(new, build(CleaningConfig, folder.stage_record("clean")["config"]), watch=watch)
        dataset = build(DatasetConfig, folder.stage_record("train")["config"]["dataset"])
        if forget:
            train_bot(new, _from_the_base(folder, training), dataset, watch=watch)
            _take(folder, new, stood, forget=True)
            return replace(found, forgotten=True, kept=True, why=_FORGOTTEN)
        train_bot(new, training, dataset, watch=watch)
        with bar(watch, "Judging the old and the new on the newest posts"):
            judged = _judge(folder, new, dataset, config, found)
        return replace(judged, version=_take(folder, new, stood)) if judged.kept else judged


def _training(folder: RunFolder, config: RenewalConfig) -> TrainingConfig:
    """Return how to go on from the adapter there is: as a bot goes on from a flock."""
    record = folder.stage_record("train")
    if record["result"]["rank"] is None:
        raise SettingsError(
            f"All weights of '{folder.name}' were trained; there is no adapter to go on from.",
            hint=f"Make it anew: mynah make <source> --name {folder.name} --replace",
        )
    return TrainingConfig(
        base=record["config"]["base"],
        rank=record["result"]["rank"],
        effort=config.effort,
        seed=config.seed,
        flock=str(folder.root.resolve()),
        flock_share=1.0,
    )


def _from_the_base(folder: RunFolder, training: TrainingConfig) -> TrainingConfig:
    """Return how the bot was trained at first, from nothing that may know what is to be forgotten.

    What an update records is how it learned on; the oldest version has what was before that.
    """
    first = versions_of(folder)[:1]
    origin = version_of(folder, first[0]) if first else folder
    effort = origin.stage_record("train")["config"]["effort"]
    return replace(training, effort=effort, flock=None, flock_share=TrainingConfig().flock_share)


@contextmanager
def _beside(folder: RunFolder) -> Iterator[RunFolder]:
    """Yield a second folder of the bot, which goes away in the end whatever happens."""
    place = folder.root.parent / ".update" / folder.name
    guard = RunFolder(place.with_name(f".{folder.name}"))
    with guard.lock():
        shutil.rmtree(place, ignore_errors=True)  # left by a kill
        place.mkdir(parents=True)
        try:
            for part in (folder.run, folder.require(folder.posts), folder.avatars):
                if part.exists():
                    link(part, place / part.name)
            yield RunFolder(place)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _judge(
    old: RunFolder, new: RunFolder, dataset: DatasetConfig, config: RenewalConfig, found: Renewal
) -> Renewal:
    """Return what was found, with both voices on the newest posts, and which of them stays."""
    parts = split(read_cleaned(new.cleaned), dataset)
    texts = [example.text for example in parts.held_out][-config.judged :]
    if not texts:
        raise SettingsError(
            f"No post of '{old.name}' is held out, so nobody could tell the better bot.",
            hint=f"Run: mynah train {old.name} --held-out 0.1",
        )
    index = CopyIndex([example.text for example in parts.train])
    before, after = (_voice(each, texts, index, config) for each in (old, new))
    kept, why = _verdict(before, after)
    return replace(found, kept=kept, why=why, judged_on=len(texts), before=before, after=after)


def _voice(
    folder: RunFolder, texts: Sequence[str], index: CopyIndex, config: RenewalConfig
) -> Voice:
    bot = load_bot(folder)
    rows = encode(bot.tokenizer, texts, bot.separator, min(_LONGEST, bot.context - 1))
    nats = post_nats(bot.model, rows, bot.separator, _BUDGET)
    engine, plain = TorchEngine(bot), GenerationConfig()
    copied = copied_unguarded(engine, plain, config.samples, index, seed=config.seed)
    return Voice(bits_per_byte=round(bits_per_byte(nats, texts), 4), copied=round(copied, 4))


def _verdict(before: Voice, after: Voice) -> tuple[bool, str]:
    if after.bits_per_byte >= before.bits_per_byte:
        return False, "it knows the newest posts no better than before"
    if after.copied > before.copied:
        return False, "it repeats real posts more often than before"
    return True, "it knows the newest posts better, and repeats no more of them"


def _take(folder: RunFolder, new: RunFolder, stood: str, *, forget: bool = False) -> int | None:
    """Give the bot what was made beside it; return the version that stands for what it was.

    Where that is to be forgotten there is none. The versions go first: killed in between, the bot
    still has what is to be forgotten, and the same command ends it.
    """
    with folder.lock():
        if hash_tree(folder.adapter) != stood:
            raise BotBusy(
                f"Bot '{folder.name}' was trained anew meanwhile.",
                hint=f"Run again: mynah update {folder.name}",
            )
        version = None if forget else keep_version(folder)
        if forget:
            forget_versions(folder)
        adopt(folder, new.root)
        run = folder.read_run()
        updates = [*run.get("updates", []), {"at": now(), "instead_of": version}]
        stages = {name: run["stages"][name] for name in _STAYS if name in run["stages"]}
        write_json(folder.run, run | {"stages": stages, "updates": updates})
    return version

"""What a bot begins from: the bare base or a flock, of which it has the adapter and the terms.

A flock comes with Mynah: the starter. Its posts were written for it, by nobody in particular, so
that a bot knows by its first step what a post is; whose it is to sound like is left to learn.
`examples/build_starter.py` makes it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mynah.config import STARTER, TrainingConfig
from mynah.errors import SettingsError
from mynah.languages import unknown_to
from mynah.lora import adapter_size
from mynah.model import Base
from mynah.plan import ONCE
from mynah.run_folder import RunFolder, hash_tree
from mynah.terms import bound_consents

_STARTER = Path(__file__).parent / "flocks" / STARTER
# Whoever types one of these has tried it from the bare base, or a sweep has.
_HOW_TO_READ = ("epochs", "learning_rate", "batch_tokens", "warmup", "schedule")


def beginning(config: TrainingConfig, folder: RunFolder, base: Base, tokens: int) -> TrainingConfig:
    """Return the settings of a training with what it begins from.

    Where nobody chose, that is the starter, if an adapter learns in the usual way, on the
    starter's base, posts in a language that the base knows; by `quick`, or by `normal` few of
    them, for more ended worse from it (LOG.md), and nobody has tried `best`.

    Args:
        config: the settings.
        folder: of the bot.
        base: it learns on.
        tokens: training tokens of the archive.
    """
    helped = config.effort == "quick" or (config.effort == "normal" and tokens <= ONCE)
    if config.flock is None and helped and _as_usual(config) and not foreign(folder, base):
        starter = RunFolder(_STARTER)
        rank, _ = adapter_size(starter.adapter)
        same = starter.learned()["result"]["base"]["sha256"] == base.info.sha256
        if same and config.rank in (None, rank):
            return replace(config, flock=STARTER)
    return config


def _as_usual(config: TrainingConfig) -> bool:
    read = all(getattr(config, name) is None for name in _HOW_TO_READ)
    return read and config.recipe == "mynah" and config.modules == "all"


def foreign(folder: RunFolder, base: Base) -> bool:
    """Tell whether the base does not know most of what was cleaned; a trial has no record."""
    cleaned = folder.read_run()["stages"].get("clean", {}).get("result", {})
    known, spoken = base.info.languages, cleaned.get("languages", {})
    return bool(known) and unknown_to(known, spoken)


def find_flock(
    folder: RunFolder, name: str, base: Base, chosen: int | None
) -> tuple[RunFolder, int]:
    """Return the bot that another one starts from, by name beside it or by folder, and its rank.

    Raises:
        StageMissing: it has not been trained.
        SettingsError: it is another base's, or its adapter has not the rank that was chosen.
    """
    beside = RunFolder(_STARTER if name == STARTER else folder.root.parent / name)
    flock = beside if beside.run.exists() else RunFolder(Path(name))
    flock.require(flock.run)
    flock.require(flock.adapter)
    if flock.learned()["result"]["base"]["sha256"] != base.info.sha256:
        raise SettingsError(
            f"Flock '{flock.name}' was trained on another base than '{base.info.name}'.",
            hint="Choose its --base, or train one: mynah flock train <accounts> --base ...",
        )
    rank, _ = adapter_size(flock.adapter)
    if chosen not in (None, rank):
        raise SettingsError(
            f"Flock '{flock.name}' has rank {rank}, and the bot would have {chosen}.",
            hint=f"Choose --rank {rank}.",
        )
    return flock, rank


def inheritance(flock: RunFolder) -> dict[str, Any]:
    """Return what a bot records of the flock that it begins from.

    The consents that came with terms are in it: they bind whoever has the bot, too.
    """
    return {
        "name": flock.name,
        "accounts": [row["handle"] for row in flock.read_run()["accounts"]],
        "sha256": hash_tree(flock.adapter),
        "consents": bound_consents(flock),
    }

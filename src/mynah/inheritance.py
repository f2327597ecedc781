"""What a bot has of the flock that it begins from: the adapter, and the terms that bind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mynah.errors import SettingsError
from mynah.lora import adapter_size
from mynah.model import Base
from mynah.run_folder import RunFolder, hash_tree
from mynah.terms import bound_consents


def find_flock(
    folder: RunFolder, name: str, base: Base, chosen: int | None
) -> tuple[RunFolder, int]:
    """Return the bot that another one starts from, by name beside it or by folder, and its rank.

    Raises:
        StageMissing: it has not been trained.
        SettingsError: it is another base's, or its adapter has not the rank that was chosen.
    """
    beside = RunFolder(folder.root.parent / name)
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

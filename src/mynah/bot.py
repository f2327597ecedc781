"""A finished bot, loaded to talk: its base with what it learned folded in."""

from __future__ import annotations

from mynah.errors import BaseError
from mynah.lora import load_adapter, merge_adapter
from mynah.model import Base, Device, choose_device, load_base, load_model
from mynah.run_folder import RunFolder

FULL_WEIGHTS = "model.safetensors"


def load_bot(folder: RunFolder, device: Device | None = None) -> Base:
    """Return a bot ready to talk.

    Raises:
        StageMissing: it has not been trained.
        BaseError: the base here is not the one it was trained on.
    """
    folder.require(folder.adapter)
    base = load_bots_base(folder, device)
    return become(base, folder)


def load_bots_base(folder: RunFolder, device: Device | None = None) -> Base:
    """Return the untouched base of a bot."""
    trained = folder.stage_record("train")
    base = load_base(trained["config"]["base"], device or choose_device())
    if base.info.sha256 != trained["result"]["base"]["sha256"]:
        raise BaseError(
            f"Bot '{folder.name}' was trained on another '{base.info.name}' than is here.",
            hint=f"Bring that base back, or train again: mynah train {folder.name}",
        )
    return base


def become(base: Base, folder: RunFolder) -> Base:
    """Turn a freshly loaded base into the bot, in place where there is an adapter."""
    if (folder.adapter / FULL_WEIGHTS).exists():
        model = load_model(folder.adapter, base.device)
        return Base(**{**vars(base), "model": model})
    load_adapter(base.model, folder.adapter)
    merge_adapter(base.model)
    return base

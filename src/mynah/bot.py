"""A finished bot, loaded to talk: its base with what it learned folded in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mynah.bases import find_bots_base
from mynah.lora import load_adapter, merge_adapter, remove_adapter
from mynah.model import Base, Device, choose_device, load_base, load_model
from mynah.run_folder import RunFolder

FULL_WEIGHTS = "model.safetensors"
_OWN_TOKENIZER = "tokenizer_config.json"


def load_bot(folder: RunFolder, device: Device | None = None) -> Base:
    """Return a bot ready to talk.

    Raises:
        StageMissing: it has not been trained.
        BaseError: the base here is not the one it was trained on.
    """
    folder.require(folder.adapter)
    if is_whole(folder):
        return load_base(str(folder.adapter), device or choose_device())
    base = load_bots_base(folder, device)
    return become(base, folder)


def is_whole(folder: RunFolder) -> bool:
    """Tell whether the weights stand for themselves, as those of a whole model that was pulled."""
    return (folder.adapter / _OWN_TOKENIZER).exists()


def load_bots_base(folder: RunFolder, device: Device | None = None) -> Base:
    """Return the untouched base of a bot.

    Raises:
        BaseError: the base here is not the one it was trained on.
    """
    find_bots_base(folder)
    name = folder.learned()["config"]["base"]
    return load_base(name, device or choose_device())


def become(base: Base, folder: RunFolder) -> Base:
    """Turn a freshly loaded base into the bot, in place where there is an adapter."""
    if (folder.adapter / FULL_WEIGHTS).exists():
        return _with_own_weights(base, folder)
    load_adapter(base.model, folder.adapter)
    merge_adapter(base.model)
    return base


@contextmanager
def playing(base: Base, folder: RunFolder) -> Iterator[Base]:
    """Turn a base into the bot for a while; afterwards it is the untouched base again."""
    if (folder.adapter / FULL_WEIGHTS).exists():
        yield _with_own_weights(base, folder)
        return
    try:
        load_adapter(base.model, folder.adapter)
        yield base
    finally:
        remove_adapter(base.model)


def _with_own_weights(base: Base, folder: RunFolder) -> Base:
    return Base(**{**vars(base), "model": load_model(folder.adapter, base.device)})

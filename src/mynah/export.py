"""A bot in formats that other programs read: `transformers` here, the others in their modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mynah.bot import load_bot
from mynah.config import ExportConfig, GenerationConfig
from mynah.export_adapter import export_adapter
from mynah.export_folder import exporting, refuse_foreign
from mynah.export_gguf import export_gguf, export_ollama
from mynah.export_web import export_web, fetch_parts
from mynah.model import Base, exact_device, quiet_transformers, settle_tokenizer
from mynah.run_folder import RunFolder

_OF_GGUF: dict[str, Callable[[RunFolder, Base, Path, str], Path]] = {
    "gguf": export_gguf,
    "ollama": export_ollama,
    "web": export_web,
}


def export(folder: RunFolder, target: Path, config: ExportConfig) -> Path:
    """Write a bot in the format that is asked for, whole or not at all.

    Raises:
        StageMissing: it has not been trained.
        SettingsError: something that is no export is at `target`.
        BaseError: the format has no such kind of model.
        StorageError: the disk is full, or the folder cannot be written.
        ExtraMissing: what the format needs cannot be had.
    """
    folder.require(folder.adapter)
    refuse_foreign(target)
    if config.format == "adapter":
        return export_adapter(folder, target)
    if config.format == "transformers":
        return export_transformers(folder, load_bot(folder), target)
    if config.format == "web":
        fetch_parts()  # or say that they cannot be had, before the bot is loaded
    # Merged in fp32, so that every weight is rounded once.
    bot = load_bot(folder, exact_device())
    return _OF_GGUF[config.format](folder, bot, target, config.quantization)


def export_transformers(folder: RunFolder, bot: Base, target: Path) -> Path:
    """Write merged weights, tokenizer, generation settings and card, whole or not at all.

    `transformers.pipeline("text-generation", model=target)` then talks as `mynah say` does.

    Args:
        folder: the bot's folder, for the card.
        bot: the loaded bot, its adapter merged.
        target: folder to write; an older export there is replaced, anything else is refused.
    """
    with quiet_transformers(), exporting(folder, target) as new:
        _settle_generation(bot)
        bot.model.save_pretrained(new)
        bot.tokenizer.save_pretrained(new)
    return target


def _settle_generation(bot: Base) -> None:
    """Write into the model how it wants to be sampled, and what stands before every post."""
    defaults = GenerationConfig()
    settle_tokenizer(bot.tokenizer, bot.separator)
    settings: Any = bot.model.generation_config
    settings.do_sample = True
    settings.temperature, settings.top_p = defaults.temperature, defaults.top_p
    settings.min_new_tokens, settings.max_new_tokens = defaults.min_tokens, defaults.max_tokens
    settings.max_length = None
    for each in (settings, bot.model.config):
        each.bos_token_id = each.eos_token_id = each.pad_token_id = bot.separator


def target_folder(folder: RunFolder, config: ExportConfig) -> Path:
    """Return where an export goes: a folder of the bot's, unless another is named."""
    if config.output:
        return Path(config.output)
    if config.format == "transformers":
        return folder.model
    return folder.root / f"{folder.model.name}-{config.format}"

"""A bot in formats that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mynah.card import write_card
from mynah.config import ExportConfig, GenerationConfig
from mynah.errors import SettingsError
from mynah.model import Base, quiet_transformers
from mynah.run_folder import RunFolder, replacing_folder


def export_transformers(folder: RunFolder, bot: Base, target: Path) -> Path:
    """Write merged weights, tokenizer, generation settings and card, whole or not at all.

    `transformers.pipeline("text-generation", model=target)` then talks as `mynah say` does.

    Args:
        folder: the bot's folder, for the card.
        bot: the loaded bot, its adapter merged.
        target: folder to write; an older export there is replaced, anything else is refused.
    """
    refuse_foreign(target)
    _settle_generation(bot)
    with quiet_transformers(), replacing_folder(target) as new:
        bot.model.save_pretrained(new)
        bot.tokenizer.save_pretrained(new)
        write_card(folder, into=new, relation="finetune", model=str(target))
    return target


def refuse_foreign(target: Path) -> None:
    """Refuse to replace a folder that no export wrote.

    Raises:
        SettingsError: `target` is a file, or a folder with other things in it.
    """
    if target.is_dir() and (not any(target.iterdir()) or (target / "config.json").exists()):
        return
    if target.exists():
        raise SettingsError(
            f"{target} is there and no export wrote it.", hint="Choose another --output."
        )


def _settle_generation(bot: Base) -> None:
    """Write into the model how it wants to be sampled, and what stands before every post."""
    defaults = GenerationConfig()
    separator = bot.tokenizer.convert_ids_to_tokens(bot.separator)
    bot.tokenizer.bos_token = bot.tokenizer.eos_token = bot.tokenizer.pad_token = separator
    bot.tokenizer.chat_template = None  # a bot continues a text, it does not answer one
    bot.tokenizer.backend_tokenizer.post_processor = _opening(separator, bot.separator)
    settings = bot.model.generation_config
    settings.do_sample = True
    settings.temperature, settings.top_p = defaults.temperature, defaults.top_p
    settings.min_new_tokens, settings.max_new_tokens = defaults.min_tokens, defaults.max_tokens
    settings.max_length = None
    for each in (settings, bot.model.config):
        each.bos_token_id = each.eos_token_id = each.pad_token_id = bot.separator


def _opening(separator: str, number: int) -> Any:
    """Return what makes a tokenizer open every text with the separator, as every post begins.

    A prefix in the model's settings would be used by transformers' pipeline alone.
    """
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(
        single=f"{separator} $A",
        pair=f"{separator} $A {separator} $B",
        special_tokens=[(separator, number)],
    )


def target_folder(folder: RunFolder, config: ExportConfig) -> Path:
    """Return where an export goes: the bot's model/ unless another folder is named."""
    return Path(config.output) if config.output else folder.model

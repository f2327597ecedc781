"""One file for llama.cpp, and the same with what Ollama wants beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mynah.card_metadata import Json, cleaned_of, learned_of, spoken
from mynah.card_usage import Usage
from mynah.config import GenerationConfig
from mynah.export_folder import exporting
from mynah.gguf_weights import write_weights
from mynah.marking import SOURCE_TYPE
from mynah.markup import plain
from mynah.model import Base
from mynah.notice import LABEL, sentence
from mynah.run_folder import RunFolder
from mynah.templating import plain_text

MODELFILE = "Modelfile"
_WINDOW = 2_048  # tokens that Ollama makes room for; it would take memory for all that fit


def export_gguf(folder: RunFolder, bot: Base, target: Path, precision: str) -> Path:
    """Write one GGUF file and the card, whole or not at all.

    Args:
        folder: the bot's folder.
        bot: the loaded bot in fp32, its adapter merged.
        target: folder to write.
        precision: what its weights are rounded to.

    Raises:
        BaseError: llama.cpp has no such kind of model.
    """
    usage = Usage(form="gguf", file=file_name(folder, precision), separator=separator_of(bot))
    with exporting(folder, target, usage) as new:
        write_gguf(folder, bot, new / usage.file, precision)
    return target


def export_ollama(folder: RunFolder, bot: Base, target: Path, precision: str) -> Path:
    """Write one GGUF file, a Modelfile and the card, whole or not at all.

    Raises:
        BaseError: llama.cpp has no such kind of model.
    """
    usage = Usage(form="ollama", file=file_name(folder, precision), separator=separator_of(bot))
    with exporting(folder, target, usage) as new:
        write_gguf(folder, bot, new / usage.file, precision)
        text = modelfile(folder.read_run(), usage, context=bot.context)
        (new / MODELFILE).write_text(text, encoding="utf-8")
    return target


def file_name(folder: RunFolder, precision: str) -> str:
    """Return what a bot's GGUF file is called; programs read the precision from there."""
    return f"{folder.name}-{precision.upper()}.gguf"


def separator_of(bot: Base) -> str:
    """Return what opens and ends every post, as text."""
    return str(bot.tokenizer.convert_ids_to_tokens(bot.separator))


def write_gguf(folder: RunFolder, bot: Base, path: Path, precision: str) -> None:
    """Write a bot as a GGUF file that says what it is, and how it wants to be sampled.

    Raises:
        BaseError: llama.cpp has no such kind of model.
    """
    run = folder.read_run()
    write_weights(path, bot, precision, lambda writer: _describe(writer, run))


def _describe(writer: Any, run: Json) -> None:
    writer.add_type("model")
    writer.add_name(run["name"])
    writer.add_description(f"{LABEL}. {sentence(run)}")
    writer.add_tags(["mynah", "machine-generated", "text-generation"])
    writer.add_bool("mynah.machine_generated", True)
    writer.add_string("mynah.digital_source_type", SOURCE_TYPE)
    if languages := spoken(cleaned_of(run).get("languages") or {}):
        writer.add_languages(languages)
    _name_base(writer, learned_of(run).get("base") or {})
    _add_sampling(writer)


def _name_base(writer: Any, base: Json) -> None:
    if base.get("license"):
        writer.add_license(base["license"])
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base.get("hub_id") or base["name"])
    if base.get("hub_id"):
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base['hub_id']}")


def _add_sampling(writer: Any) -> None:
    """Write Mynah's own defaults: llama.cpp's programs take them where nothing else is typed."""
    defaults = GenerationConfig()
    writer.add_sampling_sequence("temperature;top_p")  # in this order, as in `sampling`
    writer.add_sampling_temp(defaults.temperature)
    writer.add_sampling_top_p(defaults.top_p)
    writer.add_sampling_top_k(0)
    writer.add_sampling_min_p(0.0)


def modelfile(run: Json, usage: Usage, *, context: int) -> str:
    """Return what Ollama builds a model from: the bot as it is, without a chat around it.

    Args:
        run: run.json.
        usage: the file, and what ends a post.
        context: tokens that the bot reads at once.
    """
    base = learned_of(run).get("base") or {}
    return plain_text("Modelfile").render(
        file=usage.file,
        separator=usage.separator,
        settings=GenerationConfig(),
        context=min(context, _WINDOW),
        label=LABEL,
        notice=_quotable(sentence(run)),
        base=_quotable(base.get("hub_id") or base["name"]),
        license=_quotable(base.get("license") or ""),
    )


def _quotable(text: str) -> str:
    """Return a stranger's text as it can stand between quotes, which nothing escapes there."""
    return plain(text).replace('"', "'")

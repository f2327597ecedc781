"""Which engine a bot speaks through: llama.cpp where it can, torch everywhere else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mynah.bases import SEPARATOR, cache_folder, find_bots_base, remembered_hash
from mynah.config import EngineName
from mynah.errors import BotError
from mynah.generation import Engine
from mynah.run_folder import RunFolder
from mynah.watch import Watch

if TYPE_CHECKING:
    from mynah.llama_engine import LlamaEngine
    from mynah.model import Base

_LAYOUT = "1"  # of the files made here; another number makes them anew
_ADAPTER = "adapter_model.safetensors"


class LlamaCannot(Exception):
    """llama.cpp cannot speak for a bot here; the sentence says why."""


def open_engine(
    folder: RunFolder, wanted: EngineName, watch: Watch, *, bot: Base | None = None
) -> Engine:
    """Return a bot ready to talk, and say through what.

    Args:
        folder: the bot's.
        wanted: which engine; `auto` takes llama.cpp where it can, since it needs no torch.
        watch: is told the choice and its reason.
        bot: the bot where torch has loaded it already; then `auto` takes torch where that is fast.

    Raises:
        StageMissing: it has not been trained.
        BotError: llama.cpp is wanted and cannot speak here.
    """
    folder.require(folder.adapter)
    reason = "as wanted"
    if bot and wanted == "auto" and (engine := _loaded(bot)):
        watch.say(f"Speaking through {engine.name} (many posts at once).")
        return engine
    if wanted != "torch":
        try:
            engine = open_llama(folder)
        except LlamaCannot as error:
            if wanted == "llama":
                raise BotError(
                    f"llama.cpp cannot speak for '{folder.name}': {error}.",
                    hint="Use --engine torch, or leave --engine out.",
                ) from error
            reason = str(error)
        else:
            watch.say(f"Speaking through {engine.name}.")
            return engine
    return _open_torch(folder, watch, bot, reason)


def open_base(folder: RunFolder, wanted: EngineName, base: Base | None = None) -> Engine:
    """Return the untouched base of a bot, ready to talk.

    Args:
        folder: the bot's.
        wanted: which engine; `auto` takes torch where that is fast, since it is loaded.
        base: as torch has loaded it; loaded where it is needed and not given.
    """
    from mynah.llama_cpp import LlamaCppMissing

    if wanted == "auto" and base and (engine := _loaded(base)):
        return engine
    gguf = find_bots_base(folder).gguf
    if gguf is not None and wanted != "torch":
        try:
            return _in_llama(gguf)
        except (LlamaCppMissing, ValueError):
            pass
    from mynah.bot import load_bots_base
    from mynah.torch_engine import TorchEngine

    return TorchEngine(base or load_bots_base(folder))


def _loaded(bot: Base) -> Engine | None:
    """Return what torch has loaded, where it draws many posts faster than llama.cpp does."""
    from mynah.torch_engine import TorchEngine

    engine = TorchEngine(bot)
    return engine if engine.fast else None


def _in_llama(gguf: Path, adapter: Path | None = None) -> LlamaEngine:
    from mynah.llama_cpp import Model
    from mynah.llama_engine import LlamaEngine

    model = Model(gguf, adapter)
    [separator] = model.encode(SEPARATOR, special=True)
    return LlamaEngine(model, separator)


def _open_torch(folder: RunFolder, watch: Watch, bot: Base | None, reason: str) -> Engine:
    from mynah.bot import load_bot
    from mynah.torch_engine import TorchEngine

    engine = TorchEngine(bot or load_bot(folder))
    watch.say(f"Speaking through {engine.name} ({reason}).")
    return engine


def open_llama(folder: RunFolder) -> LlamaEngine:
    """Return a bot in llama.cpp.

    Raises:
        LlamaCannot: the reason why not.
    """
    from mynah.llama_cpp import LlamaCppMissing

    if not (folder.adapter / _ADAPTER).exists():
        raise LlamaCannot("all of its weights were trained, there is no adapter")
    base = find_bots_base(folder)
    if base.gguf is None:
        raise LlamaCannot(f"base '{base.info.name}' has no GGUF file")
    try:
        return _in_llama(*_speech_files(folder, base.gguf, base.info.sha256))
    except (LlamaCppMissing, ValueError, KeyError) as error:
        raise LlamaCannot(str(error)) from error


def forget_speech(folder: RunFolder) -> None:
    """Take away what was made for llama.cpp of a bot that will not be where it is."""
    shutil.rmtree(_speech_place(folder), ignore_errors=True)


def _speech_place(folder: RunFolder) -> Path:
    place = hashlib.sha256(str(folder.root.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / "speech" / place


def _speech_files(folder: RunFolder, gguf: Path, base: str) -> tuple[Path, Path]:
    """Return base and adapter as llama.cpp reads them fastest, made once and kept in the cache."""
    kept = cache_folder() / "speech"
    place = _speech_place(folder)
    made_of = f"{base}{remembered_hash(folder.adapter / _ADAPTER)}{_LAYOUT}"
    name = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    faster = kept / f"{base[:16]}-{_LAYOUT}.gguf", place / f"{name}-with-offsets.gguf"
    for pair in (faster, (gguf, place / f"{name}.gguf")):
        if all(path.exists() for path in pair):
            return pair
    from mynah.gguf_files import prepare

    for old in place.glob("*.gguf"):  # of an earlier training
        old.unlink()
    return prepare(gguf, folder.adapter, *faster, plain=place / f"{name}.gguf")

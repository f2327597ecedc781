"""The voice alone, without its base: a few megabytes in the layout that peft and vLLM read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mynah.bases import find_bots_base
from mynah.card_usage import Usage
from mynah.errors import SettingsError
from mynah.export_folder import exporting
from mynah.lora import CONFIG, WEIGHTS
from mynah.model import (
    load_tokenizer,
    locate_base,
    quiet_transformers,
    separator_id,
    settle_tokenizer,
)
from mynah.run_folder import RunFolder, read_json, write_json


def export_adapter(folder: RunFolder, target: Path) -> Path:
    """Write adapter, tokenizer and card, whole or not at all; the base is named, not copied.

    Raises:
        SettingsError: all weights were trained, so there is no adapter.
        BaseError: the base here is not the one it was trained on.
    """
    if not (folder.adapter / WEIGHTS).exists():
        raise SettingsError(
            f"All weights of '{folder.name}' were trained, there is no adapter to export.",
            hint="Use --format transformers.",
        )
    tokenizer, config = _tokenizer(folder), read_json(folder.adapter / CONFIG)
    # Where it is set, layers are those of GPT-2, which vLLM takes no adapter for.
    served = not config["fan_in_fan_out"]
    usage = Usage(form="adapter", separator=tokenizer.eos_token, served=served)
    with quiet_transformers(), exporting(folder, target, usage, relation="adapter") as new:
        (new / WEIGHTS).write_bytes((folder.adapter / WEIGHTS).read_bytes())
        write_json(new / CONFIG, _whole(config))
        tokenizer.save_pretrained(new)
    return target


def _tokenizer(folder: RunFolder) -> Any:
    find_bots_base(folder)
    name = folder.learned()["config"]["base"]
    tokenizer = load_tokenizer(locate_base(name)[0])
    settle_tokenizer(tokenizer, separator_id(tokenizer, name))
    return tokenizer


def _whole(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with all that vLLM looks at, none of it left to a default."""
    alpha = config["lora_alpha"]
    scale = {"lora_alpha": int(alpha) if float(alpha).is_integer() else alpha}
    return config | scale | {"use_rslora": False, "use_dora": False, "modules_to_save": None}

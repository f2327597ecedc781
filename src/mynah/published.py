"""What a published bot consists of: files are known by name, both on the way out and on the way in.

A file that is not listed is neither uploaded nor downloaded.
"""

from __future__ import annotations

import re

CARD = "README.md"
REPORT = "report.json"
PREVIEW = "preview.png"
PAGE = "report.html"
DIAGRAM = "pipeline.svg"
NOTICE = "machine-made.json"  # where an export says it in a file of its own

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_SETTINGS = ("config.json", "generation_config.json")
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model"),
)
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")

PICKLED = "pytorch_model.bin"  # how models were kept until 2023


def is_model(name: str) -> bool:
    """Tell whether a file is part of a model: weights, settings or tokenizer."""
    known = name in _ADAPTER or name in _SETTINGS or name in _TOKENIZER
    return known or bool(_WEIGHTS.fullmatch(name))


def is_weights(name: str) -> bool:
    """Tell whether a file holds weights that can be read without running anything."""
    return name.endswith(".safetensors") and is_model(name)


def goes_up(name: str) -> bool:
    """Tell whether a file may be uploaded."""
    return is_model(name) or name in (CARD, REPORT, PREVIEW, PAGE, DIAGRAM, NOTICE)


def comes_down(name: str) -> bool:
    """Tell whether a file may be downloaded: a stranger's page or drawing may hold scripts."""
    return is_model(name) or name in (CARD, REPORT, PREVIEW)

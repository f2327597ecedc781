"""How to use a bot: the part of the card that differs from one format to the next."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Literal

from mynah.bases import EMBEDDED, SEPARATOR
from mynah.card_metadata import PROMPT, Json, learned_of
from mynah.config import GenerationConfig
from mynah.markup import Markdown, plain
from mynah.templating import template

Form = Literal["adapter", "gguf", "ollama", "web"]
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What stands beside the card, in a format other than that of transformers."""

    form: Form
    file: str = ""  # of the weights, in formats of one file
    separator: str = SEPARATOR  # what opens and ends every post
    served: bool = True  # whether vLLM takes adapters for such a base

    @property
    def library(self) -> str:
        """Return what reads it, by the Hub's name."""
        return "peft" if self.form == "adapter" else "llama.cpp"


def usage_text(usage: Usage, run: Json) -> Markdown:
    """Return how to use a bot in a format, with lines that run as they are."""
    name, trained = plain(run["name"]), learned_of(run)
    base = trained.get("base") or {}
    known_as = plain(base.get("hub_id") or base.get("name") or "the base")
    rank = trained.get("rank") or 0
    text = template("usage.md").render(
        usage=usage,
        prompt=Markdown(PROMPT),
        say=Markdown(f'mynah say {shlex.quote(name)} "{PROMPT}"'),
        file=_literal(usage.file),
        typed_file=Markdown(shlex.quote(usage.file)),
        base=_literal(known_as),
        typed_base=Markdown(shlex.quote(known_as)),
        rounded=base.get("name") == EMBEDDED,
        room=next((room for room in _RANKS if room >= rank), rank),
        start=_literal(usage.separator + PROMPT),
        separator=Markdown(usage.separator),
        own_name=Markdown(model_name(name)),
        settings=GenerationConfig(),
    )
    return Markdown(text.rstrip("\n"))


def model_name(name: str) -> str:
    """Return a bot's name in the letters that other programs allow in a model's name."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "bot"


def _literal(text: str) -> Markdown:
    """Return a text as Python writes it in a program."""
    return Markdown(json.dumps(plain(text), ensure_ascii=False))

"""The card that came with a pulled bot: a stranger's page, made to say that a machine writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mynah.card_metadata import MACHINE_MADE, MACHINE_MADE_TAGS, dump
from mynah.markup import plain
from mynah.records import Account

_LARGEST = 1_000_000  # characters of a card that is looked into
_FRONT = re.compile(r"---\r?\n(.*?)\r?\n---\r?\n?(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class PulledCard:
    """A card as it is kept, and whose voices it names."""

    text: str
    accounts: list[Account]


def read_card(path: Path, repo: str, revision: str) -> PulledCard:
    """Read the card that came, if one did; add that a machine writes where it does not say so."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    fields, body = _split(text)
    own = _table(fields, "mynah")
    if own.get("machine_generated") is not True:
        text = _marked(fields, body, repo, revision)
    return PulledCard(text=text, accounts=_accounts(fields, repo))


def _split(text: str) -> tuple[dict[str, Any], str]:
    """Return metadata and page; a card without metadata that can be read is all page."""
    found = _FRONT.match(text) if len(text) <= _LARGEST else None
    try:
        fields = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError):
        fields = None
    if not found or not isinstance(fields, dict):
        return {}, text
    return fields, found[2]


def _table(fields: dict[str, Any], key: str) -> dict[str, Any]:
    value = fields.get(key)
    return value if isinstance(value, dict) else {}


def _marked(fields: dict[str, Any], page: str, repo: str, revision: str) -> str:
    tags = fields.get("tags")
    known = tags if isinstance(tags, list) else []
    tags = [*known, *(tag for tag in MACHINE_MADE_TAGS if tag not in known)]
    marked = {**fields, "tags": tags, "mynah": {**_table(fields, "mynah"), **MACHINE_MADE}}
    notice = (
        "> **Machine-made.** This is a language model: what it writes was made by a machine, not\n"
        f"> by the person it imitates. Pulled from `{repo}` at revision `{revision[:12]}`;\n"
        "> what follows is the page that came with it."
    )
    return f"---\n{dump(marked)}\n---\n\n{notice}\n\n{page.strip()}\n"


def _accounts(fields: dict[str, Any], repo: str) -> list[Account]:
    """Return the voices: as the card names them, else as the repository is called."""
    listed = _table(fields, "mynah").get("voices")
    voices = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    named = [
        Account(handle=plain(str(each["handle"])), name=plain(str(each.get("name") or "")))
        for each in voices
        if each.get("handle")
    ]
    name = repo.rpartition("/")[2]
    tags = fields.get("tags")
    joined = isinstance(tags, list) and "huggingtweets" in tags  # it joined handles with hyphens
    return named or [Account(handle=each) for each in (name.split("-") if joined else [name])]

"""A flock file (TOML): many bots to make, and the settings of each.

accounts = ["archives/*.zip"]          # a bot of each

[train]                                # settings for all, a table a stage
effort = "quick"

[[bot]]                                # a blend, or a bot with settings of its own
name = "both"
sources = ["anna.zip", "bela.zip"]
dataset = {weights = [2, 1]}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mynah.config import STAGES, build
from mynah.errors import MynahError, SettingsError, SourceNotFound
from mynah.pipeline import Recipe

_STAGES = tuple(item.name for item in fields(Recipe))
_ENDINGS = re.compile(r"(\.(gz|jsonl|ndjson|json|zip|csv|txt|js))+$", re.IGNORECASE)
_HINT = "See docs/cookbook.md, Many bots at once."


@dataclass(frozen=True, kw_only=True)
class Order:
    """One bot to make."""

    name: str
    sources: tuple[str, ...]  # paths
    recipe: Recipe


def read_flock(file: Path) -> list[Order]:
    """Return the bots that a flock file orders, those of single accounts first.

    Raises:
        SettingsError: it cannot be read, or says something that cannot be done.
        SourceNotFound: a pattern fits no file.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} is not a flock file ({error}).", hint=_HINT) from error
    shared = {stage: tables.pop(stage) for stage in _STAGES if stage in tables}
    accounts, own = tables.pop("accounts", []), tables.pop("bot", [])
    if tables:
        raise SettingsError(f"{file} has '{next(iter(tables))}', which is unknown.", hint=_HINT)
    with _in(file):
        orders = [*_single(file, accounts, shared), *_own(file, own, shared)]
        _check_names(orders)
    return orders


class _in:  # noqa: N801 - reads as a verb in a with statement
    """Name the file in whatever is wrong with it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MynahError) and str(self.file) not in error.sentence:
            raise type(error)(f"{self.file}: {error.sentence}", hint=error.hint) from error


def _single(file: Path, patterns: Any, shared: Mapping[str, Any]) -> Iterator[Order]:
    recipe = _recipe(shared)
    for path in _found(file, patterns, "accounts"):
        yield Order(name=_name(path), sources=(str(path),), recipe=recipe)


def _own(file: Path, tables: Any, shared: Mapping[str, Any]) -> Iterator[Order]:
    if not isinstance(tables, list):
        raise SettingsError("A bot's table is written [[bot]], with two brackets.", hint=_HINT)
    for table in tables:
        unknown = set(table) - {"name", "sources", *_STAGES}
        if unknown or "sources" not in table:
            raise SettingsError(
                f"[[bot]] has {min(unknown)!r}, which is unknown."
                if unknown
                else "[[bot]] has no sources.",
                hint=_HINT,
            )
        paths = list(_found(file, table["sources"], "sources"))
        merged = {
            stage: {**shared.get(stage, {}), **table.get(stage, {})}
            for stage in {*shared, *table} & set(_STAGES)
        }
        name = table.get("name") or "-".join(sorted(map(_name, paths)))
        yield Order(name=str(name), sources=tuple(map(str, paths)), recipe=_recipe(merged))


def _found(file: Path, patterns: Any, key: str) -> Iterator[Path]:
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        raise SettingsError(f"{key} must be a list of texts, not {patterns!r}.", hint=_HINT)
    for pattern in patterns:
        path = (file.parent / pattern).resolve()
        paths = [path] if path.exists() else sorted(_matches(path))
        if not paths:
            raise SourceNotFound(f"Nothing is at {pattern}.", hint="Paths start at the file's own.")
        yield from paths


def _matches(pattern: Path) -> Iterator[Path]:
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _name(path: Path) -> str:
    """Return a bot's name for a source: its file's, without what a name cannot hold."""
    stem = _ENDINGS.sub("", path.name)
    return re.sub(r"[^\w.@+-]", "-", stem).lstrip(".+-") or "bot"


def _recipe(tables: Mapping[str, Any]) -> Recipe:
    for stage, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{stage} must be a table of settings.", hint=_HINT)
    made = {stage: build(STAGES[stage], tables.get(stage, {})) for stage in _STAGES}
    if made["say"].seed is None:
        made["say"] = replace(made["say"], seed=made["train"].seed)
    return Recipe(**made)


def _check_names(orders: list[Order]) -> None:
    if not orders:
        raise SettingsError("No bot is ordered.", hint=_HINT)
    seen: set[str] = set()
    for order in orders:
        if order.name.lower() in seen:
            raise SettingsError(
                f"Two bots would be named '{order.name}'.", hint="Give one a name in its [[bot]]."
            )
        seen.add(order.name.lower())

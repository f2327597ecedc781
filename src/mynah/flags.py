"""Command-line flags made from the settings: one flag a field, its help and default from there."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mynah.config import STAGES, build, without_none
from mynah.errors import SettingsError


def add_flags(
    parser: argparse.ArgumentParser, stages: Sequence[str], without: Collection[str] = ()
) -> None:
    """Add a flag for every setting of `stages`; one that several stages have is added once.

    Args:
        parser: what gets them.
        stages: whose settings.
        without: settings that do nothing here.
    """
    seen = set(without)
    for stage in stages:
        group = parser.add_argument_group(f"settings of {stage}")
        hints = get_type_hints(STAGES[stage])
        for item in fields(STAGES[stage]):
            if item.name not in seen:
                seen.add(item.name)
                _add_flag(group, item.name, hints[item.name], item.default, item.metadata["help"])


def _add_flag(group: Any, name: str, hint: Any, default: Any, words: str) -> None:
    kind = without_none(hint)
    spelled = ["-n"] if name == "n" else [f"--{name.replace('_', '-')}"]
    shown = "" if default is None or default is False else f" (default: {default})"
    words = (words + shown).replace("%", "%%")  # argparse fills in the other kind
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": words, "dest": name}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction if default is None else "store_true"
    elif get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    elif get_origin(kind) is tuple and get_args(kind)[0] is float:
        options.update(type=_numbers, metavar="N,N")
    elif get_origin(kind) is tuple:
        options.update(nargs="+", metavar="SOURCE")
    else:
        options.update(type=kind, metavar={int: "N", float: "X", str: "NAME"}[kind])
    group.add_argument(*spelled, **options)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list like 2,1,1") from error


def read_settings(path: str | None) -> dict[str, dict[str, Any]]:
    """Return the tables of a settings file (TOML), one a stage.

    Raises:
        SettingsError: it cannot be read, is not TOML, or has a table of no stage.
    """
    if path is None:
        return {}
    import tomllib

    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} is not a settings file ({error}).",
            hint="It is a TOML file with one table a stage, as [say].",
        ) from error
    for name, table in tables.items():
        if name not in STAGES or not isinstance(table, dict):
            known = ", ".join(f"[{stage}]" for stage in STAGES)
            raise SettingsError(f"{path} has '{name}', which is no stage.", hint=f"Known: {known}.")
        build(STAGES[name], table)  # a mistake in any table is worth knowing, whatever the verb
    return tables


def configs(
    arguments: argparse.Namespace,
    stages: Sequence[str],
    *,
    saved: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the settings of each stage: defaults, then saved ones, the file, what was typed."""
    tables = read_settings(arguments.settings)
    typed = vars(arguments)
    made = {}
    for stage in stages:
        kind = STAGES[stage]
        given = {item.name: typed[item.name] for item in fields(kind) if item.name in typed}
        made[stage] = build(kind, (saved or {}).get(stage, {}), tables.get(stage, {}), given)
    return made

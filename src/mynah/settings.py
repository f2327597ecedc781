"""What settings are made of: a field with its help and range, and how values become a config."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import field, fields
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from mynah.errors import SettingsError

Config = TypeVar("Config")


def setting(default: Any, help: str, **limits: float) -> Any:
    """Return a dataclass field that carries its one-line help and its range.

    Limits are `least` and `most`, which are allowed themselves, `above` and `below`, which are not.
    """
    return field(default=default, metadata={"help": help, "limits": limits})


class Settings:
    """What all settings share: none can be made with a value out of range.

    So a wrong flag is found before the work begins, not after an hour of training.
    """

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            _check_range(item, getattr(self, item.name))


def _check_range(item: Any, value: Any) -> None:
    for limit, bound in item.metadata["limits"].items():
        words, holds = _LIMITS[limit]
        if value is not None and not holds(value, bound):
            flag = "-n" if item.name == "n" else f"--{item.name.replace('_', '-')}"
            raise SettingsError(
                f"{item.name} must be {words} {bound:,}, not {value}.",
                hint=f"{flag}: {item.metadata['help']}"
                + ("." if item.default is None else f" (default: {item.default})."),
            )


_LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "least": ("at least", operator.ge),
    "most": ("at most", operator.le),
    "above": ("above", operator.gt),
    "below": ("below", operator.lt),
}


def build(kind: type[Config], *layers: dict[str, Any]) -> Config:
    """Make a config from layers of values; a later layer wins, None does not count.

    Raises:
        SettingsError: a key that `kind` does not have, a value of another type or out of range.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    values = {}
    for layer in layers:
        for key, value in layer.items():
            if key not in hints:
                raise SettingsError(f"Unknown setting '{key}'.", hint=f"Known: {', '.join(hints)}.")
            if value is not None:
                values[key] = _of_type(hints[key], key, value)
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the type of each setting, `None` left out."""
    return {name: without_none(hint) for name, hint in get_type_hints(kind).items()}


def without_none(hint: Any) -> Any:
    """Return the type inside `X | None`."""
    options = [each for each in get_args(hint) if each is not type(None)]
    return options[0] if type(None) in get_args(hint) else hint


def _of_type(hint: Any, name: str, value: Any) -> Any:
    """Return a value as its setting has it; a file may say 1 for 1.0, and a list for a tuple."""
    if get_origin(hint) is Literal:
        fits, wanted = value in get_args(hint), " or ".join(get_args(hint))
    elif get_origin(hint) is tuple:
        numbers = get_args(hint)[0] is float
        inside = _is_number if numbers else _is_text
        fits = isinstance(value, list | tuple) and all(map(inside, value))
        wanted = "a list of numbers" if numbers else "a list of texts"
        value = tuple(value) if fits else value
    else:
        fits = _is_number(value) if hint is float else type(value) is hint
        wanted = _WORDS[hint]
    if not fits:
        raise SettingsError(f"{name} must be {wanted}, not {value!r}.")
    return value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_text(value: Any) -> bool:
    return type(value) is str


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}

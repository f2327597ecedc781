"""Who may ask, and how much: API keys, each with its own share."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mynah.errors import SettingsError

_SHORTEST = 16  # characters


def read_keys(path: str | None) -> list[str]:
    """Return the keys of a file, one a line; empty lines and those that begin with # are none.

    Raises:
        SettingsError: it cannot be read, has no key, or one that can be guessed.
    """
    if path is None:
        return []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"{path} cannot be read as a file of API keys.", hint="One key a line."
        ) from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys or any(len(key) < _SHORTEST or not key.isascii() for key in keys):
        raise SettingsError(
            f"{path} needs keys of {_SHORTEST} plain characters or more, one a line.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return keys


@dataclass
class Account:
    """What one key has used: a bucket that fills again, and the posts on their way."""

    rate: float | None  # requests a minute; None: as many as one likes
    most: int  # posts on their way at once
    clock: Callable[[], float] = time.monotonic
    posts: int = 0
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = self._burst, self.clock()

    @property
    def _burst(self) -> float:
        return max(1.0, (self.rate or 0) / 6)  # ten seconds' worth at once

    def spend(self) -> float:
        """Take one request; return 0, or the seconds after which one is there again."""
        if self.rate is None:
            return 0.0
        now = self.clock()
        self._left = min(self._burst, self._left + (now - self._at) * self.rate / 60)
        self._at = now
        if self._left < 1:
            return (1 - self._left) * 60 / self.rate
        self._left -= 1
        return 0.0


class Keys:
    """The accounts by key. Without keys everybody is one and the same."""

    def __init__(self, keys: Iterable[str], *, rate: float | None, most: int) -> None:
        """Open an account for each key.

        Args:
            keys: the keys; only their hashes are kept.
            rate: requests a minute of one key.
            most: posts of one key that may be on their way at once.
        """
        self._accounts = {_hash(key): Account(rate, most) for key in keys}
        self._open = None if self._accounts else Account(rate, most)

    @property
    def needed(self) -> bool:
        """Tell whether a key is needed."""
        return self._open is None

    def account(self, header: str | None) -> Account | None:
        """Return whose request it is, by its Authorization; None where nobody's.

        Hashes are looked up, so the time it takes tells nothing about a key.
        """
        if self._open is not None:
            return self._open
        scheme, _, key = (header or "").partition(" ")
        return self._accounts.get(_hash(key.strip())) if scheme.lower() == "bearer" else None


def is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's own only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()

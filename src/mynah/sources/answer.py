"""What a service answered: bytes, status, and the few headers that matter later."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mynah.errors import BrokenSource

_LINK = re.compile(r'<([^<>]*)>\s*;[^,]*?\brel="?([\w-]+)"?')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; `headers` have lower-case names."""

    url: str
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the object that the body holds.

        Raises:
            BrokenSource: it holds none.
        """
        value = self.value()
        if not isinstance(value, dict):
            raise self._broken()
        return value

    def rows(self) -> list[dict[str, Any]]:
        """Return the objects of the list that the body holds.

        Raises:
            BrokenSource: it holds none, or something else is among them.
        """
        value = self.value()
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self._broken()
        return value

    def value(self) -> Any:
        """Return whatever JSON the body holds.

        Raises:
            BrokenSource: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self._broken() from error

    @property
    def links(self) -> dict[str, str]:
        """Return the addresses of the Link header by their relation: next, prev."""
        return {name: url for url, name in _LINK.findall(self.headers.get("link", ""))}

    def problem(self) -> str:
        """Return what the service says is wrong, on one line; "" where it does not say."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        said = value if isinstance(value, dict) else {}
        for key in ("detail", "message", "error_description", "error", "title"):
            if isinstance(said.get(key), str) and said[key].strip():
                return " ".join(said[key].split())[:300]
        return ""

    def _broken(self) -> BrokenSource:
        host = self.url.split("/")[2] if self.url.count("/") > 1 else self.url
        return BrokenSource(
            f"{host} answered with something other than what its documentation says.",
            hint="Run the same command again; if that does not help, the service has changed.",
        )

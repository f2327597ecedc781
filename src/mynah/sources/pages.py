"""Pages of a fetch, kept on the disk until it has ended: an interrupted one goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from mynah.run_folder import now, storage_errors
from mynah.sources.answer import Answer

# What is read later; none of them could hold a secret.
_HEADERS = ("content-type", "link", "x-robots-tag", "tdm-reservation", "content-signal")


class Pages:
    """Answers by what was asked for; the same question is not asked twice."""

    def __init__(self, folder: Path | None, keep_hours: float) -> None:
        self._folder, self._keep = folder, timedelta(hours=keep_hours)

    def find(self, url: str, params: Mapping[str, str | int]) -> Answer | None:
        """Return a kept answer that is whole and not too old, else None."""
        if self._folder is None:
            return None
        path = self._folder / _key(url, params)
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            body = path.with_suffix(".body").read_bytes()
            fresh = datetime.now(UTC) - datetime.fromisoformat(note["at"]) < self._keep
            if fresh and hashlib.sha256(body).hexdigest() == note["sha256"]:
                return Answer(url=url, status=200, body=body, headers=note["headers"])
        return None

    def keep(self, url: str, params: Mapping[str, str | int], answer: Answer) -> None:
        """Write an answer: the body first, then the note that says it is whole."""
        if self._folder is None:
            return
        note = {
            "at": now(),
            "sha256": hashlib.sha256(answer.body).hexdigest(),
            "headers": {name: answer.headers[name] for name in _HEADERS if name in answer.headers},
        }
        path = self._folder / _key(url, params)
        _write(path.with_suffix(".body"), answer.body)
        _write(path.with_suffix(".json"), json.dumps(note).encode())


def _key(url: str, params: Mapping[str, str | int]) -> str:
    """Return a name for a question; what was asked cannot be read from it."""
    return hashlib.sha256(f"{url}?{urlencode(sorted(params.items()))}".encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

"""Whose posts are whose: a browser sees the posts that it brought, and no others."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from mynah.errors import BotError
from mynah.run_folder import RunFolder, open_bot, read_json, write_json


def session_id(cookie: str) -> str:
    """Return what is kept of a session's cookie: nobody can make the cookie of it."""
    return hashlib.sha256(f"mynah {cookie}".encode()).hexdigest()[:32]


class Rights:
    """Who brought the posts of which bot, kept in .studio/owners.json."""

    def __init__(self, bots: Path, *, local: bool) -> None:
        """Take the folder of bots, and whether only this machine reaches the studio.

        On one's own machine the bots that the command line made are everybody's who sits there.
        """
        self.bots, self.local = bots, local
        self._file = bots / ".studio" / "owners.json"
        self._lock = threading.Lock()

    def claim(self, bot: str, session: str) -> None:
        """Keep that a session brought the posts of a bot."""
        with self._lock:
            write_json(self._file, self._owners() | {bot: session})

    def owns(self, bot: str, session: str) -> bool:
        """Tell whether a session may see the posts of a bot, train it and publish it."""
        owner = self._owners().get(bot)
        return self.local if owner is None else owner == session

    def own(self, bot: str, session: str) -> RunFolder:
        """Return a bot of this session.

        Raises:
            BotError: it is another's, or none.
        """
        folder = open_bot(self.bots, bot)
        if not self.owns(bot, session):
            raise BotError(
                f"The posts of '{bot}' were brought in another browser.",
                hint="Open the studio there, or bring posts of your own.",
            )
        folder.require(folder.root)
        return folder

    def _owners(self) -> dict[str, str]:
        return read_json(self._file) if self._file.exists() else {}

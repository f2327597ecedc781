"""A base that is shown posts before it talks: what few-shot prompting makes of it, untrained."""

from __future__ import annotations

from collections.abc import Sequence

from mynah.generation import Engine, Rows

_SHARE = 2  # of what the base reads at once, posts may take one part in so many


class Prompted:
    """An engine whose posts come after others, a line each.

    Lines and not separators stand between them: a base has learned that after a separator
    something else begins, and with lines it needs a fifth fewer bits for the next post (LOG.md).
    """

    def __init__(self, engine: Engine, shown: Sequence[str]) -> None:
        self._engine, self._shown = engine, lines(engine, shown)
        self.separator = engine.separator
        self.longest = engine.longest - len(self._shown)
        self.name, self.at_once = engine.name, engine.at_once

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, nothing put before it."""
        return self._engine.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        return self._engine.decode(ids)

    def begin(self, start: Sequence[int], rows: int, length: int) -> Rows:
        """Return rows that all begin with the posts shown and then `start`."""
        shown = self._shown
        return self._engine.begin([start[0], *shown, *start[1:]], rows, len(shown) + length)


def lines(engine: Engine, shown: Sequence[str]) -> list[int]:
    """Return the ids of posts, a line each."""
    return [token for text in shown for token in engine.encode(f"{text}\n")]


def fitting(engine: Engine, posts: Sequence[str], most: int) -> list[str]:
    """Return the newest posts, no more than `most` and than half of what the base reads at once."""
    room, taken = engine.longest // _SHARE, list[str]()
    for text in posts[: -most - 1 : -1]:
        room -= len(engine.encode(f"{text}\n"))
        if room < 0:
            break
        taken.append(text)
    return taken[::-1]

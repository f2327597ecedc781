"""A look at held-out posts while a bot learns, so that somebody can watch both curves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mynah.curriculum import encode
from mynah.fast_llama import Body
from mynah.learner import nats_a_token
from mynah.model import Base

_POSTS = 32  # enough to see which way it goes; the voice report asks all of them
_SHARE = 0.03  # most of the training's time that goes into looking


class Rehearsal:
    """Tells what held-out posts cost by now, as long as asking costs next to nothing.

    It is computed with the body that learns, rounded where that is, so both curves are of one kind.
    """

    def __init__(self, base: Base, body: Body, texts: Sequence[str], longest: int) -> None:
        """Take held-out posts, cut to `longest` tokens, and what computes their cost."""
        some = texts[:: max(1, -(-len(texts) // _POSTS))]
        self._base, self._body = base, body
        self._rows = encode(base.tokenizer, some, base.separator, longest)
        self._spent = 0.0

    def look(self, seconds: float, *, anyway: bool = False) -> float | None:
        """Return the loss in nats a token; None where nothing is held out or it is too early.

        Args:
            seconds: how long the training has taken by now.
            anyway: however much has been spent, as at the end.
        """
        if not self._rows or (self._spent > _SHARE * seconds and not anyway):
            return None
        start = time.monotonic()
        loss = nats_a_token(self._base, self._body, self._rows)
        self._spent += time.monotonic() - start
        return loss

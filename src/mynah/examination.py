"""The same posts put before base and bot: what each makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mynah.curriculum import encode
from mynah.evaluation.extraction import beginnings
from mynah.evaluation.texts import count_within, spread
from mynah.loss import post_nats
from mynah.model import Base
from mynah.prompted import lines
from mynah.scoring import completed, last_states, nats_after
from mynah.torch_engine import TorchEngine

_BUDGET = 1_024  # tokens that go through a model at once
_LONGEST = 1_000  # tokens of a post that are judged
# Held-out posts that are judged after posts shown, which takes twice as long, and their bytes.
_SHOWN_FOR, _SHOWN_BYTES = 100, 10_000

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What one model makes of an exam."""

    held_out: list[float]  # nats
    others: list[float]  # nats
    completed: list[bool]  # of `Exam.learned`
    guessed: list[bool]  # of `Exam.unseen`


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Posts to predict, and posts to complete from their first words."""

    held_out: Sequence[str]
    others: Sequence[str]  # by other authors
    learned: Sequence[Pair] = field(default_factory=tuple)  # of the posts that the bot learned from
    unseen: Sequence[Pair] = field(default_factory=tuple)  # of the held-out ones

    def put_before(self, base: Base) -> Marks:
        """Return what a model makes of it."""
        both = costs_of(base, [*self.held_out, *self.others])
        pairs = [_ids(base, pair) for pair in (*self.learned, *self.unseen)]
        done = completed(base.model, pairs, base.separator, _BUDGET)
        cut, end = len(self.held_out), len(self.learned)
        return Marks(
            held_out=both[:cut], others=both[cut:], completed=done[:end], guessed=done[end:]
        )


def set_exam(
    learned: Sequence[str], held_out: Sequence[str], others: Sequence[str], most: int
) -> Exam:
    """Return the exam, with up to `most` posts of both kinds to complete."""
    return Exam(
        held_out=held_out,
        others=others,
        learned=beginnings(learned, most),
        unseen=beginnings(held_out, most),
    )


def costs_of(base: Base, texts: Sequence[str]) -> list[float]:
    """Return what texts cost a model, in nats."""
    rows = encode(base.tokenizer, list(texts), base.separator, min(_LONGEST, base.context - 1))
    nats: list[float] = post_nats(base.model, rows, base.separator, _BUDGET).tolist()
    return nats


def _ids(base: Base, pair: Pair) -> tuple[list[int], list[int]]:
    """Return a beginning and its rest as tokens, cut where the model's reach ends."""
    first, rest = base.tokenizer(list(pair), add_special_tokens=False)["input_ids"]
    room = min(_LONGEST, base.context) - 1 - len(first)
    return [base.separator, *first], rest[: max(room, 1)]


def costs_once_shown(base: Base, shown: Sequence[str], texts: Sequence[str]) -> dict[int, float]:
    """Return what some of the texts cost after others were shown, in nats, by place.

    Each post is a line there, so the end that it pays for is the line's.
    """
    if not shown or not texts:
        return {}
    engine = TorchEngine(base)
    before = [base.separator, *lines(engine, shown)]
    room = min(_LONGEST, base.context - len(before)) - 1
    most = min(_SHOWN_FOR, count_within(texts, _SHOWN_BYTES))
    at = spread(range(len(texts)), most)
    rows = [engine.encode(f"{texts[each]}\n")[:room] for each in at]
    nats = nats_after(base.model, before, rows, base.separator, _BUDGET)
    return dict(zip(at, nats, strict=True))


def states_of(base: Base, sets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the base's hidden state at the end of each text, [texts, width]."""
    found = {}
    for name, texts in sets.items():
        limit = min(_LONGEST, base.context - 1)
        rows = encode(base.tokenizer, list(texts), base.separator, limit)
        found[name] = last_states(base.model, rows, base.separator, _BUDGET)
    return found

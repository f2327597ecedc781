"""A bot talks: prompts in, complete posts out as they are ready, none of them a copy."""

from __future__ import annotations

import random
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from mynah.config import GenerationConfig
from mynah.copying import CopyIndex, CopyTracker, Overlap, copied_share
from mynah.errors import SettingsError
from mynah.records import Generation, Nearest
from mynah.sampling import Logits, choose


class Rows(Protocol):
    """Texts that a model reads side by side, all begun alike."""

    first: Logits  # of the token after the beginning, [vocabulary]

    def join(self) -> int | None:
        """Return a new row, or None while there is no room."""

    def read(self, tokens: Mapping[int, int]) -> Mapping[int, Logits]:
        """Read the next token of some rows; the other rows leave."""


class Words(Protocol):
    """What turns text into tokens and back."""

    separator: int  # id of the token that opens and ends every post
    longest: int  # tokens that are read at once

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, nothing put before it."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""


class Engine(Words, Protocol):
    """What turns tokens into the chances of the next one. What to draw is decided here, for all."""

    name: str
    at_once: int  # posts that are best drawn side by side

    def begin(self, start: Sequence[int], rows: int, length: int) -> Rows:
        """Return rows that all begin with `start` and grow to `length` tokens at most."""


@dataclass(kw_only=True)
class Draft:
    """One post being drawn; its random numbers depend on seed, place and draw alone."""

    place: int
    seed: int
    draw: int = 0
    tokens: int = 0  # over all draws
    dropped_early: int = 0
    dropped_tokens: int = 0
    copied_first: bool = False
    best: tuple[Overlap | None, str] | None = None
    ids: list[int] = field(default_factory=list)
    tracker: CopyTracker | None = None

    def start(self, tracker: CopyTracker | None) -> None:
        """Begin the next draw; `tracker` watches it for copies."""
        self.ids, self.tracker = [], tracker
        self.dice = random.Random(f"{self.seed}:{self.place}:{self.draw}")

    def drop(self) -> None:
        """Count a draw that was thrown away before its end."""
        self.dropped_early += 1
        self.dropped_tokens += len(self.ids)
        self.copied_first |= not self.draw


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all drafts of one call share."""

    words: Words
    prompt: str
    config: GenerationConfig
    index: CopyIndex | None

    def start(self, draft: Draft) -> None:
        """Begin a draw; the last one is always carried to its end, to have something to show."""
        last = draft.draw + 1 >= self.config.max_draws
        watched = self.index and not self.config.allow_copies and not last
        draft.start(self.index.tracker() if self.index and watched else None)

    def said(self, draft: Draft) -> str:
        """Return the continuation of the prompt so far, up to the first new line."""
        line = self.words.decode(draft.ids).split("\n")[0]
        return "".join(letter for letter in line if unicodedata.category(letter) != "Cc")

    def copies(self, draft: Draft) -> bool:
        """Tell whether a draw is known for a copy before it is whole."""
        if draft.tracker is None:
            return False
        return draft.tracker.read(self.prompt + self.said(draft)) >= self.config.copied_words

    def ends_line(self, token: int) -> bool:
        """Tell whether a post is over with a token: it is one line."""
        return "\n" in self.words.decode([token])

    def take(self, draft: Draft, ended: bool) -> bool:
        """Keep the better of this whole draw and those before; tell whether to stop drawing."""
        text = self.prompt + self.said(draft).rstrip()
        overlap = self.index.overlap(text) if self.index else None
        copied = bool(overlap and overlap.is_copy(self.config))
        draft.copied_first |= copied and not draft.draw
        good = bool(text.strip()) and ended and not (copied and not self.config.allow_copies)
        # A good draw is shown even where a bad one shares less: what was bad stays away.
        draft.best = (overlap, text) if good else _less_copied(draft.best, (overlap, text))
        return good or draft.draw + 1 >= self.config.max_draws


def generate(
    engine: Engine,
    prompt: str,
    config: GenerationConfig,
    index: CopyIndex | None,
    *,
    seed: int,
) -> Iterator[Generation]:
    """Yield posts that begin with `prompt`, each as soon as it is whole.

    A draw that copies, stays empty or does not end by itself is thrown away and drawn again; after
    `config.max_draws` the least copied draw is taken.

    Args:
        engine: the bot.
        prompt: beginning of every post; may be empty.
        config: how to draw.
        index: the real posts; None where nothing is known of them.
        seed: the same seed and settings give the same posts on the same machine and engine.

    Raises:
        SettingsError: prompt and post are longer than the base can read.
    """
    start = opening(engine, prompt, config)
    rows = engine.begin(start, min(config.n, engine.at_once), len(start) + config.max_tokens)
    task = Task(words=engine, prompt=prompt, config=config, index=index)
    waiting = deque(Draft(place=place, seed=seed) for place in range(config.n))
    drawing: dict[int, Draft] = {}
    logits: dict[int, Logits] = {}
    while waiting or drawing:
        while waiting and (row := rows.join()) is not None:
            drawing[row] = waiting.popleft()
            task.start(drawing[row])
            logits[row] = rows.first
        for row, ended in draw(task, drawing, logits):
            draft = drawing.pop(row)
            if ended is not None and task.take(draft, ended):
                yield finished(draft, prompt, index)
            else:
                draft.draw += 1
                waiting.append(draft)
        logits = dict(rows.read({row: draft.ids[-1] for row, draft in drawing.items()}))


def draw(
    task: Task, drawing: Mapping[int, Draft], logits: Mapping[int, Logits]
) -> list[tuple[int, bool | None]]:
    """Draw a token for each row; return the rows that are over.

    With each stands whether it ended by itself; None where it was dropped as a copy.
    """
    config, separator = task.config, task.words.separator
    over: list[tuple[int, bool | None]] = []
    for row, draft in drawing.items():
        chances = logits[row]
        if len(draft.ids) < config.min_tokens:
            chances = chances.copy()
            chances[separator] = -np.inf
        [token] = choose(chances[None], config, [draft.dice.random()])
        draft.tokens += 1
        if token == separator:
            over.append((row, True))
            continue
        draft.ids.append(token)
        if task.ends_line(token):
            over.append((row, True))
        elif task.copies(draft):
            draft.drop()
            over.append((row, None))
        elif len(draft.ids) >= config.max_tokens:
            over.append((row, False))
    return over


def opening(words: Words, prompt: str, config: GenerationConfig) -> list[int]:
    """Return what every post begins with, in tokens.

    Raises:
        SettingsError: prompt and post are longer than the base can read.
    """
    start = [words.separator, *words.encode(prompt)]
    if len(start) + config.max_tokens > words.longest:
        raise SettingsError(
            f"A prompt of {len(start) - 1:,} tokens and a post of up to {config.max_tokens:,} are "
            f"more than the {words.longest:,} that the base reads at once.",
            hint="Choose a shorter prompt, or fewer --max-tokens.",
        )
    return start


def _less_copied(
    old: tuple[Overlap | None, str] | None, new: tuple[Overlap | None, str]
) -> tuple[Overlap | None, str]:
    if old is None or not old[1].strip():
        return new
    if not new[1].strip() or new[0] is None or old[0] is None:
        return old if not new[1].strip() else new
    return new if new[0].share <= old[0].share else old


def finished(draft: Draft, prompt: str, index: CopyIndex | None) -> Generation:
    """Return the best of a draft's draws as it is shown."""
    overlap, text = draft.best or (None, "")
    return Generation(
        text=text,
        prompt=prompt,
        seed=draft.seed,
        nearest=index.nearest(overlap) if index and overlap else Nearest(),
        drawn_again=draft.draw,
        copied_first=draft.copied_first,
        tokens=draft.tokens,
        dropped_early=draft.dropped_early,
        dropped_tokens=draft.dropped_tokens,
    )


def unguarded(config: GenerationConfig, n: int) -> GenerationConfig:
    """Return how `n` posts are drawn where the first draw of each is taken, copy or not."""
    return replace(config, n=n, max_draws=1, allow_copies=True)


def copied_unguarded(
    engine: Engine, config: GenerationConfig, n: int, index: CopyIndex, *, seed: int
) -> float:
    """Return the share of `n` posts that repeat a real one, drawn with the copy guard off."""
    rules = unguarded(config, n)
    made = generate(engine, "", rules, None, seed=seed)
    return copied_share([each.text for each in made], index, rules)


def with_seed(config: GenerationConfig) -> tuple[GenerationConfig, int]:
    """Return the settings with a seed in them: the given one, or a fresh one to print."""
    seed = config.seed if config.seed is not None else random.SystemRandom().randrange(2**31)
    return replace(config, seed=seed), seed

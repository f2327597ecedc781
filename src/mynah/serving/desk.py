"""Continuous batching: posts of many requests are drawn side by side, and join as places come free.

One thread draws. Requests come from other threads (`ask`) and hear of what happens through a
function of theirs (`tell`). What to draw, what is a copy and when to draw again is decided by
`generation`, as it is for `mynah say`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from mynah.config import GenerationConfig
from mynah.errors import MynahError
from mynah.generation import Draft, Task, Words, draw, finished, opening
from mynah.records import Generation
from mynah.sampling import Logits
from mynah.serving.mixed_llama import MixedLlama, Turn
from mynah.serving.shelf import Shelf, Version, Voice

_PIECE = 64  # tokens of a beginning that are read in one step

log = logging.getLogger("mynah.serving")


@dataclass(frozen=True, kw_only=True)
class Said:
    """A post is whole."""

    place: int
    post: Generation
    ended: bool  # by itself, not for its length


@dataclass(frozen=True)
class Failed:
    """A request cannot be answered."""

    error: MynahError


Event = Said | Failed


class Meter(Protocol):
    """What wants to know how the work goes."""

    def step(self, seconds: float, rows: int, bots: int, tokens: int) -> None:
        """Take note of one step of the model."""

    def begun(self, seconds: float, *, cold: bool) -> None:
        """Take note of how long a request waited for its first token."""


@dataclass(kw_only=True, eq=False)
class Job:
    """One request: posts of one bot that begin alike."""

    name: str
    prompt: str
    config: GenerationConfig
    seed: int
    tell: Callable[[Event], None]
    version: Version = ()
    start: list[int] = field(default_factory=list)  # what each post begins with, in tokens
    asked: float = field(default_factory=time.monotonic)
    cold: bool = False  # the bot was not at hand
    first: float | None = None  # seconds until the first token of the first post
    stopped: bool = False
    task: Task | None = None
    voice: Voice | None = None
    drafts: deque[Draft] = field(default_factory=deque)  # not being drawn

    def __post_init__(self) -> None:
        self.drafts.extend(Draft(place=place, seed=self.seed) for place in range(self.config.n))


@dataclass(kw_only=True)
class _Row:
    """A draft in the batch."""

    job: Job
    draft: Draft
    unread: list[int]  # tokens
    read: int = 0  # tokens


class Full(Exception):
    """More posts wait than may; come back after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


class Desk:
    """Where requests are taken and posts are drawn."""

    def __init__(
        self, llama: MixedLlama, words: Words, shelf: Shelf, *, queue: int, meter: Meter
    ) -> None:
        """Begin to draw, in a thread of its own.

        Args:
            llama: the base.
            words: its tokenizer.
            shelf: the bots.
            queue: most posts that may wait for a place.
            meter: is told how the work goes.
        """
        self._llama, self._words, self._shelf, self._meter = llama, words, shelf, meter
        self._queue = queue
        self._waiting: deque[Job] = deque()
        self._rows: list[_Row] = []
        self._reading: dict[tuple[str, Version], Future[Voice]] = {}
        self._post_seconds = 1.0  # from one whole post to the next, smoothed
        self._last_post = 0.0
        self._changed = threading.Condition()
        self._leaving = False
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="mynah-read")
        self._thread = threading.Thread(target=self._work, name="mynah-draw", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Return how many posts wait for a place."""
        return sum(len(job.drafts) for job in list(self._waiting))

    @property
    def drawing(self) -> int:
        """Return how many posts are being drawn."""
        return len(self._rows)

    @property
    def alive(self) -> bool:
        """Tell whether posts can be drawn."""
        return self._thread.is_alive() and not self._leaving

    def ask(self, job: Job) -> None:
        """Take a request.

        Raises:
            Full: too many posts are waiting.
            BotError: there is no such bot.
            SettingsError: prompt and post are too long.
        """
        job.version = self._shelf.check(job.name)
        job.start = opening(self._words, job.prompt, job.config)
        with self._changed:
            if self.waiting + job.config.n > self._queue:
                raise Full(max(1.0, self.waiting * self._post_seconds))
            self._waiting.append(job)
            self._changed.notify()

    def stop_job(self, job: Job) -> None:
        """Forget a request: nobody waits for its answer any more."""
        with self._changed:
            job.stopped = True
            self._changed.notify()

    def close(self) -> None:
        """Stop drawing; what is not whole by now never will be."""
        with self._changed:
            self._leaving = True
            self._changed.notify()
        self._thread.join()
        self._reader.shutdown(cancel_futures=True)

    def _work(self) -> None:
        while self._prepare():
            try:
                self._step()
            except Exception as error:  # whatever it was, the service goes on with the next ones
                log.exception("a step failed")
                failure = MynahError(f"The model failed ({type(error).__name__}).")
                for job in {id(row.job): row.job for row in self._rows}.values():
                    self._fail(job, failure)

    def _prepare(self) -> bool:
        """Let texts leave and join until there is something to read; tell whether to go on."""
        with self._changed:
            while not self._leaving:
                self._drop_stopped()
                waiting = len(self._waiting)
                self._admit()
                if self._rows:
                    return True
                if len(self._waiting) == waiting:  # else one failed, and made room for another
                    self._changed.wait()
        return False

    def _drop_stopped(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job.stopped)
        wanted = {(job.name, job.version) for job in self._waiting if job.voice is None}
        for key in [key for key in self._reading if key not in wanted]:
            del self._reading[key]
        self._leave([at for at, row in enumerate(self._rows) if row.job.stopped])

    def _leave(self, places: list[int]) -> None:
        """Take rows out; the last ones move to their places."""
        for at in sorted(places, reverse=True):
            last = self._rows.pop()
            if at < len(self._rows):
                self._llama.move(len(self._rows), at, last.read)
                self._rows[at] = last

    def _admit(self) -> None:
        """Give free places to those that wait, a post a request in turn; fetch their bots."""
        for _ in range(len(self._waiting)):
            if len(self._rows) == self._llama.rows:
                break
            job = self._waiting.popleft()
            if not self._has_voice(job):
                if not job.stopped:
                    self._waiting.append(job)
                continue
            self._begin(job)
            if job.drafts:
                self._waiting.append(job)

    def _has_voice(self, job: Job) -> bool:
        """Tell whether a request's bot is at hand; if not, have it read."""
        if job.voice is not None:
            return True
        job.voice = self._shelf.at_hand(job.name, job.version)
        if job.voice is None:
            job.voice = self._fetched(job)
        if job.voice is None:
            return False
        job.task = Task(
            words=self._words, prompt=job.prompt, config=job.config, index=job.voice.index
        )
        return True

    def _fetched(self, job: Job) -> Voice | None:
        """Return a bot that has just been read; else see to it that it will be."""
        key, job.cold = (job.name, job.version), True
        future = self._reading.get(key)
        if future is None and len(self._reading) < self._llama.rows:  # as can be seated: memory
            future = self._reading[key] = self._reader.submit(self._shelf.read, job.name)
            future.add_done_callback(self._wake)
        if future is None or not future.done():  # one that was done at once has woken nobody
            return None
        try:
            return future.result()
        except MynahError as error:
            self._fail(job, error)
        except Exception as error:
            log.exception("a bot could not be read")
            self._fail(
                job, MynahError(f"Bot '{job.name}' cannot be read ({type(error).__name__}).")
            )
        return None

    def _wake(self, _: Future[Voice]) -> None:
        with self._changed:
            self._changed.notify()

    def _begin(self, job: Job) -> None:
        assert job.task is not None, "its bot is at hand"
        draft = job.drafts.popleft()
        job.task.start(draft)
        self._rows.append(_Row(job=job, draft=draft, unread=list(job.start)))

    def _step(self) -> None:
        """Let the model read what each text has to read, and draw the next tokens."""
        begin, turns = time.perf_counter(), [self._turn(at) for at in range(len(self._rows))]
        logits = self._llama.read(turns)
        ready: dict[int, Logits] = {}
        for at, (row, turn) in enumerate(zip(self._rows, turns, strict=True)):
            row.read += len(turn.tokens)
            row.unread = row.unread[len(turn.tokens) :]
            if not row.unread:
                ready[at] = logits[at]
        over = [at for at in ready if self._draw(self._rows[at], ready[at])]
        seconds = time.perf_counter() - begin
        self._meter.step(seconds, len(turns), len({turn.owner for turn in turns}), len(ready))
        with self._changed:
            self._leave(over)

    def _turn(self, at: int) -> Turn:
        row = self._rows[at]
        voice = row.job.voice
        assert voice is not None, "its bot is at hand"
        tokens = row.unread[:_PIECE]
        return Turn(at, row.read, tokens, voice, voice.adapter, voice.rank)

    def _draw(self, row: _Row, logits: Logits) -> bool:
        """Draw a token for a row; tell whether its place is free then."""
        job, draft = row.job, row.draft
        assert job.task is not None, "its bot is at hand"
        if job.first is None:
            job.first = time.monotonic() - job.asked
            self._meter.begun(job.first, cold=job.cold)
        for _, ended in draw(job.task, {0: draft}, {0: logits}):
            if ended is not None and job.task.take(draft, ended):
                self._said(job, draft, ended)
            else:
                draft.draw += 1
                self._again(job, draft)
            return True
        row.unread = [draft.ids[-1]]
        return False

    def _said(self, job: Job, draft: Draft, ended: bool) -> None:
        now = time.monotonic()
        if 0 < now - self._last_post < 10:
            self._post_seconds += 0.1 * (now - self._last_post - self._post_seconds)
        self._last_post = now
        assert job.task is not None, "its bot is at hand"
        post = finished(draft, job.prompt, job.task.index)
        job.tell(Said(place=draft.place, post=post, ended=ended))

    def _again(self, job: Job, draft: Draft) -> None:
        """Put a post that was no good before those that wait: its request has waited already."""
        with self._changed:
            job.drafts.appendleft(draft)
            if job not in self._waiting:
                self._waiting.appendleft(job)

    def _fail(self, job: Job, error: MynahError) -> None:
        job.stopped = True
        job.tell(Failed(error))

"""The bots that are kept at hand: as many as fit, the longest unused goes first."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mynah.cleaning import read_cleaned
from mynah.copying import CopyIndex, words_of
from mynah.errors import BotBusy, BotError, BotNotFound, MynahError, StageMissing
from mynah.lora import WEIGHTS
from mynah.run_folder import RunFolder, open_bot
from mynah.serving.seats import Shape, read_adapter

_INDEXED = 100  # bytes of a word in an index of real posts
_TRIES = 3  # a bot that is replaced in the middle of reading is read again

Version = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Voice:
    """A bot at hand: what its training left, and the posts that it must not repeat."""

    name: str
    version: Version
    adapter: Tensor
    rank: int
    index: CopyIndex | None  # None: the posts are not here, so copies go unnoticed
    size: int  # bytes


def version_of(folder: RunFolder) -> Version:
    """Return what changes when a bot is trained anew or its posts change.

    Raises:
        BotNotFound: there is no such bot, or it was never trained.
    """
    seen = []
    for path in (folder.adapter / WEIGHTS, folder.cleaned):
        try:
            stat = path.stat()
            seen += [stat.st_ino, stat.st_size, stat.st_mtime_ns]
        except OSError:
            seen += [0]
    if seen[0] == 0:
        raise BotNotFound(f"There is no bot '{folder.name}' here.", hint="See GET /v1/models.")
    return tuple(seen)


def base_of(folder: RunFolder) -> tuple[str, str] | None:
    """Return the name and SHA-256 of the base that a bot was trained on; None where it has none."""
    try:
        version_of(folder)
        learned = folder.learned()
        return learned["config"]["base"], learned["result"]["base"]["sha256"]
    except (MynahError, KeyError, TypeError, OSError):
        return None


def bots_of(bots: Path) -> Iterator[RunFolder]:
    """Yield the folders of bots in a folder, by name."""
    for path in sorted(bots.iterdir()) if bots.is_dir() else ():
        if (path / "run.json").is_file():
            yield RunFolder(path)


def common_base(bots: Path) -> tuple[str, str]:
    """Return name and SHA-256 of the base that most bots of a folder have.

    Raises:
        StageMissing: no bot there was trained.
    """
    counts = Counter(base for folder in bots_of(bots) if (base := base_of(folder)))
    if not counts:
        raise StageMissing(f"No trained bot in {bots}.", hint="Make one: mynah make <archive>")
    return counts.most_common(1)[0][0]


class Shelf:
    """The bots of a folder on one base, read when they are asked for."""

    def __init__(self, bots: Path, *, sha256: str, shape: Shape, room: int) -> None:
        """Begin with nothing at hand.

        Args:
            bots: the folder.
            sha256: of the base; bots of another one are not served.
            shape: of every adapter on it.
            room: bytes that the bots at hand may take; the newest stays in any case.
        """
        self.bots, self._sha256, self._shape, self._room = bots, sha256, shape, room
        self._kept: OrderedDict[str, Voice] = OrderedDict()
        self._served: dict[str, tuple[Version, bool]] = {}
        self._lock = threading.Lock()
        self.hits = self.misses = self.evicted = 0

    @property
    def count(self) -> int:
        """Return how many bots are at hand."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """Return how many bytes they take."""
        with self._lock:
            return sum(voice.size for voice in self._kept.values())

    def names(self) -> list[tuple[str, int]]:
        """Return the bots that are served, and when each was trained in seconds since 1970."""
        found = []
        for folder in bots_of(self.bots):
            try:
                version = version_of(folder)
            except BotNotFound:
                continue
            if self._serves(folder, version):
                found.append((folder.name, version[2] // 10**9))
        return found

    def _serves(self, folder: RunFolder, version: Version) -> bool:
        """Tell whether a bot is on this base; its record is read once for each version."""
        known = self._served.get(folder.name)
        if known is None or known[0] != version:
            base = base_of(folder)
            known = (version, base is not None and base[1] == self._sha256)
            self._served[folder.name] = known
        return known[1]

    def check(self, name: str) -> Version:
        """Return the version of a bot as it lies there now.

        Raises:
            BotError: there is none of that name, or it is on another base.
        """
        folder = open_bot(self.bots, name)
        version = version_of(folder)
        if not self._serves(folder, version):
            raise BotNotFound(
                f"Bot '{name}' is on another base than this service.", hint="See GET /v1/models."
            )
        return version

    def at_hand(self, name: str, version: Version) -> Voice | None:
        """Return a bot that is at hand in this version."""
        with self._lock:
            voice = self._kept.get(name)
            if voice is None or voice.version != version:
                return None
            self._kept.move_to_end(name)
            self.hits += 1
            return voice

    def read(self, name: str) -> Voice:
        """Read a bot and keep it at hand; others may have to go.

        Raises:
            BotError: it is gone, damaged, or on another base.
        """
        for _ in range(_TRIES):
            version = self.check(name)
            voice = self._read_whole(RunFolder(self.bots / name), version)
            if version == self.check(name):
                self._keep(voice)
                return voice
        raise BotBusy(f"Bot '{name}' is just being written.", hint="Ask again.")

    def _read_whole(self, folder: RunFolder, version: Version) -> Voice:
        """Read a bot; what is wrong with it is said without the paths of this machine."""
        try:
            return self._read(folder, version)
        except (MynahError, OSError) as error:
            raise BotError(
                f"Bot '{folder.name}' is damaged, or just being written.", hint="Train it again."
            ) from error

    def _read(self, folder: RunFolder, version: Version) -> Voice:
        adapter, rank = read_adapter(folder.adapter, self._shape)
        texts = [post.text for post in read_cleaned(folder.cleaned)] if version[3] else None
        words = sum(len(words_of(text)) for text in texts or ())
        return Voice(
            name=folder.name,
            version=version,
            adapter=adapter,
            rank=rank,
            index=None if texts is None else CopyIndex(texts),
            size=adapter.nbytes + _INDEXED * words,
        )

    def _keep(self, voice: Voice) -> None:
        with self._lock:
            self.misses += 1
            self._kept[voice.name] = voice
            self._kept.move_to_end(voice.name)
            while len(self._kept) > 1 and self._total() > self._room:
                self._kept.popitem(last=False)
                self.evicted += 1

    def _total(self) -> int:
        return sum(voice.size for voice in self._kept.values())


def row_of(name: str, created: int) -> dict[str, Any]:
    """Return a bot as OpenAI's list of models has it."""
    return {"id": name, "object": "model", "created": created, "owned_by": "mynah"}

"""Where a fetch waits until it is whole, and what an update finds of an earlier one."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mynah.errors import BotBusy, RateLimited, ServerDown, StorageError
from mynah.records import Post, read_posts
from mynah.run_folder import RunFolder
from mynah.sources import Known

# After these the same command goes on with the pages that it has; after others it begins anew.
_GOES_ON = (RateLimited, ServerDown, StorageError, KeyboardInterrupt)
_FOLDER = ".fetch-"


@contextmanager
def waiting(bots: Path, sources: Sequence[str], keep_hours: float) -> Iterator[RunFolder]:
    """Hold the folder that a fetch of these sources waits in, and take it away afterwards.

    Where the network or the person has interrupted it, or a kill, the pages stay, until some
    fetch begins after `keep_hours`: they would not be used any more.

    Raises:
        BotBusy: another process is fetching the same.
    """
    _sweep(bots, keep_hours)
    folder = RunFolder(bots / f"{_FOLDER}{_digest(sources)}")
    try:
        lock = folder.lock()
        lock.__enter__()
    except BotBusy as error:
        raise BotBusy(
            f"Another process is fetching {' '.join(sources)} already.", hint="Wait for it."
        ) from error
    try:
        yield folder
    except _GOES_ON:
        if not pages_of(folder).exists():
            shutil.rmtree(folder.root, ignore_errors=True)
        raise
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder.root, ignore_errors=True)
    finally:
        lock.__exit__(None, None, None)


def _sweep(bots: Path, keep_hours: float) -> None:
    """Take away what interrupted fetches have left, unless it is young or somebody is at it."""
    for path in bots.glob(f"{_FOLDER}*"):
        folder = RunFolder(path)
        if not _is_stale(folder, keep_hours):
            continue
        with suppress(BotBusy, StorageError, OSError), folder.lock():
            if _is_stale(folder, keep_hours):  # still, now that nobody else can write
                shutil.rmtree(path, ignore_errors=True)


def _is_stale(folder: RunFolder, keep_hours: float) -> bool:
    """Tell whether the newest page is too old to be used; without pages the folder itself is."""
    pages = list(pages_of(folder).glob("*")) or [folder.root]
    try:
        newest = max(path.stat().st_mtime for path in pages)
    except OSError:  # its own fetch has just ended
        return False
    return time.time() - newest > keep_hours * 3_600


def pages_of(folder: RunFolder) -> Path:
    """Return where the pages of a fetch wait."""
    return folder.root / "pages"


def _digest(sources: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:12]


def known_posts(path: Path) -> dict[tuple[str, str], Known]:
    """Return what a posts.jsonl has of each account, by source and author in lower case."""
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    newest: dict[tuple[str, str], tuple[str, str]] = {}
    for post in read_posts(path):
        key = (post.source, post.author.lower())
        ids[key].add(post.id)
        newest[key] = max(newest.get(key, ("", "")), (post.created_at or "", post.id))
    return {
        key: Known(frozenset(found), newest[key][0] or None, newest[key][1])
        for key, found in ids.items()
    }


def merged(path: Path, new: Sequence[Post]) -> Iterator[Post]:
    """Yield the posts of a posts.jsonl, then the new ones; of two with one id the new one."""
    replaced = {(post.source, post.author, post.id) for post in new}
    for post in read_posts(path):
        if (post.source, post.author, post.id) not in replaced:
            yield post
    yield from new

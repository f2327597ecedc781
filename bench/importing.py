"""Import a large archive and print how long it takes and how much memory.

    python bench/importing.py [--posts 100000] [--gib 2] [--folder DIR]

Makes an X archive of made-up posts, with stored media up to the wanted size, imports it in a
process of its own, writes posts.jsonl as `mynah fetch` does, and prints one table.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import build_archives as builder

PART = 25_000  # posts a tweets-partN.js
WORDS = (
    "kettle tide window & again Tuesday <never> coffee 🌊 morning the of and to a in is it "
    "that was for on my with this have not be at so but all just like one what when up out "
    "bridge lamp ferry harbour letter garden photograph weather neighbour engine ladder night"
).split()


def main() -> None:
    """Make the archive, import it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="make the archive here and keep it")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        import_one(asked.child)
        return
    with tempfile.TemporaryDirectory() as temporary:
        path = (asked.folder or Path(temporary)) / "large.zip"
        if not path.exists():
            make(path, asked.posts, int(asked.gib * 2**30))
        command = [sys.executable, __file__, "--child", str(path)]
        show(path, json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def show(path: Path, figures: dict[str, float]) -> None:
    """Print one table, beside what must hold."""
    posts, seconds = figures["posts"], figures["seconds"]
    print(f"archive          {path.stat().st_size / 2**30:8.2f} GiB")
    print(f"tweets' JSON     {figures['json_mb']:8.0f} MB")
    print(f"posts            {posts:8,.0f}")
    print(f"import           {seconds:8.2f} s     (limit 10)")
    print(f"posts a second   {posts / seconds:8,.0f}")
    print(f"peak memory      {figures['peak_mb']:8.0f} MB    (limit 400)")


def import_one(path: Path) -> None:
    """Import as `mynah fetch` does, in this process, and print the figures as JSON."""
    start = time.perf_counter()
    from mynah.config import FetchConfig
    from mynah.records import post_to_json
    from mynah.run_folder import write_rows
    from mynah.sources import read

    fetched = read(str(path), FetchConfig())
    posts = write_rows(path.with_name("posts.jsonl"), map(post_to_json, fetched.posts))
    seconds = time.perf_counter() - start
    with zipfile.ZipFile(path) as archive:
        size = sum(m.file_size for m in archive.infolist() if "/tweets" in m.filename[-18:])
    figures = {"posts": posts, "seconds": seconds, "peak_mb": peak_mb(), "json_mb": size / 1e6}
    print(json.dumps(figures))


def peak_mb() -> float:
    """Return this process's peak memory; Linux's rusage would include the parent's before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def make(path: Path, posts: int, size: int) -> None:
    """Write the archive: the posts' files packed, then media stored as holes until `size`."""
    account = {"username": "madeup", "account_id": "9000000000000009", "display_name": "Made Up"}
    account |= {"created_at": "2010-01-01T00:00:00Z", "bio": "no one"}
    types: dict[str, builder.Row] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for base, value in small_files(account).items():
            archive.writestr(f"data/{base}.js", value)
        files = []
        for number, tweets in enumerate(parts(account, posts)):
            base = f"tweets-part{number}" if number else "tweets"
            data = builder.script(f"YTD.tweets.part{number}", tweets)
            archive.writestr(f"data/{base}.js", data)
            files.append({"fileName": f"data/{base}.js", "count": str(len(tweets))})
        types["tweets"] = {"files": files}
        archive.writestr("data/manifest.js", builder.script("__THAR_CONFIG", {"dataTypes": types}))
    add_media(path, size)


def small_files(account: builder.Row) -> dict[str, bytes]:
    """Return account.js and profile.js."""
    files = builder.members(builder.Archive(account))
    return {name: files[f"data/{name}.js"] for name in ("account", "profile")}


def parts(account: builder.Row, posts: int) -> Iterator[list[builder.Row]]:
    """Yield the posts in lists as long as X's part files."""
    chance = random.Random(0)
    for first in range(0, posts, PART):
        archive = builder.Archive(account)
        for number in range(first, min(posts, first + PART)):
            archive.add(row(number, chance))
        yield [{"tweet": tweet} for tweet in archive.tweets]


def row(number: int, chance: random.Random) -> builder.Row:
    """Return a made-up post: one in three has a link or a photo, one in four is a reply."""
    text = " ".join(chance.choices(WORDS, k=chance.randint(4, 32))) + f" {number}"
    at = 1_300_000_000 + number * 4_000
    made: builder.Row = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), "text": text}
    if number % 4 == 0:
        made |= {"reply_to": "someone", "text": f"@someone {text}"}
    if number % 3 == 0:
        made["text"] += f" https://place{number}.example/page"
    return made | ({"media": "photo"} if number % 3 == 1 else {})


def add_media(path: Path, size: int) -> None:
    """Append stored members that are holes in the file: a large zip in no time.

    `zipfile` would write every byte; here the local header is written, the file is made longer,
    and the central directory is told. The checksum is wrong, which nobody who leaves media alone
    will notice.
    """
    with zipfile.ZipFile(path, "a") as archive:
        raw = archive.fp
        assert raw is not None
        raw.seek(archive.start_dir)
        number = 0
        while raw.tell() < size:
            length = min(64 << 20, size - raw.tell())
            info = zipfile.ZipInfo(f"data/tweets_media/{number}-madeup.mp4")
            info.CRC, info.header_offset = 0, raw.tell()
            info.compress_size = info.file_size = length
            name = info.filename.encode()
            head = struct.pack(
                "<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, length, length, len(name), 0
            )
            raw.write(head + name)
            raw.seek(length, 1)
            archive.filelist.append(info)
            number += 1
        archive.start_dir = raw.tell()
        archive._didModify = True  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()

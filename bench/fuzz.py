"""Damage samples of every source at random: no reader may raise anything but Mynah's own errors.

    python bench/fuzz.py [--samples 10000] [--seed 0] [--keep FOLDER] [more samples ...]

Bytes are changed, cut, doubled and moved; in JSON, values are put in each other's places. Each
damaged file is read as a person would name it, and by the sample's own reader whatever the file
looks like now. A failure is printed with its traceback, and the file kept. Ends with 1 after one.
The library behind `hf:` takes a quarter of a second for each, so there it is one in two hundred.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mynah.config import FetchConfig
from mynah.errors import MynahError
from mynah.sources import READERS, read
from mynah.sources.journal import Journal
from mynah.sources.place import MemberPlace, Place, place_at
from mynah.sources.recognition import Match, Reader, find
from samples import Sample, samples

_LARGEST = 8 << 10  # bytes of a sample that is brought along; more would only be slower
_SLOW = 200  # times fewer samples where a library reads them
_SHOWN = 3  # failures of a reader with their tracebacks
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 10**30, float("nan"), "", " ", "\ud800", "\0", "‎", "@", "RT @x: y"),
    *("1e9", "31.02.26", "٣", "9" * 30, "b'\\xff'", "&amp;" * 9, [], {}, [[]], {"": ""}, ["x"]),
)
_BITS = (
    *(b"", b"\n", b"\r", b'"', b"'", b",", b";", b"{", b"}", b"[", b"]", b":", b"\\", b"\\ud800"),
    *(b"null", b"NaN", b"1e999", b"-", b"\xff", b"\xef\xbb\xbf", b"\0", b"\xe2\x80\x8e", b"PK\3\4"),
    *(b"\n[31.12.25, 21:05:33] A: ", b"\n99/99/99, 9:99 PM - B: ", b"> ", b"=", b"\x1f\x8b"),
)


class Failure(NamedTuple):
    """An exception that is not Mynah's."""

    text: str
    path: Path


def main() -> int:
    """Run all readers, print one table, and tell whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("more", nargs="*", type=Path, help="samples of yours: files or folders")
    parser.add_argument("--samples", type=int, default=10_000, help="damaged files a reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), metavar="FOLDER")
    arguments = parser.parse_args()
    own = [*samples(), *brought(arguments.more)]
    failed = 0
    print(f"{'reader':18} {'samples':>8} {'read':>8} {'refused':>8} {'failed':>7} {'seconds':>8}")
    for reader in READERS:
        fitting = [each for each in own if each.reader == name_of(reader)]
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            counts, failures = fuzz(
                reader, fitting, arguments.samples, arguments.seed, Path(folder)
            )
            seconds = time.monotonic() - start
            print(f"{name_of(reader):18} " + " ".join(f"{count:8,}" for count in counts), end=" ")
            print(f"{len(failures):7,} {seconds:8.1f}", flush=True)
            keep(failures, arguments.keep)
        failed += len(failures)
    return int(failed > 0)


def fuzz(
    reader: Reader, fitting: Sequence[Sample], count: int, seed: int, folder: Path
) -> tuple[tuple[int, int, int], list[Failure]]:
    """Return how many files were made, read and refused, and what failed."""
    chance = random.Random(f"{seed}{name_of(reader)}")
    made = done = 0
    failures: list[Failure] = []
    count = -(-count // _SLOW) if reader.SCHEME == "hf" else count
    for made in range(1, count + 1 if fitting else 1):
        sample = fitting[made % len(fitting)]
        damaged = damage(sample, chance)
        path = folder / f"{made}-{sample.name}"
        path.write_bytes(damaged.data)
        problem, well = attempt(reader, path, damaged.author)
        done += well
        if problem:
            failures.append(Failure(problem, path))
        else:
            path.unlink()
    return (made, done, made - done - len(failures)), failures


def attempt(reader: Reader, path: Path, author: str | None) -> tuple[str, bool]:
    """Read a file both ways; return the traceback of what must not happen, and if it was read."""
    well = False
    config = FetchConfig(author=author)
    for way in (directly,) if reader.SCHEME == "hf" else (by_name, directly):
        try:
            way(reader, path, config)
            well = True
        except MynahError as error:
            if not error.sentence or "\n" in error.sentence:
                return f"An error without a sentence: {error!r}\n", False
        except Exception:
            return traceback.format_exc(), False
    return "", well


def by_name(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file as a person names it."""
    for post in read(str(path), config).posts:
        assert post.text
        post.text.encode()


def directly(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file by this reader, whether it recognises it or not."""
    place: Place
    if reader.SCHEME == "hf":
        place = find(f"hf:{rows_folder(path)}", config).place
    else:
        place = place_at(path, config)
        if reader.SCHEME == "file" and len(place.names) != 1:
            place = MemberPlace(place, next(iter(place.names), "none"))
    reader.recognises(place)
    for post in reader.read(place, Journal()).posts:
        post.text.encode()


def rows_folder(path: Path) -> Path:
    """Return a folder with nothing but the file: a dataset."""
    folder = path.with_suffix(".dataset")
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_bytes(path.read_bytes())
    return folder


def damage(sample: Sample, chance: random.Random) -> Sample:
    """Return the sample with one of its files, or the zip itself, damaged in one to four ways."""
    if not sample.is_file and chance.random() < 0.2:
        whole = damaged_bytes(sample.data, chance)
        return Sample(sample.reader, sample.name, {sample.name: whole}, 0, 0, sample.author)
    name = chance.choice([name for name in sample.files if sample.files[name]])
    data = sample.files[name]
    start = re.match(rb"[^\[{]{0,200}", data) if chance.random() < 0.5 else None
    changed = damaged_json(data, start.end(), chance) if start else None
    files = sample.files | {name: changed or damaged_bytes(data, chance)}
    return Sample(sample.reader, sample.name, files, 0, 0, sample.author)


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with stretches taken out, doubled, moved, or overwritten."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 2, 9, 99, 999)))
        at = chance.randrange(len(data) + 1)
        way = chance.randrange(5)
        if way == 0:
            data = data[:start] + data[end:]
        elif way == 1:
            data = data[:at] + data[start:end] + data[at:]
        elif way == 2:
            data = data[:start] + chance.choice(_BITS) + data[end:]
        elif way == 3:
            data = data[:start] + chance.randbytes(1) + data[start + 1 :]
        elif chance.random() < 0.3:
            data = data[:start]
    return data


def damaged_json(data: bytes, start: int, chance: random.Random) -> bytes | None:
    """Return JSON, or lines of it, with values exchanged; None where it is none."""
    try:
        rows = [json.loads(data[start:])]
    except ValueError:
        try:
            rows = [json.loads(line) for line in data.splitlines()]
        except ValueError:
            return None
    for _ in range(chance.randint(1, 4)):
        rows = exchanged(rows, chance)
    return data[:start] + "\n".join(json.dumps(row) for row in rows).encode()


def exchanged(value: Any, chance: random.Random) -> Any:
    """Return a value with one of those in it replaced, by an odd one or by one of its own."""
    spots = list(nodes(value))
    if not spots:
        return value
    parent, key = chance.choice(spots)
    other, of = chance.choice(spots)
    new = chance.choice(_ODD) if chance.random() < 0.7 else json.loads(json.dumps(other[of]))
    if chance.random() < 0.15:
        del parent[key]
    else:
        parent[key] = new
    return value


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from nodes(inner)


def brought(paths: Sequence[Path]) -> Iterator[Sample]:
    """Yield samples of the person's own, cut to a size that can be read ten thousand times."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            try:
                match: Match = find(str(file), FetchConfig())
            except (MynahError, OSError):
                continue
            if file.is_file() and file.suffix != ".js":
                name = file.name.removesuffix(".gz")
                data = whole_lines(unpacked(file.read_bytes()))
                yield Sample(name_of(match.reader), name, {name: data}, 0, 0)


def unpacked(data: bytes) -> bytes:
    """Return the bytes of a gzip, or the bytes as they are."""
    return zlib.decompress(data, 31) if data.startswith(b"\x1f\x8b") else data


def whole_lines(data: bytes) -> bytes:
    """Return the beginning, up to the end of a line where there is one."""
    if len(data) <= _LARGEST:
        return data
    beginning = data[:_LARGEST]
    return beginning[: beginning.rfind(b"\n") + 1] or beginning


def keep(failures: Sequence[Failure], folder: Path) -> None:
    """Print the first tracebacks, and keep their files to look at."""
    for failure in failures[:_SHOWN]:
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / failure.path.name
        kept.write_bytes(failure.path.read_bytes())
        print(f"{failure.text}{kept}", file=sys.stderr)


def name_of(reader: Reader) -> str:
    """Return the name of a reader's module."""
    return str(reader.__name__).rpartition(".")[2]  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())

"""Damage samples of every source at random: no reader may raise anything but Mynah's own errors.

    python bench/fuzz.py [--samples 10000] [--seed 0] [--only NAME ...] [--keep FOLDER] [more ...]

Bytes are changed, cut, doubled and moved; in JSON, values are put in each other's places. Each
damaged file is read as a person would name it, and by the sample's own reader whatever the file
looks like now; of a service on the network the answers are damaged, statuses and headers as well.
A failure is printed with its traceback, and what was read is kept. Ends with 1 after one.
The library behind `hf:` takes a quarter of a second for each, so there one in two hundred is read
through it, and of the others the rows that it would have given.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mynah.config import FetchConfig
from mynah.errors import BrokenSource, MynahError
from mynah.records import Post
from mynah.sources import READERS, REMOTES, Trip, hf_dataset, read, read_all
from mynah.sources.journal import Journal
from mynah.sources.place import MemberPlace, Place, place_at
from mynah.sources.recognition import Match, Reader, find
from mynah.sources.rows import Rows
from samples import Sample, samples
from services import ENVIRONMENT, Service, services

_LARGEST = 8 << 10  # bytes of a sample that is brought along; more would only be slower
_SLOW = 200  # every so many samples go through a library that is slow
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


_STATUSES = (201, 204, 206, 300, 304, 400, 401, 402, 403, 404, 408, 410, 418, 429, 500, 501, 503)
_HEADERS = (
    *("Link", "Content-Type", "Content-Encoding", "Content-Signal", "Retry-After"),
    *("X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Reset", "X-Robots-Tag"),
)
_VALUES = (
    *("", "0", "-1", "nan", "9" * 400, "1e400", "2026-13-45", "Mon, 99 Foo", "gzip", "noai"),
    *("text/html; charset=utf-7", "<>; rel=next", "<https://[>; rel=next", "<x:>; rel=next", "\0"),
)


class Failure(NamedTuple):
    """An exception that is not Mynah's."""

    text: str
    path: Path


Outcome = tuple[tuple[int, int, int], list[Failure]]  # made, read, refused; and what failed
Way = Callable[[Reader, Path, FetchConfig], None]
Run = Callable[[int, int, Path], Outcome]  # of how many, a seed, and a folder to work in


def main() -> int:
    """Run all readers, print one table, and tell whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("more", nargs="*", type=Path, help="samples of yours: files or folders")
    parser.add_argument("--samples", type=int, default=10_000, help="damaged files a reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="NAME", help="readers to try")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), metavar="FOLDER")
    arguments = parser.parse_args()
    print(f"{'reader':18} {'samples':>8} {'read':>8} {'refused':>8} {'failed':>7} {'seconds':>8}")
    failed = 0
    for name, run in runs(arguments.more):
        if arguments.only and name not in arguments.only:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            counts, failures = run(arguments.samples, arguments.seed, Path(folder))
            seconds = time.monotonic() - start
            print(f"{name:18} " + " ".join(f"{count:8,}" for count in counts), end=" ")
            print(f"{len(failures):7,} {seconds:8.1f}", flush=True)
            keep(failures, arguments.keep)
        failed += len(failures)
    return int(failed > 0)


def runs(more: Sequence[Path]) -> Iterator[tuple[str, Run]]:
    """Yield the name of every reader of files and of services, and how it is tried."""
    own = [*samples(), *brought(more)]
    for reader in READERS:
        fitting = [each for each in own if each.reader == name_of(reader)]
        yield name_of(reader), partial(fuzz, reader, fitting)
    for name in dict.fromkeys(REMOTES.values()):
        yield name, partial(fuzz_services, [each for each in services() if each.reader == name])


def fuzz(reader: Reader, fitting: Sequence[Sample], count: int, seed: int, folder: Path) -> Outcome:
    """Return how many files were made, read and refused, and what failed."""
    chance = random.Random(f"{seed}{name_of(reader)}")
    made = done = 0
    failures: list[Failure] = []
    for made in range(1, count + 1 if fitting else 1):
        sample = fitting[made % len(fitting)]
        damaged = damage(sample, chance)
        path = folder / f"{made}-{sample.name}"
        path.write_bytes(damaged.data)
        problem, well = attempt(ways_of(reader, made), reader, path, damaged.author)
        done += well
        if problem:
            failures.append(Failure(problem, path))
        else:
            path.unlink()
    return (made, done, made - done - len(failures)), failures


def fuzz_services(fitting: Sequence[Service], count: int, seed: int, folder: Path) -> Outcome:
    """Do the same with what a service answers."""
    chance = random.Random(f"{seed}{fitting[0].reader}")
    done = 0
    failures: list[Failure] = []
    with patch.dict(os.environ, ENVIRONMENT):
        for made in range(1, count + 1):
            damaged = damage_service(fitting[made % len(fitting)], chance)
            problem, well = outcome(partial(by_network, damaged))
            done += well
            if problem:
                path = folder / f"{made}-{damaged.reader}.txt"
                path.write_text(repr(damaged), encoding="utf-8")
                failures.append(Failure(problem, path))
    return (count, done, count - done - len(failures)), failures


def ways_of(reader: Reader, number: int) -> tuple[Way, ...]:
    """Return how a file is read."""
    if reader.SCHEME != "hf":
        return by_name, directly
    return (through_library,) if number % _SLOW == 1 else (row_by_row,)


def attempt(
    ways: Sequence[Way], reader: Reader, path: Path, author: str | None
) -> tuple[str, bool]:
    """Read a file in all ways; return the traceback of what must not happen, and if it was read."""
    config = FetchConfig(author=author)
    tried = [outcome(partial(way, reader, path, config)) for way in ways]
    return "".join(problem for problem, _ in tried), any(well for _, well in tried)


def outcome(way: Callable[[], None]) -> tuple[str, bool]:
    """Read something; return the traceback of what must not happen, and if it was read."""
    try:
        way()
    except MynahError as error:
        if not error.sentence or "\n" in error.sentence:
            return f"An error without a sentence: {error!r}\n", False
        return "", False
    except Exception:
        return traceback.format_exc(), False
    return "", True


def by_network(service: Service) -> None:
    """Read an account at a service."""
    trip = Trip(transport=service.transport(), sleep=lambda seconds: None)
    consume(read_all([service.spec], FetchConfig(i_have_the_right_to=True), trip).posts)


def by_name(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file as a person names it."""
    consume(read(str(path), config).posts)


def directly(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file by this reader, whether it recognises it or not."""
    place: Place = place_at(path, config)
    if reader.SCHEME == "file" and len(place.names) != 1:
        place = MemberPlace(place, next(iter(place.names), "none"))
    reader.recognises(place)
    consume(reader.read(place, Journal()).posts)


def through_library(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file as a dataset of its own."""
    consume(reader.read(find(f"hf:{rows_folder(path)}", config).place, Journal()).posts)


def row_by_row(reader: Reader, path: Path, config: FetchConfig) -> None:
    """Read a file's rows as those of a dataset, which the library has read."""
    journal = Journal()
    try:
        values = [json.loads(line) for line in path.read_bytes().splitlines()]
    except ValueError as error:
        raise BrokenSource("The library would have refused it.") from error
    rows = hf_dataset.listed(path, {"train": [r for r in values if isinstance(r, dict)]}, journal)
    consume(Rows("tides", "hf", journal).posts(rows))


def consume(posts: Iterable[Post]) -> None:
    """Look at every post: its text is one that can be written."""
    for post in posts:
        assert post.text
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
    files = sample.files | {name: damaged(sample.files[name], chance)}
    return Sample(sample.reader, sample.name, files, 0, 0, sample.author)


def damage_service(service: Service, chance: random.Random) -> Service:
    """Return the service with one of its answers damaged, or what stands around them."""
    if chance.random() < 0.1:
        return replace(service, status=chance.choice(_STATUSES))
    if chance.random() < 0.1:
        return replace(service, headers={chance.choice(_HEADERS): chance.choice(_VALUES)})
    key = chance.choice(list(service.answers))
    bodies = list(service.answers[key])
    number = chance.randrange(len(bodies))
    bodies[number] = damaged(bodies[number], chance)
    return replace(service, answers=service.answers | {key: tuple(bodies)})


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return bytes damaged as JSON, where they are some, or as bytes."""
    start = re.match(rb"[^\[{]{0,200}", data) if chance.random() < 0.5 else None
    changed = damaged_json(data, start.end(), chance) if start else None
    return changed or damaged_bytes(data, chance)


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
    new = deepcopy(chance.choice(_ODD) if chance.random() < 0.7 else other[of])
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

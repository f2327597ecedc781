"""The chain from the posts' files to the bot, each link checked by hashing what is there now.

    source files ─► posts.jsonl ─► cleaned.jsonl ─► adapter/ ─► report.json, samples.jsonl ─► card
                                         base ──────┘   └─► exports

    a blend:  its bots' posts and adapters ─► posts.jsonl, cleaned.jsonl, adapter/, parents/ ─► …

run.json holds the SHA-256 of all that a stage read and wrote. A link is broken where a file is not
what its stage wrote, or where a stage was made of another file than is there now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from mynah.bases import weights_here
from mynah.config import FetchConfig, build
from mynah.errors import BotError, SourceError
from mynah.parentage import command, parents_of
from mynah.run_folder import RunFolder, hash_tree
from mynah.sources import rehash

Status = Literal["ok", "changed", "stale", "missing", "not recorded"]
Record = Mapping[str, Any]

# Which stage writes what, for a file that none has recorded.
_FILES = {
    "posts.jsonl": "fetch",
    "cleaned.jsonl": "clean",
    "dropped.jsonl": "clean",
    "adapter": "train",
    "report.json": "report",
    "report.html": "report",
    "samples.jsonl": "say",
    "README.md": "card",
}
_AWAY = "export"  # what such a stage writes leaves the folder, under any name


@dataclass(frozen=True, kw_only=True)
class Link:
    """One file or folder of the chain, as recorded and as found."""

    name: str
    stage: str  # the verb that makes it; "source", "parent" and "base" come from outside
    status: Status
    sha256: str | None  # as recorded
    why: str = ""  # what is wrong, in a few words
    fix: str = ""  # the command that mends it

    @property
    def broken(self) -> bool:
        """Tell whether the chain ends here.

        A source, a parent or an export that was put away is no break: the bot holds together.
        """
        away = self.stage.startswith(("source", "parent", _AWAY))
        return self.status in ("changed", "stale") or (self.status == "missing" and not away)


def check_lineage(folder: RunFolder) -> list[Link]:
    """Return every link of a bot's chain, checked, in the order in which they were made.

    Raises:
        BotNotFound: there is no such bot.
        BotError: run.json does not hold what stages write.
    """
    folder.require(folder.root)
    try:
        return list(_links(folder, folder.read_run()["stages"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BotError(
            f"{folder.run} does not hold what stages write.",
            hint=f"Write it anew: {_anew(folder)}",
        ) from error


def _links(folder: RunFolder, stages: Mapping[str, Record]) -> Iterator[Link]:
    yield from _sources(folder, stages.get("fetch", {}))
    wrote = _writers(stages)
    yield from _parents(folder, stages.get("blend", {}))
    for stage, record in stages.items():
        if "base" in record["result"]:
            yield _base(folder, record)
        for name in record["outputs"]:
            if wrote[name] == stage:
                yield _checked(folder, name, stage, stages)
    for name, stage in _FILES.items():
        if name not in wrote and (folder.root / name).exists():
            yield _unrecorded(folder, name, stage)


def _writers(stages: Mapping[str, Record]) -> dict[str, str]:
    """Return which stage wrote each file last: a quiz goes on with the page of a report."""
    in_time = sorted(stages.items(), key=lambda item: str(item[1]["at"]))
    return {name: stage for stage, record in in_time for name in record["outputs"]}


def _anew(folder: RunFolder) -> str:
    return f"mynah make <source> --name {folder.name} --replace"


def first_broken(links: list[Link]) -> Link | None:
    """Return the link to mend first: all that is made of it has to be made anew anyway."""
    return next((link for link in links if link.broken), None)


def _sources(folder: RunFolder, record: Record) -> Iterator[Link]:
    """Yield what posts were read from, each read again where it was read before."""
    found: dict[str, set[str]] = {}
    for spec in record.get("sources") or ():
        try:
            fresh = rehash(spec, build(FetchConfig, record["config"]))
        except SourceError:
            fresh = {}
        for name, digest in fresh.items():
            found.setdefault(name, set()).add(digest)
    for name, digest in (record.get("inputs") or {}).items():
        here = found.get(name.rstrip("'"), set())  # two sources of one name are told apart so
        status: Status = "ok" if digest in here else "changed" if here else "missing"
        yield Link(
            name=name,
            stage="source",
            status=status,
            sha256=digest,
            why={
                "ok": "",
                "changed": "it is not the file that was read",
                "missing": "not where it was read; the posts are kept in posts.jsonl",
            }[status],
            fix=_anew(folder) if status == "changed" else "",
        )


def _parents(folder: RunFolder, record: Record) -> Iterator[Link]:
    """Yield the bots of a blend, each where it was: one trained anew since is not in the blend."""
    for parent, place in zip(parents_of(folder), record.get("folders") or (), strict=True):
        adapter = RunFolder(Path(place)).adapter
        status: Status = "missing"
        if adapter.exists():
            status = "ok" if hash_tree(adapter) == parent.adapter else "stale"
        why = {"missing": "not where it was; the blend keeps what it took of it"}
        why["stale"] = "trained anew since; the blend holds what it was"
        yield Link(
            name=parent.name,
            stage="parent",
            status=status,
            sha256=parent.adapter,
            why=why.get(status, ""),
            fix=command(folder) if status == "stale" else "",
        )


def _base(folder: RunFolder, record: Record) -> Link:
    info = record["result"]["base"]
    path = weights_here(record["config"]["base"])
    status: Status = "missing"
    if path:
        status = "ok" if hash_tree(path) == info["sha256"] else "changed"
    return Link(
        name=PurePath(info["name"]).name,
        stage="base",
        status=status,
        sha256=info["sha256"],
        why={"changed": "another base stands in its place", "missing": "not on this machine"}.get(
            status, ""
        ),
        fix="" if status == "ok" else f"bring that base back, or mynah train {folder.name}",
    )


def _checked(folder: RunFolder, name: str, stage: str, stages: Mapping[str, Record]) -> Link:
    """Hash a file, compare it with its record, and its record with those it stands on."""
    record = stages[stage]
    digest = record["outputs"][name]
    path = Path(record["result"].get("folder", folder.root / name))  # exports may be elsewhere
    status, why = _compare(path, digest)
    if status == "ok" and (other := _made_of_others(stage, stages)):
        status, why = "stale", f"made of another {other} than is there now"
    fix = "" if status == "ok" else _again(folder, stage)
    return Link(name=name, stage=stage, status=status, sha256=digest, why=why, fix=fix)


def _unrecorded(folder: RunFolder, name: str, stage: str) -> Link:
    return Link(
        name=name,
        stage=stage,
        status="not recorded",
        sha256=None,
        why="nothing says how it was made",
        fix=_again(folder, stage),
    )


def _again(folder: RunFolder, stage: str) -> str:
    verb, _, form = stage.partition("-")
    wanted = f" --format {form}" if form else ""
    if verb == "blend":
        return command(folder)
    return _anew(folder) if stage == "fetch" else f"mynah {verb} {folder.name}{wanted}"


def _compare(path: Path, digest: str) -> tuple[Status, str]:
    if not path.exists():
        return "missing", "it was there when it was made"
    if hash_tree(path) != digest:
        return "changed", "not as it was written"
    return "ok", ""


def _made_of_others(stage: str, stages: Mapping[str, Record]) -> str | None:
    """Return the first file that a stage read and that has been made anew since."""
    if stage == next(iter(stages)):  # it reads from outside, whatever the names there
        return None
    written = {
        name: digest
        for each, record in stages.items()
        if not each.startswith(_AWAY)
        for name, digest in record["outputs"].items()
    }
    made_of: Mapping[str, str] = stages[stage]["inputs"]
    other = (name for name, digest in made_of.items() if written.get(name, digest) != digest)
    return next(other, None)

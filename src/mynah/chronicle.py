"""What a tracker is told of a stage; all but the running losses is read from run.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mynah.bases import weights_here
from mynah.records import read_rows
from mynah.run_folder import RunFolder
from mynah.tracking import Kind, Run, Thing, Tracker

EVERY = 5  # steps between two losses
_MAKERS = ("train", "blend")

Record = Mapping[str, Any]
_GROUND = ("fetch", "clean", "train", "blend")  # what other stages stand on, in order


def begin(tracker: Tracker, folder: RunFolder, stage: str, record: Record) -> None:
    """Open the run of a stage, under the id that run.json has, or will have, for it."""
    config = {**_public(record["config"]), "versions": dict(record.get("versions") or {})}
    tracker.begin(Run(id=record["run"], bot=folder.name, stage=stage, config=config))


def tell(tracker: Tracker, folder: RunFolder, stage: str) -> None:
    """Tell a tracker of a stage that is recorded, and of those before it that it has not heard of.

    So the chain is whole where a bot was fetched and cleaned without a tracker.
    """
    if stage not in _TELLERS:
        return
    stages = folder.read_run()["stages"]
    before = _GROUND[: _GROUND.index(stage)] if stage in _GROUND else _GROUND
    for earlier in before:
        run = stages.get(earlier, {}).get("run")  # records of the first version have none
        if run and not tracker.has(run):
            _tell(tracker, folder, earlier, stages[earlier])
    _tell(tracker, folder, stage, stages[stage])


def _tell(tracker: Tracker, folder: RunFolder, stage: str, record: Record) -> None:
    past = not tracker.has(record["run"])
    begin(tracker, folder, stage, record)
    for thing in _used(folder, stage, record):
        tracker.used(thing)
    if past:  # else it was told while it went on
        for step, loss in enumerate(record["result"].get("losses") or (), start=1):
            tracker.log({"loss": loss}, step)
    _TELLERS[stage](tracker, folder, record["result"])
    tracker.end(finished=True)


def _public(config: Record) -> dict[str, Any]:
    """Return settings without a path of this machine: of a base in a folder, only its name."""
    base = config.get("base")
    named = {"base": PurePath(base).name} if base and PurePath(base).is_absolute() else {}
    return {**config, **named}


def _used(folder: RunFolder, stage: str, record: Record) -> Iterator[Thing]:
    """Yield what a stage was made of; what has been made anew since is not it."""
    things = (*_thing(folder, "posts"), *_thing(folder, "dataset"), *_thing(folder, "bot"))
    yield from (each for each in things if record["inputs"].get(each.path.name) == each.sha256)
    if stage in _MAKERS:
        yield from _base(record)


def _thing(folder: RunFolder, kind: Kind, **notes: Any) -> Iterator[Thing]:
    """Yield one file of the bot by the hash that its stage recorded; nothing where none has."""
    path, stage = {
        "posts": (folder.posts, "fetch"),
        "dataset": (folder.cleaned, "clean"),
        "bot": (folder.adapter, _maker(folder)),
        "report": (folder.report, "report"),
    }[kind]
    outputs = folder.read_run()["stages"].get(stage, {}).get("outputs", {})
    if path.name in outputs and path.exists():
        hashed = outputs[path.name]
        yield Thing(name=folder.name, kind=kind, sha256=hashed, path=path, notes=notes)


def _maker(folder: RunFolder) -> str:
    """Return the stage that made a bot's weights."""
    stages = folder.read_run()["stages"]
    return next((stage for stage in _MAKERS if stage in stages), "train")


def _base(record: Record) -> Iterator[Thing]:
    info, path = record["result"]["base"], weights_here(record["config"]["base"])
    if path:
        name = PurePath(info["name"]).name
        yield Thing(name=name, kind="base", sha256=info["sha256"], path=path, notes=info)


def _tell_posts(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    record = folder.stage_record("fetch")
    tracker.log({"posts/read": result["posts"]})
    for thing in _thing(folder, "posts", format=result["format"], inputs=record["inputs"]):
        tracker.made(thing)


def _tell_dataset(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    counts = {key: result[key] for key in ("downloaded", "kept", "characters")}
    dropped = {f"dropped/{reason}": count for reason, count in result["dropped"].items()}
    tracker.log({f"posts/{key}": count for key, count in {**counts, **dropped}.items()})
    for thing in _thing(folder, "dataset", **counts, languages=result["languages"]):
        tracker.made(thing)


def _tell_bot(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    known = ("posts", "held_out", "tokens", "steps", "train_seconds")
    tracker.log({f"training/{key}": result[key] for key in known})
    seeds = {key: result[key] for key in ("seed", "data_seed")}
    base = {key: result["base"][key] for key in ("name", "sha256")}
    for thing in _thing(folder, "bot", **seeds, base=base, recipe=result["recipe"]):
        tracker.made(thing)


def _tell_blend(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    tracker.log({f"weight/{row['name']}": row["weight"] for row in result["parents"]})
    base = {key: result["base"][key] for key in ("name", "sha256")}
    for thing in _thing(folder, "bot", parents=result["parents"], base=base):
        tracker.made(thing)


def _tell_report(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    bits, copied = result["bits_per_byte"] or {}, result["copied"]
    tracker.log(dict(_flat({"bits_per_byte": bits, "copied": copied})))
    tracker.note("report", _report_text(folder.name, result["verdict"], bits, copied))
    for thing in _thing(folder, "report", verdict=result["verdict"]):
        tracker.made(thing)


def _flat(values: Record, before: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of nested records, each under its path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}/")
        elif isinstance(value, int | float):
            yield f"{before}{key}", value


def _report_text(name: str, verdict: str, bits: Record, copied: Record) -> str:
    lines = []
    if bits:
        low, high = bits["interval"]
        lines.append(
            f"- **Bits per byte** on {bits['posts']} posts it never saw: base {bits['base']:.3f}, "
            f"bot {bits['bot']:.3f}, {bits['gain_percent']:.1f} % fewer (95 %: {low:.1f} to "
            f"{high:.1f})"
        )
    lines.append(
        f"- **Copied**, of {copied['samples']} posts: {copied['bot']:.1%}; without the copy guard "
        f"{copied['unguarded']:.1%}; the person {copied['person']:.1%}"
    )
    return "\n\n".join([f"## {name}", verdict, "\n".join(lines)])


def _tell_samples(tracker: Tracker, folder: RunFolder, result: Record) -> None:
    """Tell what the bot said. The nearest real posts are the person's and stay where they are."""
    rows = [
        (row["prompt"], row["text"], round(row["nearest"]["overlap"], 3))
        for row in read_rows(folder.samples)
    ]
    tracker.table("samples", ("prompt", "post", "overlap with a real one"), rows)


_TELLERS: dict[str, Callable[[Tracker, RunFolder, Record], None]] = {
    "fetch": _tell_posts,
    "clean": _tell_dataset,
    "train": _tell_bot,
    "blend": _tell_blend,
    "report": _tell_report,
    "say": _tell_samples,
}

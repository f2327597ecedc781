"""A bot of finished bots, without training: their adapters added up, their posts side by side.

All of it is made beside the bots first and put in its place in the end, whole or not at all.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mynah.bot import FULL_WEIGHTS, load_bots_base
from mynah.config import BlendConfig
from mynah.dataset import Split, joined_name
from mynah.errors import BotError, BotExists, SettingsError
from mynah.held_out import apart, held_out_of_training, joined
from mynah.mixture import mix_adapters, require
from mynah.parentage import PLACE, STAGE, Parent, kept_parent, parents_of
from mynah.records import read_rows
from mynah.run_folder import RunFolder, hash_tree, open_bot, storage_errors, write_rows
from mynah.stages import card_bot, stage
from mynah.terms import bound_consents
from mynah.versions import adopt, link
from mynah.watch import Nobody, Watch, bar

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A finished bot that is to be blended."""

    folder: RunFolder
    parent: Parent
    run: Record
    split: Split

    @property
    def base(self) -> dict[str, Any]:
        return dict(self.run["stages"]["train"]["result"]["base"])

    @property
    def cleaned(self) -> Record:
        record: Record = self.run["stages"]["clean"]["result"]
        return record


def blend_bots(
    bots: Path,
    parents: Sequence[RunFolder],
    config: BlendConfig,
    *,
    name: str | None = None,
    replace: bool = False,
    watch: Watch | None = None,
) -> RunFolder:
    """Make one bot of several finished ones by adding up what they learned.

    Raises:
        ExtraMissing: peft is not installed.
        SettingsError: too few bots, one twice, of different bases, or weights that do not fit.
        BotError: a bot is not whole, or is a blend itself.
        StageMissing: a bot has not been trained, or its posts have been cleaned anew since.
        BotExists: there is a bot of that name, and `replace` is not set.
        BotBusy: another process works on one of them.
    """
    require()
    watch, weights = watch or Nobody(), shares([each.name for each in parents], config.weights)
    folder = open_bot(bots, name or joined_name(each.name for each in parents))
    _refuse_taken(folder, parents, replace)
    with ExitStack() as held:
        for each in sorted(parents, key=lambda each: each.root):
            each.require(each.run)
            held.enter_context(each.lock())
        sources = [_source(each, share) for each, share in zip(parents, weights, strict=True)]
        _check_alike(sources)
        place = held.enter_context(_beside(bots))
        new = RunFolder(place / folder.name)
        _make(new, sources, config, watch)
        card_bot(new)
        with folder.lock():
            _refuse_taken(folder, parents, replace)  # another process may have been faster
            adopt(folder, new.root)
    return folder


def shares(names: Sequence[str], weights: Sequence[float] | None) -> list[float]:
    """Return each bot's share, all of them adding up to 1.

    Raises:
        SettingsError: there are too few bots, or weights that do not fit them.
    """
    if len(names) < 2:
        raise SettingsError("A blend takes two bots or more.", hint="See: mynah list")
    if len(set(names)) < len(names):
        raise SettingsError("Two of these bots have the same name.", hint="Name each bot once.")
    given = list(weights or [1.0] * len(names))
    if len(given) != len(names):
        raise SettingsError(
            f"{len(given)} weights for {len(names)} bots ({', '.join(names)}).",
            hint="Give one weight a bot, as --weights 0.7,0.3.",
        )
    if not all(weight > 0 and math.isfinite(weight) for weight in given):
        raise SettingsError(
            "Every weight must be a number above 0.", hint="Leave the bot out instead."
        )
    return [weight / sum(given) for weight in given]


def _refuse_taken(folder: RunFolder, parents: Sequence[RunFolder], replace: bool) -> None:
    if folder.root.resolve() in (each.root.resolve() for each in parents):
        raise SettingsError(
            f"A blend cannot take the place of '{folder.name}', which it is made of.",
            hint="Choose another --name.",
        )
    if (folder.posts.exists() or folder.run.exists()) and not replace:
        raise BotExists(
            f"There is a bot '{folder.name}' already.",
            hint="Choose another --name, or make it anew with --replace.",
        )


@contextmanager
def _beside(bots: Path) -> Iterator[Path]:
    """Yield a folder beside the bots, on the same disk, that goes away in the end."""
    with storage_errors(bots / "blend"):
        bots.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bots, prefix=".blend-") as place:
            yield Path(place)


def _source(folder: RunFolder, share: float) -> _Source:
    """Return a bot with all that is needed of it, once it is known to be whole."""
    folder.require(folder.adapter)
    folder.require(folder.posts)
    folder.require(folder.cleaned)
    if parents := parents_of(folder):
        names = " ".join(each.name for each in parents)
        raise BotError(
            f"'{folder.name}' is a blend itself.",
            hint=f"Blend the bots it is made of: mynah blend {names} <bot>",
        )
    trained = folder.stage_record("train")
    if (folder.adapter / FULL_WEIGHTS).exists():
        raise SettingsError(
            f"All weights of '{folder.name}' were trained; there is no adapter to blend.",
            hint="Blend by training on both accounts: mynah make <archive> <archive>",
        )
    adapter = hash_tree(folder.adapter)
    if trained["outputs"].get(folder.adapter.name) != adapter:
        raise BotError(
            f"The adapter of '{folder.name}' is not as its training wrote it.",
            hint=f"See: mynah lineage {folder.name}. Train it again: mynah train {folder.name}",
        )
    split = held_out_of_training(folder)
    parent = Parent(
        name=folder.name,
        weight=share,
        adapter=adapter,
        posts=sum(1 for _ in read_rows(folder.cleaned)),
        dataset=trained["config"]["dataset"],
    )
    return _Source(folder=folder, parent=parent, run=folder.read_run(), split=split)


def _check_alike(sources: Sequence[_Source]) -> None:
    """Refuse bots that cannot be added up, or cannot be told apart."""
    first = sources[0]
    for each in sources[1:]:
        if each.base["sha256"] != first.base["sha256"]:
            raise SettingsError(
                f"'{first.folder.name}' was trained on base '{_called(first.base)}' and "
                f"'{each.folder.name}' on '{_called(each.base)}': only bots of one base blend.",
                hint=f"Train one again: mynah train {each.folder.name} --base ...",
            )
    if len({each.parent.adapter for each in sources}) < len(sources):
        raise SettingsError(
            "Two of these bots are the same: their adapters do not differ.",
            hint="Name each bot once.",
        )
    for source, voice in zip(sources, apart([each.split for each in sources]), strict=True):
        if not voice.held_out:
            raise SettingsError(
                f"Every held-out post of '{source.folder.name}' is one of another of these bots as "
                "well, so nobody could tell whose voice is heard.",
                hint="Choose bots of different accounts.",
            )


def _called(base: Record) -> str:
    return Path(base["name"]).name


def _make(new: RunFolder, sources: Sequence[_Source], config: BlendConfig, watch: Watch) -> None:
    """Fill a new folder with the blend and record what it is made of."""
    with stage(new, STAGE, None, ()) as made, storage_errors(new.run):
        for part in ("posts", "cleaned", "dropped"):
            paths = [getattr(each.folder, part) for each in sources]
            rows = (row for path in paths if path.exists() for row in read_rows(path))
            write_rows(getattr(new, part), rows)
        for each in sources:
            kept = kept_parent(new, each.parent)
            kept.root.mkdir(parents=True)
            link(each.folder.adapter, kept.adapter)
            _link_avatars(each.folder.avatars, new.avatars)
        with bar(watch, "Adding up the adapters"):
            rank = _mix(new, sources, config)
        base = sources[0].run["stages"]["train"]["config"]["base"]
        made["config"] = {**asdict(config), "base": base}
        made["inputs"] = dict(_inputs(sources))
        made["outputs"] = [new.adapter, new.posts, new.cleaned, new.dropped, new.root / PLACE]
        made["top"] = {"name": new.name, **_people(sources)}
        made["result"] = _result(sources, rank, config)
        made["more"] = {"folders": [str(each.folder.root.resolve()) for each in sources]}


def _link_avatars(source: Path, target: Path) -> None:
    for picture in source.iterdir() if source.is_dir() else ():
        target.mkdir(exist_ok=True)
        if not (target / picture.name).exists():
            link(picture, target / picture.name)


def _mix(new: RunFolder, sources: Sequence[_Source], config: BlendConfig) -> int:
    base = load_bots_base(sources[0].folder)
    new.adapter.mkdir()
    return mix_adapters(
        base.model,
        [each.folder.adapter for each in sources],
        [each.parent.weight for each in sources],
        new.adapter,
        kind="svd" if config.rank else "cat",
        rank=config.rank,
    )


def _inputs(sources: Sequence[_Source]) -> Iterator[tuple[str, str]]:
    for each in sources:
        yield f"{each.folder.name} adapter", each.parent.adapter
        for path in (each.folder.posts, each.folder.cleaned):
            yield f"{each.folder.name} {path.name}", hash_tree(path)


def _people(sources: Sequence[_Source]) -> dict[str, Any]:
    """Return whose posts they are and what each of them allowed, every line of it once.

    What binds a bot by the flock that it began from binds the blend as well.
    """
    accounts = {row["handle"].lower(): row for each in sources for row in each.run["accounts"]}
    consents: list[Any] = []
    for each in sources:
        rows = [*(each.run.get("consents") or ()), *bound_consents(each.folder)]
        consents += [row for at, row in enumerate(rows) if row not in consents + rows[:at]]
    return {"accounts": list(accounts.values()), "consents": consents}


def _result(sources: Sequence[_Source], rank: int, config: BlendConfig) -> dict[str, Any]:
    parts = joined(apart([each.split for each in sources]))
    return {
        "base": sources[0].base,
        "parents": [each.parent.row for each in sources],
        "rank": rank,
        "combination": "svd" if config.rank else "cat",
        "peft": version("peft"),
        "posts": len(parts.train),
        "held_out": len(parts.held_out),
        "clean": merged_counts([each.cleaned for each in sources]),
    }


def merged_counts(results: Sequence[Record]) -> dict[str, Any]:
    """Return what became of the posts of several bots, as the cleaning tells it of one."""
    total = sum(result["characters"] for result in results)
    languages: Counter[str] = Counter()
    people: dict[str, dict[str, Any]] = {}
    for result in results:
        for code, share in result["languages"].items():
            languages[code] += share * result["characters"] / max(total, 1)
        for author, counts in result["by_author"].items():
            people[author] = _sum([people[author], counts]) if author in people else counts
    return {
        **_sum(results),
        "by_author": people,
        "replaced": _added([result["replaced"] for result in results]),
        "characters": total,
        "languages": {code: round(share, 3) for code, share in languages.most_common()},
    }


def _sum(tables: Sequence[Record]) -> dict[str, Any]:
    return {
        "downloaded": sum(table["downloaded"] for table in tables),
        "kept": sum(table["kept"] for table in tables),
        "dropped": _added([table["dropped"] for table in tables]),
    }


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}

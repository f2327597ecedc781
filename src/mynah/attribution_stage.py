"""What each of some bots makes of a text: every base is loaded once, the bots take turns on it."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mynah.attribution import Attribution, Confusion, Likelihood, attribute, confusion
from mynah.bases import find_bots_base
from mynah.bot import load_bots_base, playing
from mynah.config import WhoConfig
from mynah.copying import words_of
from mynah.curriculum import encode
from mynah.dataset import Split
from mynah.errors import SettingsError
from mynah.held_out import held_out_of_training
from mynah.loss import post_nats
from mynah.model import Base
from mynah.plain_text import plain
from mynah.records import Post
from mynah.run_folder import RunFolder
from mynah.watch import Nobody, Watch, bar

_BUDGET = 1_024  # tokens judged at once
_LONGEST = 1_000  # tokens of a piece of a text


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Bits of texts under a bot, and under its base where that was asked for."""

    base: str
    bits: list[float]
    base_bits: list[float]


def who_said(folders: Sequence[RunFolder], text: str, *, watch: Watch | None = None) -> Attribution:
    """Ask every bot how likely it would have written a text, and put the likeliest first.

    Raises:
        SettingsError: the text is empty, or no bot is given.
        StageMissing: a bot has not been trained.
    """
    check_bots(folders, 1)
    said = plain(Post(id="", author="", text=text, source="typed"))  # as all that was learned from
    if not said:
        raise SettingsError(
            "There are no words to judge in that.", hint="Links and the names of a reply are cut."
        )
    costs = weigh(folders, [[said]] * len(folders), True, watch or Nobody())
    return attribute(
        said,
        [
            Likelihood(
                bot=folder.name, base=cost.base, bits=cost.bits[0], base_bits=cost.base_bits[0]
            )
            for folder, cost in zip(folders, costs, strict=True)
        ],
    )


def confuse(
    folders: Sequence[RunFolder], config: WhoConfig, *, watch: Watch | None = None
) -> Confusion:
    """Let the bots tell their held-out posts apart.

    Raises:
        SettingsError: there are fewer than two bots, or they have the same posts.
        StageMissing: a bot has not been trained, or its posts have been cleaned anew since.
    """
    check_bots(folders, 2)
    chosen = choose(folders, config.posts, config.seed)
    authors = [at for at, posts in enumerate(chosen) for _ in posts]
    texts = [post for posts in chosen for post in posts]
    costs = weigh(folders, [texts] * len(folders), False, watch or Nobody())
    names = [folder.name for folder in folders]
    return confusion(names, authors, [cost.bits for cost in costs])


def check_bots(folders: Sequence[RunFolder], least: int) -> None:
    """Refuse bots that have not been trained, that are named twice, or that are too few.

    Raises:
        SettingsError: there are fewer than `least`, or two of a name.
        StageMissing: one has not been trained.
    """
    if len({folder.name for folder in folders}) < len(folders):
        raise SettingsError("Two of these bots have the same name.", hint="Name each bot once.")
    if len(folders) < least:
        raise SettingsError(
            f"This needs {'two trained bots' if least > 1 else 'a trained bot'} or more, "
            f"and there {'is' if len(folders) == 1 else 'are'} {len(folders) or 'none'}.",
            hint="Make one: mynah make <archive>",
        )
    for folder in folders:
        folder.require(folder.adapter)


def choose(folders: Sequence[RunFolder], most: int, seed: int) -> list[list[str]]:
    """Return held-out posts of each bot that are its own, at most so many, in random order.

    Raises:
        SettingsError: a bot has none that no other bot here has.
        StageMissing: a bot's posts have been cleaned anew since its training.
    """
    own = _own_posts([held_out_of_training(folder) for folder in folders])
    for folder, posts in zip(folders, own, strict=True):
        if not posts:
            raise SettingsError(
                f"Every held-out post of bot '{folder.name}' is one of another bot here as well.",
                hint="Choose bots of different accounts.",
            )
    mixed = [random.Random(f"who {seed}").sample(each, len(each)) for each in own]
    return [each[:most] for each in mixed]


def _own_posts(splits: Sequence[Split]) -> list[list[str]]:
    """Return the held-out posts of each bot that no other bot has learned or holds out."""
    folded = [
        ({_fold(each.text) for each in parts.train}, {_fold(each.text) for each in parts.held_out})
        for parts in splits
    ]
    own = []
    for at, parts in enumerate(splits):
        taken = set().union(*(part for other in folded[:at] + folded[at + 1 :] for part in other))
        texts = dict.fromkeys(example.text for example in parts.held_out)
        own.append([text for text in texts if _fold(text) not in taken | folded[at][0]])
    return own


def _fold(text: str) -> tuple[str, ...]:
    return tuple(words_of(text))


def weigh(
    folders: Sequence[RunFolder], texts: Sequence[Sequence[str]], bases_too: bool, watch: Watch
) -> list[Costs]:
    """Return what texts cost each bot, in the order of the bots.

    Args:
        folders: the bots.
        texts: those of each bot, [bots][texts]; a bot without any is not loaded.
        bases_too: measure them under the bots' bases as well.
        watch: looks on.
    """
    groups: dict[str, list[int]] = {}
    for at, folder in enumerate(folders):
        groups.setdefault(find_bots_base(folder).info.sha256, []).append(at)
    found: dict[int, Costs] = {}
    with bar(watch, "Asking", len(folders)):
        for group in groups.values():
            for at, costs in _on_one_base(folders, texts, group, bases_too):
                found[at] = costs
                watch.advance(len(found), folders[at].name)
    return [found[at] for at in range(len(folders))]


def _on_one_base(
    folders: Sequence[RunFolder],
    texts: Sequence[Sequence[str]],
    group: Sequence[int],
    bases_too: bool,
) -> Iterator[tuple[int, Costs]]:
    """Yield the costs of bots that take turns on one base; it is loaded if there is a text."""
    asked = [at for at in group if texts[at]]
    yield from ((at, Costs(base="", bits=[], base_bits=[])) for at in group if at not in asked)
    if not asked:
        return
    base = load_bots_base(folders[asked[0]])
    known: dict[tuple[str, ...], list[float]] = {}  # bots are often asked the same
    for at in asked:
        own = tuple(texts[at])
        if bases_too and own not in known:
            known[own] = _bits(base, own)
        with playing(base, folders[at]) as bot:
            bits = _bits(bot, own)
        yield at, Costs(base=base.info.name, bits=bits, base_bits=known.get(own, []))


def _bits(bot: Base, texts: Sequence[str]) -> list[float]:
    """Return -log2 p of each text; one that is too long to be read at once is read in pieces."""
    longest = min(_LONGEST, bot.context)
    rows, owner = [], []
    for at, row in enumerate(encode(bot.tokenizer, texts, bot.separator, sys.maxsize)):
        for start in range(1, len(row), longest):
            rows.append([bot.separator, *row[start : start + longest]])
            owner.append(at)
    bits = [0.0] * len(texts)
    nats = post_nats(bot.model, rows, bot.separator, _BUDGET).tolist()
    for at, cost in zip(owner, nats, strict=True):
        bits[at] += cost / math.log(2)
    return bits

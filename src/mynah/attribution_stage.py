"""What each of some bots makes of a text: every base is loaded once, the bots take turns on it."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
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
class _Costs:
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
    _check_bots(folders, 1)
    said = plain(Post(id="", author="", text=text, source="typed"))  # as all that was learned from
    if not said:
        raise SettingsError(
            "There are no words to judge in that.", hint="Links and the names of a reply are cut."
        )
    costs = _weigh(folders, [said], True, watch or Nobody())
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
    _check_bots(folders, 2)
    own = _own_posts([held_out_of_training(folder) for folder in folders])
    for folder, posts in zip(folders, own, strict=True):
        if not posts:
            raise SettingsError(
                f"Every held-out post of bot '{folder.name}' is one of another bot here as well.",
                hint="Choose bots of different accounts.",
            )
    chosen = [random.Random(f"who {config.seed}").sample(each, len(each)) for each in own]
    chosen = [each[: config.posts] for each in chosen]
    authors = [at for at, posts in enumerate(chosen) for _ in posts]
    texts = [post for posts in chosen for post in posts]
    costs = _weigh(folders, texts, False, watch or Nobody())
    names = [folder.name for folder in folders]
    return confusion(names, authors, [cost.bits for cost in costs])


def _check_bots(folders: Sequence[RunFolder], least: int) -> None:
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


def _weigh(
    folders: Sequence[RunFolder], texts: Sequence[str], bases_too: bool, watch: Watch
) -> list[_Costs]:
    """Return what the texts cost each bot, in the order of the bots."""
    groups: dict[str, list[RunFolder]] = {}
    for folder in folders:
        groups.setdefault(find_bots_base(folder).info.sha256, []).append(folder)
    found: dict[RunFolder, _Costs] = {}
    with bar(watch, "Asking", len(folders)):
        for group in groups.values():
            base = load_bots_base(group[0])
            base_bits = _bits(base, texts) if bases_too else []
            for folder in group:
                with playing(base, folder) as bot:
                    bits = _bits(bot, texts)
                found[folder] = _Costs(base=base.info.name, bits=bits, base_bits=base_bits)
                watch.advance(len(found), folder.name)
    return [found[folder] for folder in folders]


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

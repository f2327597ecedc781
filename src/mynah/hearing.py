"""Letting the bots of a blend say whose its posts are, and how well it knows each one's person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mynah.bot import load_bots_base, playing
from mynah.config import ReportConfig
from mynah.errors import BotError
from mynah.evaluation.texts import spread
from mynah.evaluation.voices import Voice
from mynah.examination import costs_of
from mynah.held_out import voices_of_blend
from mynah.parentage import command, kept_parent, parents_of
from mynah.run_folder import RunFolder, hash_tree


def hear(
    folder: RunFolder,
    said: Sequence[str],
    config: ReportConfig,
    moved: Callable[[float], None] = lambda share: None,
) -> list[Voice]:
    """Ask the base, every bot of a blend and the blend itself; no bot, no voice.

    Args:
        folder: the bot's.
        said: posts that it drew.
        config: how many held-out posts to judge.
        moved: is told how far it is, 0 to 1.

    Raises:
        BotError: the blend has lost one of its bots.
    """
    parents = parents_of(folder)
    if not parents:
        return []
    check_parents(folder)
    share = -(-config.judged // len(parents))
    own = [[each.text for each in spread(part.held_out, share)] for part in voices_of_blend(folder)]
    texts = [text for each in own for text in each]
    base = load_bots_base(folder)
    plain, marks = costs_of(base, texts), []
    for number, each in enumerate([*(kept_parent(folder, one) for one in parents), folder]):
        with playing(base, each) as bot:
            marks.append(costs_of(bot, [*texts, *(said if each is not folder else ())]))
        moved((number + 1) / (len(parents) + 1))
    found, start = [], 0
    for at, parent in enumerate(parents):
        end = start + len(own[at])
        found.append(
            Voice(
                name=parent.name,
                weight=parent.weight,
                base=plain[start:end],
                blend=marks[-1][start:end],
                bots=[mark[start:end] for mark in marks[:-1]],
                said=marks[at][len(texts) :],
            )
        )
        start = end
    return found


def check_parents(folder: RunFolder) -> None:
    """Find out whether a blend still holds its bots as they were.

    Raises:
        BotError: it does not.
    """
    for parent in parents_of(folder):
        kept = kept_parent(folder, parent).adapter
        if not kept.exists() or hash_tree(kept) != parent.adapter:
            raise BotError(
                f"'{folder.name}' does not hold '{parent.name}' any more as it was blended.",
                hint=f"Make it anew: {command(folder)}",
            )

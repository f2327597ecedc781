"""The screens of the games and the maps: "Real or bot?", who would say this, who is near whom."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mynah.attribution import Attribution, Confusion
from mynah.drift import Drift
from mynah.drift_page import MONTH_HEADS, held_rows, missing, month_rows, notes
from mynah.errors import SettingsError
from mynah.intervals import wilson
from mynah.map_page import distance_rows, group_name, stress_words
from mynah.quiz import Pair, Score, fooled, mark
from mynah.terminal import out, plain_line
from mynah.voice_map import VoiceMap

_PAIRS = 15  # pairs of bots that a terminal shows, the nearest
_MONTHS = 24  # months that a terminal shows, the newest
_QUESTION = "Which one is real? 1 or 2 (q stops): "


def ask(pairs: Sequence[Pair], answers: list[int], *, reveal: bool) -> None:
    """Show pair after pair and add what is typed to `answers`; q and the end of input stop.

    Raises:
        SettingsError: what comes in is not text.
    """
    for number, pair in enumerate(pairs, start=1):
        _print_pair(pair, f"Pair {number} of {len(pairs)}")
        answer = _answer()
        if answer is None:
            return
        answers.append(answer)
        if reveal:
            verdict = "Right" if answer == pair.answer else "Wrong"
            out().print(f"{verdict}: {pair.answer} is real.")


def _print_pair(pair: Pair, title: str) -> None:
    out().print(f"\n{title}", style="bold")
    _print_posts(pair.shown, ("1", "2"))


def _print_posts(posts: Sequence[str], marks: Sequence[str]) -> None:
    shown = Table.grid(padding=(0, 2, 1, 1))
    for post, mark_ in zip(posts, marks, strict=True):
        shown.add_row(mark_, Text(plain_line(post), overflow="fold"))
    Console(highlight=False).print(shown)


def _answer() -> int | None:
    """Return 1 or 2 as soon as one of them is typed, None for q or where nothing more comes."""
    try:
        while True:
            print(_QUESTION, end="", flush=True)
            line = sys.stdin.readline()
            word = line.strip().lower()
            if not line or word in ("q", "quit"):
                return None
            if word in ("1", "2"):
                return int(word)
    except UnicodeDecodeError as error:
        raise SettingsError(
            "The answers are not text.", hint="They are lines of 1 or 2; q stops."
        ) from error
    finally:
        if not sys.stdin.isatty():  # nobody has typed the end of the line
            print()


def print_score(pairs: Sequence[Pair], answers: Sequence[int]) -> None:
    """Show how a round went, and which of the bot's posts were taken for real."""
    score = mark(pairs, answers)
    out().print(f"\n{_counted(score.right, score.pairs)} 50 % is guessing.\n{score.meaning()}")
    if taken := fooled(pairs, answers):
        out().print("\nBy the bot, and taken for real:")
        _print_posts(taken, [" "] * len(taken))


def print_total(score: Score, asked: int) -> None:
    """Show the score over all rounds, where there was more than this one."""
    if score.pairs > asked:
        out().print(f"\nAll rounds: {_counted(score.right, score.pairs)}")


def _counted(right: int, total: int) -> str:
    low, high = (100 * bound for bound in wilson(right, total))
    share = 100 * right / total
    return f"{right} of {total} right, {share:.0f} % (95 %: {low:.0f} to {high:.0f})."


def print_attribution(found: Attribution) -> None:
    """Show what a text costs each bot, the likeliest first."""
    shown = Table(box=None, pad_edge=False)
    for name in ("", "bits", "bits per byte", "fewer than its base", "share"):
        shown.add_column(name, justify="right" if name else "left")
    for each, share in zip(found.likelihoods, found.shares, strict=True):
        figures = (f"{each.bits:.1f}", f"{each.bits / found.bytes:.3f}", f"{each.gain_bits:.1f}")
        shown.add_row(Text(each.bot), *figures, f"{100 * share:.1f} %")
    out().print(shown)
    out().print(Text(found.meaning()))


def print_confusion(table: Confusion) -> None:
    """Show whose posts were taken for whose; numbers head the columns, so that many fit."""
    shown = Table("", "posts of", box=None, pad_edge=False)
    for number, _ in enumerate(table.bots, start=1):
        shown.add_column(f"→ {number}", justify="right")
    for number, (bot, row) in enumerate(zip(table.bots, table.counts, strict=True), start=1):
        shown.add_row(str(number), Text(bot), *map(str, row))
    out().print(shown)
    guessing = f"{100 / len(table.bots):.0f} % is guessing."
    out().print(f"{_counted(table.right, table.posts)} {guessing}")


def print_map(found: VoiceMap) -> None:
    """Show the groups with their words, and how far apart every two bots are."""
    groups = Table("group", "bots", "called by", box=None, pad_edge=False)
    for at, group in enumerate(found.groups):
        names = ", ".join(found.bots[bot] for bot in group.bots)
        groups.add_row(str(at + 1), Text(names), Text(plain_line(group_name(found, at))))
    pairs = Table("between", box=None, pad_edge=False)
    pairs.add_column("bits per byte", justify="right")
    pairs.add_column("95 %", justify="right")
    rows = list(distance_rows(found))
    for names, value, interval in rows[:_PAIRS]:
        pairs.add_row(Text(names), value, interval)
    if len(rows) > _PAIRS:
        pairs.add_row(f"and {len(rows) - _PAIRS:,} pairs further apart", "", "")
    for shown in (groups, pairs):
        out().print(shown)
        out().print()
    out().print(Text(f"{found.meaning()} {stress_words(found.stress)}"))


def print_drifts(drifts: Sequence[Drift], left_out: Sequence[str]) -> None:
    """Show the newest months of each voice, what their held-out posts cost, and what that means."""
    for found in drifts:
        if len(drifts) > 1:
            out().print(Text(f"@{found.voice}", "bold"))
        _print_drift(found)
        out().print()
    for sentence in missing(left_out):
        out().print(Text(sentence))


def _print_drift(found: Drift) -> None:
    rows = list(month_rows(found))
    if len(rows) > _MONTHS:
        out().print(f"The newest {_MONTHS} of {len(rows)} months; the page has all.")
    _print_rows(MONTH_HEADS, rows[-_MONTHS:])
    if found.held:
        out().print("\nBits per byte of held-out posts, which none of these has learned from:")
        _print_rows(*held_rows(found))
    for sentence in ("", *notes(found), found.meaning()):
        out().print(Text(sentence))


def _print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    shown = Table(box=None, pad_edge=False)
    for at, name in enumerate(header):
        shown.add_column(name, justify="right" if at else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    out().print(shown)

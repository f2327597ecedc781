"""What a person sees: words and bars on standard error, results on standard output."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mynah.errors import SettingsError
from mynah.wording import COLUMNS, main_figures, table_of

# Short heads of columns: a terminal is 80 letters wide.
_HEADS = {"few_shot": "shown", "markov": "Markov", "excess": "more"}
_LINE_SECONDS = 15.0  # between two lines where there is no terminal to draw a bar on


class TerminalWatch:
    """A watch that writes to standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: Any = None
        self._what, self._total, self._last = "", 0.0, 0.0

    def say(self, sentence: str) -> None:
        """Show one sentence."""
        self.console.print(Text(sentence), soft_wrap=True)

    def begin(self, what: str, total: float | None = None) -> None:
        """Start a bar."""
        self._what, self._total, self._last = what, total or 0.0, time.monotonic()
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self.console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(what, total=total, note="")

    def advance(self, done: float, note: str = "") -> None:
        """Move the bar."""
        if self._progress:
            self._progress.update(self._task, completed=done, note=note)
        elif self._what and time.monotonic() - self._last > _LINE_SECONDS:
            self._last = time.monotonic()
            share = f"{done / self._total:.0%} " if self._total else ""
            self.say(f"{self._what}: {share}{note}")

    def end(self) -> None:
        """Take the bar away."""
        self._what = ""
        if self._progress:
            self._progress.stop()
            self._progress = None


def out() -> Console:
    """Return the console on standard output."""
    return Console(highlight=False, soft_wrap=True)


def print_lines(lines: Iterable[str]) -> None:
    """Show lines that may hold words of strangers."""
    for line in lines:
        out().print(Text(plain_line(line)))


def print_counts(table: Mapping[str, Any]) -> None:
    """Show what became of the posts, a column an account, as huggingtweets did."""
    people = table["by_author"]
    reasons = [reason for reason, count in table["dropped"].items() if count]
    shown = Table("posts", box=None, pad_edge=False)
    for author in people:
        shown.add_column(Text(f"@{author}"), justify="right")
    rows = [("downloaded", [row["downloaded"] for row in people.values()])]
    rows += [(reason, [row["dropped"][reason] for row in people.values()]) for reason in reasons]
    rows += [("kept", [row["kept"] for row in people.values()])]
    for name, counts in rows:
        shown.add_row(name, *(f"{count:,}" for count in counts))
    out().print(shown)
    replaced = ", ".join(f"{n} {kind}" for kind, n in table["replaced"].items() if n)
    if replaced:
        out().print(Text(f"Personal data replaced: {replaced}."))


def print_reasons(dropped: Sequence[Any], examples: int) -> None:
    """Show each reason with a few of the posts that it dropped."""
    grouped: dict[str, list[Any]] = {}
    for item in dropped:
        grouped.setdefault(item.reason, []).append(item)
    shown = Table("reason", "posts", "for example", box=None, pad_edge=False)
    for reason, items in sorted(grouped.items(), key=lambda pair: -len(pair[1])):
        for number, item in enumerate(items[:examples]):
            first = number == 0
            text = textwrap.shorten(plain_line(item.text), 70, placeholder=" …")
            shown.add_row(reason if first else "", f"{len(items):,}" if first else "", Text(text))
    out().print(shown)


def print_report(report: Mapping[str, Any], *, whole: bool = True) -> None:
    """Show the voice report: the verdict, then all figures by section, or the main ones."""
    out().print(Text(report["verdict"]))
    if not whole:
        print_figures("", main_figures(report), without=("n", "excess"))
        return
    for section in report["sections"]:
        print_figures(section["title"], section["figures"])
        for figure in section["figures"]:
            if figure["value"] is None:
                out().print(Text(f"{figure['label']}: {figure['why']}"))


def print_figures(
    title: str, figures: Sequence[Mapping[str, Any]], without: Sequence[str] = ("n",)
) -> None:
    """Show figures as a table, floors and ceiling beside each."""
    rows = table_of(figures, without=without, short=True)
    if not rows:
        return
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0]:
        first = name == "label"
        shown.add_column(
            Text(title if first else _HEADS.get(name, COLUMNS[name])),
            justify="left" if first else "right",
            no_wrap=not first,  # figures stay whole, labels may fold
        )
    for row in rows:
        shown.add_row(*map(Text, row.values()))
    out().print()
    out().print(shown)


def print_files(files: Sequence[Mapping[str, Any]]) -> None:
    """Show what goes up, with its size and whether it has changed."""
    shown = Table("file", box=None, pad_edge=False)
    shown.add_column("bytes", justify="right")
    shown.add_column("since the last push")
    for row in files:
        shown.add_row(Text(row["file"]), f"{row['bytes']:,}", row["change"])
    out().print(shown)


def confirm(question: str, flag: str) -> None:
    """Ask on the terminal whether to go on.

    Raises:
        SettingsError: the answer is not yes, or there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise SettingsError(f"{question} There is no terminal to ask on.", hint=f"Add {flag}.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SettingsError("Nothing was done.", hint=f"Answer y, or add {flag}.")


def print_lineage(links: Sequence[Any]) -> None:
    """Show every link of a chain, a line each: whether it holds, what it is, its hash."""
    widths = [max(map(len, column)) for column in zip(*map(_cells, links), strict=True)]
    for link in links:
        style = "" if link.status == "ok" else "bold red" if link.broken else "yellow"
        words = [cell.ljust(width) for cell, width in zip(_cells(link), widths, strict=True)]
        out().print(Text("  ".join(words).rstrip(), style))


def _cells(link: Any) -> tuple[str, ...]:
    hashed = (link.sha256 or "")[:12]
    return link.status, plain_line(link.name), link.stage, hashed, plain_line(link.why)


def print_renewal(renewal: Any) -> None:
    """Show what stood and what was made, side by side."""
    table = Table("", "Was", "New", box=None, pad_edge=False)
    before, after = renewal.before, renewal.after
    bits = f"Bits per byte of the {renewal.judged_on} newest posts"
    table.add_row(bits, f"{before.bits_per_byte:.3f}", f"{after.bits_per_byte:.3f}")
    table.add_row("Copied without the guard", f"{before.copied:.1%}", f"{after.copied:.1%}")
    out().print(table)


def print_post(text: str, nearest: Mapping[str, Any] | None, verbose: bool) -> None:
    """Show one generated post, with its nearest real one where asked for."""
    console = out()
    console.print(Text(plain_line(text)))
    if verbose and nearest and nearest["text"]:
        line = f"    nearest ({nearest['overlap']:.0%}): {plain_line(nearest['text'])}"
        console.print(Text(line, style="dim"))
    console.print()
    sys.stdout.flush()


def plain_line(text: str) -> str:
    """Return text on one line, without characters that steer a terminal."""
    return "".join(c if c.isprintable() or c == "\u200d" else " " for c in text)


def print_error(sentence: str, hint: str) -> None:
    """Show an error and the next command."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("Error: ", style="bold red") + Text(sentence))
    if hint:
        console.print(Text(hint))

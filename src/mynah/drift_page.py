"""Voices over months as a picture and as a page: one file, no script, nothing to load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from mynah.drawing import Colours, Drawing, figures_page, png
from mynah.drift import FEWEST, FEWEST_HELD, Drift, Month

_WIDTH = 7.0  # inches
_LABELS = 7  # months that are named below a drawing
_BARS = 240.0  # points that the grey bars of a drawing are wide together
_BY_POSTS = "How far each month is from the whole; those not shaded were taught, in part or all"
_BY_BITS = "Bits per byte of held-out posts (never learned from), fewer is better"
_BRIEFLY = {
    _BY_POSTS: "how far each month is from the whole",
    _BY_BITS: "bits per byte of held-out posts, fewer is better",
}
_READING = (
    "The distance compares the sequences of three letters in a month's posts with those of all "
    "months: 0 where both are the same, 1 where they share nothing. No model has a part in it. The "
    "grey bar is where 95 % of as many posts would lie that are drawn from all months. A point "
    "above it is a month in which the author wrote otherwise than on the whole; one that stands "
    "out is far from what is usual among the months, too. That does not say why: a new subject "
    "counts like a new tone.",
    "Most months were taught to the bot, and it would know them whatever the voice does. So bits "
    "per byte are counted on held-out posts alone, the newest of every account, which neither the "
    "bot nor an earlier version shown here has learned from. Whiskers are 95 % intervals.",
)
_APART = (
    "Each account is compared with itself alone: two people differ in every month, and a month of "
    "both would tell who was busy, not whose voice has changed."
)
_NAMED = 5  # voices that are left out and named
_LOOKS = {
    "as by chance": {"colour": "bot", "mark": "o"},
    "beyond chance": {"colour": "bot", "mark": "o"},
    "stands out": {"colour": "few_shot", "mark": "D"},
}
_STYLES = {"bot": ("bot", "o", "-"), "base": ("base", "s", ":")}  # colour, mark, line
_VERSIONS = (("few_shot", "^", "--"), ("markov", "D", "-."))


def drift_figure(bot: str, drifts: Sequence[Drift]) -> bytes:
    """Return the drift of a bot's voices as a PNG."""
    return png([each for found in _titled(drifts) for each in found], _title(bot))


def drift_text(bot: str, drifts: Sequence[Drift], left_out: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        bot: its name.
        drifts: one a voice.
        left_out: voices that are not shown.
    """
    several = len(drifts) > 1
    about = [*_READING, *([_APART] if several else []), *missing(left_out)]
    for found in drifts:
        about += [_of(found, several, note) for note in notes(found)]
    return figures_page(
        _title(bot),
        " ".join(_of(found, several, found.meaning()) for found in drifts),
        about=about,
        drawings=[each for found in _titled(drifts) for each in found],
        tables=[table for found in drifts for table in _tables(found, several)],
    )


def _title(bot: str) -> str:
    return f"The voice of {bot} over months"


def _of(found: Drift, several: bool, words: str) -> str:
    """Say whose words are about, where there is more than one voice."""
    return f"@{found.voice}: {words}" if several else words


def _titled(drifts: Sequence[Drift]) -> Iterator[list[Drawing]]:
    """Yield the drawings of each voice; of several, with a line that has room for a name."""
    for found in drifts:
        drawings = _drawings(found)
        if len(drifts) > 1:
            drawings = [
                replace(
                    each,
                    caption=f"@{found.voice}: {_BRIEFLY[each.caption]}",
                    alt=f"@{found.voice}: {each.alt}",
                )
                for each in drawings
            ]
        yield drawings


def _tables(found: Drift, several: bool) -> Iterator[dict[str, Any]]:
    yield {
        "title": _of(found, several, "Months"),
        "header": MONTH_HEADS,
        "rows": list(month_rows(found)),
    }
    if found.held:
        header, rows = held_rows(found)
        title = _of(found, several, "Held-out posts, bits per byte")
        yield {"title": title, "header": header, "rows": rows}


def missing(left_out: Sequence[str]) -> Iterator[str]:
    """Yield who is not shown, and why."""
    if left_out:
        shown = ", ".join(f"@{name}" for name in left_out[:_NAMED])
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        yield f"Not followed, for posts of one month alone or fewer of them: {shown}{more}."


def notes(found: Drift) -> Iterator[str]:
    """Yield what is missing of a voice, and why."""
    if found.undated:
        yield f"Without a date, and left out: {found.undated:,} of the posts."
    if few := sum(each.distance is None for each in found.months):
        yield _counted(few, f"with fewer than {FEWEST} posts", "not compared")
    judged = {each.month for each in found.held}
    if few := sum(each.held_out > 0 and each.month not in judged for each in found.months):
        yield _counted(few, f"with fewer than {FEWEST_HELD} held-out posts", "not judged by bits")


def _counted(months: int, which: str, what: str) -> str:
    if months == 1:
        return f"One month {which} is {what}."
    return f"{months} months {which} are {what}."


MONTH_HEADS = ("Month", "Posts", "Held out", "Distance", "By chance", "Verdict")


def month_rows(found: Drift) -> Iterator[tuple[str, ...]]:
    """Yield every month as cells."""
    for each in found.months:
        chance = f"{each.chance[0]:.3f} to {each.chance[1]:.3f}" if each.chance else ""
        yield (
            each.month,
            f"{each.posts:,}",
            f"{each.held_out:,}",
            "" if each.distance is None else f"{each.distance:.3f}",
            chance,
            "stands out" if each.stands_out else "beyond chance" if each.beyond_chance else "",
        )


def held_rows(found: Drift) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the rows of what held-out posts cost whom."""
    rows = []
    for each in found.held:
        cells = (
            f"{cost.value:.3f}"
            + (f" ({cost.interval[0]:.3f} to {cost.interval[1]:.3f})" if cost.interval else "")
            for cost in each.costs.values()
        )
        rows.append((each.month, f"{each.posts:,}", *cells))
    return ("Month", "Posts", *found.held[0].costs), rows


def _drawings(found: Drift) -> list[Drawing]:
    first = Drawing(
        caption=_BY_POSTS,
        alt=f"{_BY_POSTS}. {found.meaning()}",
        draw=lambda axes, colours: _draw_months(axes, found.months, colours),
        size=(_WIDTH, 3.1),
    )
    if not found.held:
        return [first]
    last = found.held[-1]
    said = ", ".join(f"{name} {cost.value:.3f}" for name, cost in last.costs.items())
    second = Drawing(
        caption=_BY_BITS,
        alt=f"{_BY_BITS}. {last.month}: {said}.",
        draw=lambda axes, colours: _draw_held(axes, found, colours),
        size=(_WIDTH, 3.1),
    )
    return [first, second]


def _draw_months(axes: Any, months: Sequence[Month], colours: Colours) -> None:
    _shade_held(axes, months, colours)
    known = [each for each in months if each.distance is not None]
    span = _place(months[-1].month) - _place(months[0].month) + 1
    for label, look in _LOOKS.items():
        some = [each for each in known if _look_of(each) == label]
        if not some:
            continue
        axes.plot(
            [_place(each.month) for each in some],
            [each.distance for each in some],
            look["mark"],
            color=colours[look["colour"]],
            markerfacecolor=colours["card" if label == "as by chance" else look["colour"]],
            markersize=6,
            label=label,
            zorder=3,
        )
    for at, each in enumerate(known):
        if each.chance:
            axes.plot(
                [_place(each.month)] * 2,
                each.chance,
                color=colours["base"],
                alpha=0.35,
                linewidth=min(7.0, max(1.5, _BARS / span)),
                solid_capstyle="butt",
                label="chance, 95 %" if not at else None,
                zorder=2,
            )
    _set_axes(axes, [each.month for each in months], "distance, 0 to 1", colours)


def _look_of(month: Month) -> str:
    if month.stands_out:
        return "stands out"
    return "beyond chance" if month.beyond_chance else "as by chance"


def _shade_held(axes: Any, months: Sequence[Month], colours: Colours) -> None:
    """Shade the times of which every post is held out; of the others some were taught."""
    label: str | None = "held out"
    for all_held, run in groupby(months, key=lambda each: each.held_out == each.posts):
        if all_held:
            places = [_place(each.month) for each in run]
            axes.axvspan(
                places[0] - 0.5,
                places[-1] + 0.5,
                color=colours["person"],
                alpha=0.12,
                linewidth=0,
                label=label,
            )
            label = None


def _draw_held(axes: Any, found: Drift, colours: Colours) -> None:
    names = list(found.held[0].costs)
    months = [each.month for each in found.held]
    for at, name in enumerate(names):
        colour, mark, line = _STYLES.get(name) or _VERSIONS[at % len(_VERSIONS)]
        places = [_place(month) + 0.08 * (at - (len(names) - 1) / 2) for month in months]
        costs = [each.costs[name] for each in found.held]
        axes.plot(
            places,
            [cost.value for cost in costs],
            color=colours[colour],
            marker=mark,
            linestyle=line,
            markersize=5,
            label=name,
            zorder=3,
        )
        for place, cost in zip(places, costs, strict=True):
            if cost.interval:
                axes.plot([place] * 2, cost.interval, color=colours[colour], linewidth=1.2)
    _set_axes(axes, months, "bits per byte", colours)


def _set_axes(axes: Any, months: Sequence[str], label: str, colours: Colours) -> None:
    """Name some months, evenly, and put the legend above."""
    first, last = _place(months[0]), _place(months[-1])
    step = max(1, -(-(last - first + 1) // _LABELS))
    ticks = list(range(first, last + 1, step))
    axes.set_xticks(ticks, [_month_at(tick) for tick in ticks])
    axes.set_xlim(first - 0.6, last + 0.6)
    axes.set_ylabel(label)
    axes.grid(axis="y", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=5,
        frameon=False,
        labelcolor=colours["ink"],
        fontsize=9,
        borderpad=0.2,
        handletextpad=0.5,
        columnspacing=1.2,
        handlelength=1.6,
    )
    legend.set_in_layout(False)  # or it would take its width from the drawing
    axes.set_title(" ", loc="left", pad=10)  # keeps its place above


def _place(month: str) -> int:
    """Return a month as a number, so that gaps between months show."""
    year, number = month.split("-")
    return int(year) * 12 + int(number) - 1


def _month_at(place: int) -> str:
    return f"{place // 12}-{place % 12 + 1:02}"

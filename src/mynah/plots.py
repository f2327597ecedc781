"""The report's plots as SVG: text stays text, and the page's style sheet gives the colours.

matplotlib writes fixed colours. Each colour here is a stand-in for a variable of the style sheet,
put in its place afterwards, so one drawing serves light and dark. Series differ in shape as well.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mynah.wording import number

Json = Mapping[str, Any]

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "line": "#030303",
    "bot": "#040404",
    "person": "#050505",
    "base": "#060606",
    "few_shot": "#070707",
    "markov": "#080808",
    "card": "#090909",
}
_NAMES = {
    "bot": "bot",
    "person": "person",
    "learned": "person",
    "base": "base",
    "few_shot": "base, shown posts",
    "markov": "Markov chain",
}
_MARKS = {"bot": "o", "person": "D", "learned": "D", "base": "s", "few_shot": "^", "markov": "x"}
_WIDTH = 4.4  # inches of 72 points: as wide as a phone, so that the letters stay readable there
_SHORTEST = 0.03  # way from base to person that is drawn
_REACH = (-0.5, 1.5)  # of the overview, around base at 0 and person at 1


@dataclass(frozen=True)
class Plot:
    """A drawing, its caption, what to say instead of it, and its numbers."""

    caption: str
    alt: str
    svg: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def plots(report: Json) -> list[Plot]:
    """Return the plots that a report has the numbers for."""
    figures = {
        figure["name"]: figure for section in report["sections"] for figure in section["figures"]
    }
    made = (_overview(figures), _bits(figures), _lengths(figures), _runs(figures))
    return [plot for plot in made if plot]


def _overview(figures: Mapping[str, Json]) -> Plot | None:
    """Draw where each figure stands between base and person."""
    shown = [figure for figure in figures.values() if _can_be_placed(figure)]
    if not shown:
        return None

    def draw(axes: Any) -> None:
        for at, figure in enumerate(reversed(shown)):
            _draw_place(axes, at, figure)
        axes.axvline(0, color=COLOURS["base"], linewidth=1)
        axes.axvline(1, color=COLOURS["person"], linewidth=1)
        axes.set_yticks(range(len(shown)), [figure["label"] for figure in reversed(shown)])
        axes.set_xticks([0, 0.5, 1], ["base", "half-way", "person"])
        axes.set_xlim(*_REACH)
        _legend(axes, ("bot", "few_shot", "markov"))

    places = {figure["label"]: _place(figure, figure["value"]) for figure in shown}
    said = ", ".join(f"{label} {place:.0%}" for label, place in places.items())
    return Plot(
        caption="From the base to the person (marks at the edge lie beyond it)",
        alt=f"Where the bot stands on the way from base (0 %) to person (100 %): {said}.",
        svg=_svg(draw, 0.9 + 0.3 * len(shown)),
        header=("Figure", "On the way from base to person"),
        rows=[(label, f"{place:.0%}") for label, place in places.items()],
    )


def _can_be_placed(figure: Json) -> bool:
    """Tell whether the person is clearly better than the base: else there is no way to go."""
    base, person = figure["floors"].get("base"), figure["ceiling"]
    if None in (base, person, figure["value"]) or figure["better"] == "person":
        return False
    way = person - base if figure["better"] == "higher" else base - person
    return bool(way > _SHORTEST)


def _place(figure: Json, value: float) -> float:
    base, person = figure["floors"]["base"], figure["ceiling"]
    return float((value - base) / (person - base))


def _draw_place(axes: Any, at: int, figure: Json) -> None:
    low, high = _REACH
    if figure["interval"]:
        ends = [min(max(_place(figure, end), low), high) for end in figure["interval"]]
        axes.plot(ends, [at, at], color=COLOURS["bot"], linewidth=3, alpha=0.4)
    values = {"bot": figure["value"], **figure["floors"]}
    for name in ("few_shot", "markov", "bot"):
        if name in values:
            place = min(max(_place(figure, values[name]), low), high)
            axes.plot(place, at, clip_on=False, **_mark(name))


def _bits(figures: Mapping[str, Json]) -> Plot | None:
    figure = figures["bits_per_byte"]
    if figure["value"] is None:
        return None
    values = {**figure["floors"], "bot": figure["value"]}

    def draw(axes: Any) -> None:
        for at, (name, value) in enumerate(reversed(values.items())):
            axes.barh(at, value, height=0.6, color=COLOURS[name])
            axes.text(
                value / 2, at, f"{value:.2f}", va="center", ha="center", color=COLOURS["card"]
            )
        if figure["interval"]:
            axes.plot(figure["interval"], [0, 0], color=COLOURS["ink"], linewidth=2)
        axes.set_yticks(range(len(values)), [_NAMES[name] for name in reversed(values)])
        axes.set_xlabel("bits per byte, fewer is better")

    said = ", ".join(f"{_NAMES[name]} {value:.3f}" for name, value in values.items())
    return Plot(
        caption="Bits per byte of posts that none of them has seen",
        alt=f"Bits per byte: {said}.",
        svg=_svg(draw, 1.0 + 0.4 * len(values)),
    )


def _lengths(figures: Mapping[str, Json]) -> Plot | None:
    shares = figures["surface_length"]["details"].get("shares")
    if not shares:
        return None
    found = {name: shares[name] for name in ("learned", "base", "bot") if name in shares}
    order = sorted(found["learned"], key=_by_number)
    return _lines(
        "How long the posts are",
        "characters",
        {name: [own[key] for key in order] for name, own in found.items()},
        order,
    )


def _by_number(name: str) -> int:
    figures = re.sub(r"\D", "", name)
    return int(figures) if figures else 10**6


def _runs(figures: Mapping[str, Json]) -> Plot | None:
    counts = figures["longest_run"]["details"].get("texts_by_words", {})
    found = {name: counts[name] for name in ("person", "markov", "bot") if name in counts}
    if "bot" not in found:
        return None
    most = min(max(max(map(int, own)) for own in found.values()), 15)
    order = [str(run) for run in range(most)] + [f"{most} or more"]
    shares = {}
    for name, own in found.items():
        total = sum(own.values())
        short = [own.get(str(run), 0) / total for run in range(most)]
        shares[name] = [*short, 1 - sum(short)]
    return _lines(
        "Longest run of words that stands in a real post", "words in a row", shares, order
    )


def _lines(
    caption: str, axis: str, shares: Mapping[str, Sequence[float]], order: Sequence[str]
) -> Plot:
    """Return a plot of shares of posts over classes, a line a set."""

    def draw(axes: Any) -> None:
        for name, values in shares.items():
            axes.plot(range(len(order)), [100 * each for each in values], **_line(name))
        step = 1 if len(order) < 9 else 3
        axes.set_xticks(range(0, len(order), step), order[::step])
        axes.set_xlabel(axis)
        axes.set_ylabel("% of posts")
        axes.set_ylim(bottom=0)
        _legend(axes, shares)

    most = {
        name: order[max(range(len(order)), key=own.__getitem__)] for name, own in shares.items()
    }
    said = "; ".join(f"{_NAMES[name]}: most often {where}" for name, where in most.items())
    return Plot(
        caption=caption,
        alt=f"{caption}, in {axis}. {said}.",
        svg=_svg(draw, 2.6),
        header=(axis, *(_NAMES[name] for name in shares)),
        rows=[
            (key, *(number(own[at], "share") for own in shares.values()))
            for at, key in enumerate(order)
        ],
    )


def _mark(name: str) -> dict[str, Any]:
    colour = COLOURS["person" if name == "learned" else name]
    hollow = {} if name == "bot" else {"markerfacecolor": "none"}
    return {"color": colour, "marker": _MARKS[name], "linestyle": "", "markersize": 6, **hollow}


def _line(name: str) -> dict[str, Any]:
    kinds = {"bot": "-", "person": "--", "learned": "--"}
    return _mark(name) | {"linestyle": kinds.get(name, ":"), "markersize": 4, "linewidth": 1.6}


def _legend(axes: Any, names: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=_NAMES[name], **_mark(name)) for name in names]
    axes.figure.legend(
        handles=handles, loc="outside upper left", ncols=3, frameon=False,
        labelcolor=COLOURS["ink"], borderpad=0, handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip


def _svg(draw: Callable[[Any], None], height: float) -> str:
    """Return a drawing as an SVG element."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its cache of fonts
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(style(COLOURS)):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return for_page(buffer.getvalue())


def style(colours: Mapping[str, str]) -> Any:
    """Return matplotlib's settings for drawings in these colours."""
    ink, line = colours["ink"], colours["line"]
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "mynah",
        "font.size": 10,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "xtick.color": ink,
        "ytick.color": ink,
        "ytick.left": False,
    }


def for_page(svg: str) -> str:
    """Return only the element, in the page's own colours and letters."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r"""font: ([\d.]+)px [^;"]*""", r"font: \1px system-ui, sans-serif", element)
    for name, colour in COLOURS.items():
        element = element.replace(colour, f"var(--{name.replace('_', '-')})")
    head = re.sub(r' (width|height)="[\d.]+pt"', "", element[: element.index(">")])
    return f'{head} aria-hidden="true"{element[element.index(">") :]}'

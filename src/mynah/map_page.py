"""A map of voices as a picture and as a page: one file, no script, nothing to load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mynah.drawing import MARKS, SERIES, Colours, Drawing, figures_page, png
from mynah.voice_map import VoiceMap

_WIDTH, _HEIGHT = 6.4, 4.6  # inches
_POOR = 0.2  # stress from which on the plane shows little (Kruskal 1964)
_READING = (
    "Each point is a bot. How far apart two are is what it costs, in bits per byte, that each "
    "reads the posts of the other's person instead of the bot that knows that person. None of the "
    "posts was learned from. Only distances mean something; there is no up and no right."
)
_WORDS = (
    "A group is called by the words that tell its posts from all others here, the surest first. "
    "Names of accounts, tags, links and personal data are left out."
)


def map_figure(found: VoiceMap) -> bytes:
    """Return the map as a PNG."""
    return png([_drawing(found)], "Voices, by how well their bots predict each other")


def map_text(found: VoiceMap) -> str:
    """Return the page."""
    return figures_page(
        f"A map of {len(found.bots)} voices",
        found.meaning(),
        about=[_READING, _WORDS, stress_words(found.stress)],
        drawings=[_drawing(found)],
        tables=[_group_table(found), _cost_table(found), _distance_table(found)],
    )


def stress_words(stress: float) -> str:
    """Say how far the plane can be trusted."""
    told = f"Distances in the plane are off by {100 * stress:.0f} % on the whole (stress-1)"
    if stress > _POOR:
        return f"{told}: the plane is too small for them, so trust the table of distances."
    return f"{told}."


def _drawing(found: VoiceMap) -> Drawing:
    places = ", ".join(
        f"{group_name(found, at)}: {', '.join(found.bots[bot] for bot in group.bots)}"
        for at, group in enumerate(found.groups)
    )
    return Drawing(
        caption="The voices in the plane, in bits per byte",
        alt=f"{found.meaning()} {places}.",
        draw=lambda axes, colours: _draw(axes, found, colours),
        size=(_WIDTH, _HEIGHT),
    )


def group_name(found: VoiceMap, at: int) -> str:
    """Return what a group is called."""
    return ", ".join(found.groups[at].words) or f"group {at + 1}"


def _draw(axes: Any, found: VoiceMap, colours: Colours) -> None:
    for at, group in enumerate(found.groups):
        colour, mark = colours[SERIES[at % len(SERIES)]], MARKS[at % len(MARKS)]
        own = found.places[list(group.bots)]
        axes.plot(
            own[:, 0], own[:, 1], mark, color=colour, markersize=8, label=group_name(found, at)
        )
        for bot in group.bots:
            _draw_name(axes, found, bot)
    _set_frame(axes, found, colours)


def _draw_name(axes: Any, found: VoiceMap, bot: int) -> None:
    """Write a bot's name on the side where its nearest neighbour is not."""
    away = found.places - found.places[bot]
    near = sorted(range(len(away)), key=lambda other: float(away[other] @ away[other]))
    below = len(near) > 1 and away[next(each for each in near if each != bot), 1] > 0
    axes.annotate(
        found.bots[bot],
        found.places[bot],
        xytext=(0, -9 if below else 9),
        textcoords="offset points",
        ha="center",
        va="top" if below else "bottom",
    )


def _set_frame(axes: Any, found: VoiceMap, colours: Colours) -> None:
    """Show the same length for the same distance both ways, and one length as a scale."""
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    reach = max(float(abs(found.places).max()), 1e-3) * 1.35
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach * _HEIGHT / _WIDTH, reach * _HEIGHT / _WIDTH)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    scale = 10 ** math.floor(math.log10(reach))
    axes.add_artist(
        AnchoredSizeBar(
            axes.transData,
            scale,
            f"{scale:g} bits per byte",
            "lower left",
            frameon=False,
            color=colours["muted"],
            size_vertical=reach / 200,
        )
    )
    axes.figure.legend(
        loc="outside lower left", ncols=1, frameon=False, labelcolor=colours["ink"], fontsize=9
    )


def _group_table(found: VoiceMap) -> dict[str, Any]:
    rows = [
        (
            ", ".join(group.words) or "no word tells them",
            ", ".join(found.bots[b] for b in group.bots),
        )
        for group in found.groups
    ]
    return {"title": "Groups", "header": ("Telling words", "Bots"), "rows": rows}


def _cost_table(found: VoiceMap) -> dict[str, Any]:
    heads = (f"{bot}'s posts" for bot in found.bots)
    rows = [
        (bot, *(f"{cost:.3f}" for cost in row))
        for bot, row in zip(found.bots, found.bits_per_byte.tolist(), strict=True)
    ]
    title = "Bits per byte that each bot needs for whose posts"
    return {"title": title, "header": ("Bot", *heads), "rows": rows}


def _distance_table(found: VoiceMap) -> dict[str, Any]:
    return {
        "title": "Distances",
        "header": ("Between", "Bits per byte", "95 %"),
        "rows": list(distance_rows(found)),
    }


def distance_rows(found: VoiceMap) -> Iterator[tuple[str, str, str]]:
    """Yield every pair, the nearest first, with its distance and interval."""
    for each in sorted(found.distances, key=lambda pair: pair.value):
        names = f"{found.bots[each.first]} and {found.bots[each.second]}"
        shown = f"{each.interval[0]:.3f} to {each.interval[1]:.3f}" if each.interval else ""
        yield names, f"{each.value:.3f}", shown

"""Drawings in two forms: in a page, which gives them its colours, and as a picture to show around.

Each drawing is a function of axes and colours, so that both are the same.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mynah.plots import COLOURS, for_page, style
from mynah.templating import page

Colours = Mapping[str, str]
SERIES = ("bot", "person", "few_shot", "markov", "base")  # colours, in the order they are used
MARKS = ("o", "D", "^", "s", "P")  # shapes as well: not everybody sees colours

# What the page's style sheet says in light: a picture is looked at on white.
_LIGHT = {
    "ink": "#1d2327",
    "muted": "#5a646b",
    "line": "#d5d9dc",
    "bot": "#0b6b62",
    "person": "#8a3ffc",
    "base": "#6b7178",
    "few_shot": "#b3541e",
    "markov": "#a8327a",
    "card": "#ffffff",
}
_DOTS = 160  # an inch
_FONTS = (  # a name may be in any script; those after the first are there or not
    *("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans", "Hiragino Sans", "Microsoft YaHei"),
)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn, how large, and what is said of it."""

    caption: str
    alt: str  # the same in words, for who cannot see it
    draw: Callable[[Any, Colours], None]  # axes, colours
    size: tuple[float, float]  # inches


def svg(drawing: Drawing) -> str:
    """Return a drawing as an SVG element in the colours of the page."""
    with _styled(COLOURS):
        buffer = io.StringIO()
        figure = _figure([drawing], COLOURS, titled=False)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return for_page(buffer.getvalue())


def png(drawings: Sequence[Drawing], title: str) -> bytes:
    """Return drawings below each other as a PNG on white."""
    with _styled(_LIGHT):
        buffer = io.BytesIO()
        figure = _figure(drawings, _LIGHT, titled=len(drawings) > 1)
        figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
        figure.savefig(buffer, format="png", dpi=_DOTS, facecolor=_LIGHT["card"])
    return buffer.getvalue()


def figures_page(
    title: str,
    verdict: str,
    *,
    about: Sequence[str],
    drawings: Sequence[Drawing],
    tables: Sequence[Mapping[str, Any]],
) -> str:
    """Return a page that holds all it shows.

    Args:
        title: its heading.
        verdict: one sentence that says what was found.
        about: paragraphs that say how to read it.
        drawings: what is shown.
        tables: each with `title`, `header` and `rows`.
    """
    shown = [{"caption": d.caption, "alt": d.alt, "svg": svg(d)} for d in drawings]
    return page("figures.html").render(
        title=title, verdict=verdict, about=about, figures=shown, tables=tables
    )


@contextmanager
def _styled(colours: Colours) -> Iterator[None]:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its cache of fonts
    from matplotlib import rc_context

    own = {"text.parse_math": False, "font.family": list(_FONTS)}
    with rc_context(style(colours) | own), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # drawn as a box
        yield


def _figure(drawings: Sequence[Drawing], colours: Colours, *, titled: bool) -> Any:
    from matplotlib.figure import Figure

    heights = [drawing.size[1] for drawing in drawings]
    width = max(drawing.size[0] for drawing in drawings)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    rows = figure.subplots(len(drawings), 1, squeeze=False, height_ratios=heights)
    for axes, drawing in zip(rows[:, 0], drawings, strict=True):
        drawing.draw(axes, colours)
        if titled:
            axes.set_title(drawing.caption, loc="left", fontsize=10, color=colours["ink"], pad=24)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure

"""A sweep as a page: how the trials went, and which settings matter. Self-contained."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mynah.run_folder import replacing
from mynah.search import Trial

_WIDTH, _HEIGHT = 7.0, 3.4  # inches
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sweep</title>
<meta name="viewport" content="width=device-width">
<style>
body {{font: 16px/1.5 system-ui, sans-serif; max-width: 48em; margin: 2em auto; padding: 0 1em}}
svg {{max-width: 100%; height: auto}} td, th {{padding: 0 .6em; text-align: right}}</style></head>
<body><h1>Sweep of {count} trials</h1><p>{verdict}</p>
<h2>History</h2><p>Each point is a trial. A cross was given up early and stands at
what it had reached; a hollow one copied too much. The line is the best so far.</p>{history}
<h2>What matters</h2><p>{told}</p>{importance}
<h2>Trials</h2><table><tr>{head}</tr>{rows}</table></body></html>
"""


def write_plots(
    path: Path, trials: Sequence[Trial], importances: Mapping[str, float], best: Trial | None
) -> None:
    """Write the page, whole or not at all."""
    names = list(trials[0].settings) if trials else []
    columns = ["trial", "state", "bits per byte", "copied", *names]
    text = _PAGE.format(
        count=len(trials),
        verdict=html.escape(_verdict(best)),
        history=_history(trials, best),
        told=_told(importances),
        importance=_importance(importances) if importances else "",
        head="".join(f"<th>{html.escape(name)}</th>" for name in columns),
        rows="".join(_row(trial, names) for trial in trials),
    )
    with replacing(path) as file:
        file.write(text)


def _verdict(best: Trial | None) -> str:
    if best is None:
        return "No trial copied little enough."
    return f"Trial {best.number} is the best: {best.bits_per_byte:.4f} bits per byte."


def _told(importances: Mapping[str, float]) -> str:
    if not importances:
        return "Too few trials have ended to tell."
    return "The share of the differences between trials that each setting explains."


def _history(trials: Sequence[Trial], best: Trial | None) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    at, low, lowest = [], [], math.inf
    for trial in trials:
        value = _reached(trial)
        if value is None:
            continue
        fits = trial.state == "complete" and (best is None or _fits(trial, best))
        mark: dict[str, Any] = {"marker": "x" if trial.state == "pruned" else "o", "color": "#444"}
        axes.plot(trial.number, value, linestyle="", fillstyle="full" if fits else "none", **mark)
        if fits:
            lowest = min(lowest, value)
            at.append(trial.number)
            low.append(lowest)
    axes.step(at, low, where="post", color="#b5541c")
    axes.set_xlabel("trial")
    axes.set_ylabel("bits per byte")
    return _svg(figure)


def _fits(trial: Trial, best: Trial) -> bool:
    """Tell whether a trial was in the running: no worse one was chosen over it."""
    return (trial.bits_per_byte or math.inf) >= (best.bits_per_byte or math.inf)


def _reached(trial: Trial) -> float | None:
    if trial.bits_per_byte is not None:
        return trial.bits_per_byte
    return trial.quarters[max(trial.quarters)] if trial.quarters else None


def _importance(importances: Mapping[str, float]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    names = list(importances)[::-1]
    axes.barh(names, [importances[name] for name in names], color="#b5541c")
    axes.set_xlabel("importance")
    return _svg(figure)


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    written = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mynah"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def _row(trial: Trial, names: Sequence[str]) -> str:
    figures = [trial.bits_per_byte, trial.copied]
    cells = [
        trial.number,
        trial.state,
        *("" if each is None else f"{each:.4f}" for each in figures),
    ]
    cells += [_short(trial.settings.get(name, "")) for name in names]
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

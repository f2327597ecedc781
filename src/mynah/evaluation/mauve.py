"""MAUVE: how much of what the bot says a person could have said, and the other way round.

The area under the divergence curve of two sets of texts, 0 to 1, from hidden states of a language
model put into clusters (Pillutla et al. 2021, "MAUVE", arXiv:2102.01454; 2023, JMLR 24). By its
authors' library, on states of the base. Clusters depend on how they start, so the score is the
mean over several seeds; it also falls with fewer texts, so sets are as large as the smallest and
scores of other reports are no yardstick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mynah.config import ReportConfig
from mynah.errors import ExtraMissing
from mynah.evaluation.bootstrap import Numbers
from mynah.evaluation.figure import BOT, PERSON, Figure, columns
from mynah.evaluation.texts import spread

FEWEST = 20
_SEEDS = 5


def require() -> Any:
    """Return the library's function.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        from mauve import compute_mauve
    except ImportError as error:
        raise ExtraMissing.of("mauve", "MAUVE needs the library mauve-text.") from error
    return compute_mauve


def mauve(states: Mapping[str, Numbers], config: ReportConfig) -> Figure:
    """Return the score against held-out posts; the ceiling is that of earlier posts.

    Args:
        states: a vector for each text [texts, width]: `bot`, floors, `person` for held-out posts,
            `learned` for earlier ones.
        config: the first seed.
    """
    shared: dict[str, Any] = {
        "name": "mauve", "label": "MAUVE", "unit": "ratio", "better": "higher"
    }  # fmt: skip
    sets = {name: own for name, own in states.items() if len(own) >= FEWEST}
    if not {BOT, PERSON} <= set(sets):
        return Figure(**shared, why=f"It needs {FEWEST} held-out posts and as many by the bot.")
    real, size = sets.pop(PERSON), min(map(len, sets.values()))
    scores = {name: _scores(real, own, size, config.seed) for name, own in sets.items()}
    means = {name: float(np.mean(own)) for name, own in scores.items()}
    if "learned" in means:
        means[PERSON] = means.pop("learned")
    return Figure(
        **shared,
        **columns(means),
        n=min(size, len(real)),
        why="No interval: a set with texts twice makes clusters of its own.",
        details={"seeds": _SEEDS, "spread_over_seeds": float(np.std(scores[BOT]))},
    )


def _scores(real: Numbers, made: Numbers, size: int, seed: int) -> list[float]:
    compute, count = require(), min(size, len(real))
    one, two = (_part(each, count) for each in (real, made))
    return [
        float(compute(p_features=one, q_features=two, seed=seed + add, verbose=False).mauve)
        for add in range(_SEEDS)
    ]


def _part(vectors: Numbers, size: int) -> Numbers:
    return vectors[spread(range(len(vectors)), size)]


def texts_for(sets: Mapping[str, Sequence[str]], learned: Sequence[str]) -> dict[str, list[str]]:
    """Return the texts whose states are needed, as many of the learned ones as of the held-out."""
    most = max(map(len, sets.values()), default=0)
    return {**{name: list(own) for name, own in sets.items()}, "learned": spread(learned, most)}

"""From logits to a token: temperature and nucleus sampling, one number of the dice a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mynah.config import GenerationConfig

Logits = NDArray[np.float32]


def choose(logits: Logits, config: GenerationConfig, dice: Sequence[float]) -> list[int]:
    """Return one token for each row by temperature and nucleus sampling.

    Nucleus (Holtzman et al. 2019, arXiv:1904.09751, section 3.1): the smallest set of likeliest
    tokens whose probabilities sum to `top_p` or more, renormalised; a row's number in `dice`
    (0 to 1) falls on one of them.

    Args:
        logits: [rows, vocabulary], fp32.
        config: temperature and top_p.
        dice: one uniform number a row.
    """
    if config.temperature == 0:
        return [int(token) for token in logits.argmax(axis=-1)]
    return [_choose(row, config, number) for row, number in zip(logits, dice, strict=True)]


def _choose(logits: Logits, config: GenerationConfig, dice: float) -> int:
    chance = logits - logits.max()
    chance *= np.float32(1 / config.temperature)
    np.exp(chance, out=chance)  # in place: fresh memory costs more than the arithmetic
    total = float(chance.sum())
    # All tokens rarer than this hold less than 1 - top_p together, so the nucleus has none of
    # them, and a few thousand are sorted instead of all.
    rare = (1 - config.top_p) * total / len(chance)
    order = _likeliest_first(chance, np.flatnonzero(chance >= rare))
    reach = chance[order].cumsum(dtype=np.float64)
    reach = reach[: np.searchsorted(reach, config.top_p * total) + 1]
    at = np.searchsorted(reach, dice * reach[-1], side="right")
    return int(order[min(at, len(reach) - 1)])


def _likeliest_first(chance: Logits, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return tokens by falling chance, equal ones by their number.

    Bits of positive floats rise as the floats do, so chance and token make one whole number: those
    numpy sorts ten times as fast as it sorts an index by floats.
    """
    keys = tokens - (chance[tokens].view(np.int32).astype(np.int64) << 32)
    keys.sort()
    return keys & 0xFFFFFFFF

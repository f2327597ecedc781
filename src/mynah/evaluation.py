"""The voice report: what the bot learned, and how much of it is copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex, copied_share
from mynah.records import Generation


@dataclass(frozen=True, kw_only=True)
class BitsPerByte:
    """How well held-out posts are predicted; lower is better."""

    base: float
    bot: float
    gain_percent: float  # 100 x (1 - bot / base)
    interval: tuple[float, float]  # 95 % bootstrap interval of the gain, in per cent
    posts: int  # held-out posts it was measured on


@dataclass(frozen=True, kw_only=True)
class Copied:
    """Shares of texts that repeat a training post, by the thresholds of the copy guard."""

    bot: float  # of the posts as shown, guard on
    unguarded: float  # of first draws, guard off
    person: float  # of the person's own held-out posts
    samples: int


@dataclass(frozen=True, kw_only=True)
class VoiceReport:
    """Everything that report.json holds."""

    verdict: str
    bits_per_byte: BitsPerByte
    copied: Copied

    def to_json(self) -> dict[str, Any]:
        """Return the object of report.json."""
        row = asdict(self)
        row["bits_per_byte"]["interval"] = list(self.bits_per_byte.interval)
        return row


def compare(
    base_nats: Sequence[float],
    bot_nats: Sequence[float],
    texts: Sequence[str],
    config: ReportConfig,
) -> BitsPerByte:
    """Compare two models on the same posts.

    Args:
        base_nats: -log p of each post under the base, in nats.
        bot_nats: likewise under the bot.
        texts: the posts.
        config: resamples and seed of the bootstrap.
    """
    base, bot = np.asarray(base_nats, dtype=float), np.asarray(bot_nats, dtype=float)
    size = sum(len(text.encode()) for text in texts) * math.log(2)
    return BitsPerByte(
        base=round(float(base.sum() / size), 4),
        bot=round(float(bot.sum() / size), 4),
        gain_percent=round(100 * float(1 - bot.sum() / base.sum()), 2),
        interval=gain_interval(base, bot, config),
        posts=len(texts),
    )


def gain_interval(
    base: np.ndarray[Any, Any], bot: np.ndarray[Any, Any], config: ReportConfig
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the gain in per cent.

    Posts are drawn with replacement, each with its pair of costs (Efron 1979, "Bootstrap methods",
    Annals of Statistics 7).
    """
    rng = np.random.default_rng(config.seed)
    drawn = rng.integers(0, len(base), size=(config.resamples, len(base)))
    gains = 100 * (1 - bot[drawn].sum(axis=1) / base[drawn].sum(axis=1))
    low, high = np.percentile(gains, [2.5, 97.5])
    return round(float(low), 2), round(float(high), 2)


def count_copies(
    samples: Sequence[Generation],
    held_out: Sequence[str],
    index: CopyIndex,
    config: GenerationConfig,
) -> Copied:
    """Compare how often the bot repeats training posts with how often the person does."""
    return Copied(
        bot=round(copied_share([sample.text for sample in samples], index, config), 4),
        unguarded=round(sum(sample.copied_first for sample in samples) / max(len(samples), 1), 4),
        person=round(copied_share(held_out, index, config), 4),
        samples=len(samples),
    )


def judge(bits: BitsPerByte, copied: Copied) -> str:
    """Say in plain words what the figures mean."""
    low, high = bits.interval
    if low <= 0 <= high or bits.gain_percent <= 0:
        learned = "The bot does not predict new posts of this account better than its base does."
    else:
        size = (
            "a little"
            if bits.gain_percent < 10
            else "clearly"
            if bits.gain_percent < 25
            else "much"
        )
        learned = (
            f"The bot predicts new posts of this account {size} better than its base: "
            f"{bits.gain_percent:.0f} % fewer bits."
        )
    if copied.person > 0.5:
        return f"{learned} The person repeats {100 * copied.person:.0f} % of their own posts."
    if copied.bot > copied.person + 0.02:
        return f"{learned} It copies more than the person repeats: show its posts with care."
    return f"{learned} It does not copy more than the person repeats themselves."

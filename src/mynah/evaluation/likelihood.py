"""What was learned: bits per byte of posts that no model here was trained on.

    bits per byte = sum of -log2 p(token | tokens before) / number of UTF-8 bytes

It compares models whatever their tokenizers (Gao et al. 2020, "The Pile", arXiv:2101.00027,
section 3.1). Its floors are the untouched base and the base that is shown posts before each
(Brown et al. 2020, "Language models are few-shot learners", arXiv:2005.14165). A Markov chain
gives no probability to a word that it never saw, and nobody knows how few bits a person's posts
could take: there is neither that floor nor a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mynah.config import ReportConfig
from mynah.evaluation.bootstrap import percentiles, ratio_draws
from mynah.evaluation.figure import Figure, Interval


@dataclass(frozen=True, kw_only=True)
class Costs:
    """-log p of the same posts under base and bot, in nats."""

    texts: Sequence[str]
    base: Sequence[float]
    bot: Sequence[float]
    few_shot: Mapping[int, float] = field(default_factory=dict)  # of some posts, by place
    shown: int = 0  # posts that the base was shown for it

    @property
    def gain(self) -> float:
        """Return the share of the base's bits that the bot saves."""
        return 1 - sum(self.bot) / sum(self.base)

    @property
    def few_shot_gain(self) -> float | None:
        """Return the share of its bits that the base saves once it is shown posts."""
        if not self.few_shot:
            return None
        return 1 - sum(self.few_shot.values()) / sum(self.base[at] for at in self.few_shot)


@dataclass(frozen=True, kw_only=True)
class BitsPerByte:
    """How well held-out posts are predicted, in short; lower is better."""

    base: float
    bot: float
    gain_percent: float  # 100 x (1 - bot / base)
    interval: Interval | None  # 95 % interval of the gain, in per cent
    posts: int  # held-out posts it was measured on


def compare(costs: Costs, config: ReportConfig) -> BitsPerByte | None:
    """Compare base and bot; None where there is no post to compare them on."""
    if not costs.texts:
        return None
    size = sum(_bits(costs.texts))
    return BitsPerByte(
        base=round(sum(costs.base) / size, 4),
        bot=round(sum(costs.bot) / size, 4),
        gain_percent=round(100 * costs.gain, 2),
        interval=_rounded(gain_interval(costs, config)),
        posts=len(costs.texts),
    )


def gain_interval(costs: Costs, config: ReportConfig) -> Interval | None:
    """Return the 95 % interval of the gain in per cent; posts are drawn with both costs."""
    return percentiles(100 * (1 - ratio_draws(costs.bot, costs.base, config)))


def likelihood(costs: Costs, others: Costs, config: ReportConfig, why: str) -> tuple[Figure, ...]:
    """Return bits per byte, the gain, and how much of it is this author's own.

    Args:
        costs: of the held-out posts.
        others: of posts by other authors.
        config: resamples and seed.
        why: the reason where there are no held-out posts.
    """
    return _bits_figure(costs, config, why), _gain(costs, config, why), _own(costs, others, config)


def _bits_figure(costs: Costs, config: ReportConfig, why: str) -> Figure:
    value, interval, floors = None, None, {}
    if costs.texts:
        sizes = _bits(costs.texts)
        value = sum(costs.bot) / sum(sizes)
        interval = percentiles(ratio_draws(costs.bot, sizes, config))
        floors["base"] = sum(costs.base) / sum(sizes)
        if (saved := costs.few_shot_gain) is not None:  # measured on some of the posts only
            floors["few_shot"] = floors["base"] * (1 - saved)
    return Figure(
        name="bits_per_byte",
        label="Bits per byte",
        unit="bits",
        better="lower",
        main=True,
        value=value,
        interval=interval,
        n=len(costs.texts),
        floors=floors,
        why=why or "No ceiling: nobody knows how few bits the person's posts could take.",
        details={"posts_shown": costs.shown, "few_shot_posts": len(costs.few_shot)},
    )


def _gain(costs: Costs, config: ReportConfig, why: str) -> Figure:
    value, interval, floors = None, None, {}
    if costs.texts:
        value, interval, floors = 100 * costs.gain, gain_interval(costs, config), {"base": 0.0}
        if (saved := costs.few_shot_gain) is not None:
            floors["few_shot"] = 100 * saved
    return Figure(
        name="gain",
        label="Fewer bits than the base",
        unit="percent",
        better="higher",
        main=True,
        value=value,
        interval=interval,
        n=len(costs.texts),
        floors=floors,
        why=why,
    )


def _own(costs: Costs, others: Costs, config: ReportConfig) -> Figure:
    """Return the gain on this author's posts minus the gain on others', in per cent points.

    What a bot learns of posts in general (short, no headings, a hashtag) helps with anybody's.
    What is left is this author's own; a language that the others do not write counts as well.
    """
    value, interval, why = None, None, "No posts of other authors to compare with."
    if costs.texts and others.texts:
        value, why = 100 * (costs.gain - others.gain), ""
        mine = ratio_draws(costs.bot, costs.base, config)
        theirs = ratio_draws(others.bot, others.base, config, stream=1)
        interval = percentiles(100 * (theirs - mine))
    return Figure(
        name="specificity",
        label="Of that, this author's own",
        unit="percent",
        better="higher",
        main=True,
        value=value,
        interval=interval,
        n=len(costs.texts) + len(others.texts),
        floors={} if value is None else {"base": 0.0},
        why=why,
        details={"gain_on_others": 100 * others.gain, "posts_of_others": len(others.texts)}
        if others.texts
        else {},
    )


def _bits(texts: Sequence[str]) -> list[float]:
    """Return what one bit a byte of each text would cost, in nats."""
    return [len(text.encode()) * math.log(2) for text in texts]


def _rounded(interval: Interval | None) -> Interval | None:
    return interval and (round(interval[0], 2), round(interval[1], 2))

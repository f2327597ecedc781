"""From the one dial, the posts and the machine: every number that training needs (no torch)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mynah.config import TrainingConfig

# The recipe of 2020, to the letter: GPT-2 as it was fine-tuned for thousands of bots.
ORIGINAL_BLOCK = 1_024
_ORIGINAL = {"epochs": 4.0, "learning_rate": 1.372e-4, "warmup": 0.0, "batch_tokens": 1_024}
_ORIGINAL_SCHEDULE = "cosine"

# What each turn of the dial means; docs/recipes.md has the measurements. A large archive is read in
# part: what this machine learns in `seconds`, but never less than `tokens`.
_EFFORT = {
    "quick": {"epochs": 1.0, "learning_rate": 2e-3, "seconds": 75.0, "tokens": 10_000},
    "normal": {"epochs": 1.5, "learning_rate": 1e-3, "seconds": 250.0, "tokens": 40_000},
    "best": {"epochs": 3.0, "learning_rate": 7e-4, "seconds": math.inf, "tokens": 0},
}
# `normal` and `best` read an archive that fits in small steps, which teach more a token; posts set
# aside tell where to stop. The rate goes with the root of the step. Two adapters learn it side by
# side: see `ensemble`. A larger archive is better read by one, in larger steps.
_SMALL = {"epochs": 1.5, "learning_rate": 1.2e-3}
_FITTING = {"normal": _SMALL, "best": _SMALL | {"epochs": 2.0}}
_SMALLER = 3 / 8  # than the usual step
_FITS = 50_000  # tokens
_MEMBERS = 2
_WARMUP = 0.1
# What starts from a part of a flock can write by then: it learns on at this part of the rate, soon,
# and up to so many tokens once where `normal` would read some of them again.
_FROM_FLOCK = 0.75
ONCE = 30_000
_WARMED_UP = 0.03
_SCHEDULE = "wsd"
_STABLE = 0.5  # of the steps after the warm-up, before the rate falls, where it is stable at first
_SPEED = 400.0  # tokens a second of a laptop, where nobody has measured this machine's
_BATCH_TOKENS = {"cpu": 256, "mps": 1_024, "cuda": 2_048}
_RANK = 8
_FOREIGN_RANK = 32  # a language that the base hardly knows is more to learn than a voice
# What an adapter counts for while it alone is heard, alpha over rank; bold where loud channels are
# damped. Of several that learn side by side each counts so, and in their mean its share.
_SCALE = 4
_CAREFUL_SCALE = 2
_VALIDATION = 0.05  # of the posts, wherever it is left open when to stop
_DISTILL = 0.5  # of a target, once posts come again: see `self_distillation`
# An archive below this many tokens is read once and a half in the smallest steps, by every effort
# on every device: a third look unlearns more than it teaches.
_SMALL_ARCHIVE = 15_000
_SMALLEST_STEP = 96


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a plan needs to know of where it is carried out."""

    device: str = "cpu"  # cpu, cuda or mps
    int8: bool = False  # frozen matrices are best multiplied in eight bits
    tokens_per_second: float | None = None  # as calibrated; None: not yet
    routing: bool = False  # posts of one step can go through adapters of their own
    damping: bool = False  # adapters hear the base's loudest channels damped
    teaching: bool = True  # a part of a target can be what the bot itself expects


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one training goes; all of it is printed and written to run.json."""

    recipe: str
    effort: str
    seed: int
    epochs: float
    learning_rate: float
    warmup: float  # share of the steps
    schedule: str  # how the rate falls after it
    batch_tokens: int  # tokens a step, padding included
    accumulate: int  # pieces a batch is computed in
    rank: int | None  # None: all weights are trained
    alpha: float
    members: int  # adapters that learn side by side, to become one of this rank
    modules: str  # which linear layers have an adapter
    clip: float | None  # largest norm of the gradient
    beta2: float  # how slowly Adam forgets the size of gradients
    weight_decay: float
    dropout: bool  # the base's own dropout, as the original's trainer left it on
    int8: bool  # frozen matrices are multiplied in eight bits
    block: int | None  # tokens a block where posts are packed, None: one post one example
    validation: float  # share of the posts that are set aside to stop by
    distill: float  # share of a target that is what the bot said before, once posts come again

    def to_json(self) -> dict[str, Any]:
        """Return the plan as run.json holds it."""
        return asdict(self)


def make_plan(
    config: TrainingConfig, *, tokens: int, machine: Machine | None = None, foreign: bool = False
) -> Plan:
    """Work out what the settings leave open.

    Args:
        config: the settings.
        tokens: training tokens of the archive.
        machine: what it is learned on.
        foreign: most posts are in languages that the base does not know.
    """
    original = config.recipe == "huggingtweets"
    machine = machine or Machine()
    members = 1 if original else _members(config, tokens, machine)
    derived = dict(_ORIGINAL) if original else _derive(config, tokens, machine, members)
    for name in derived:
        if (chosen := getattr(config, name)) is not None:
            derived[name] = chosen
    rank = None if original else config.rank or (_FOREIGN_RANK if foreign else _RANK)
    again = not original and config.epochs is None and derived["epochs"] > 1
    scale = (_SCALE if machine.damping else _CAREFUL_SCALE) / members
    return Plan(
        recipe=config.recipe,
        effort=config.effort,
        seed=config.seed,
        epochs=float(derived["epochs"]),
        learning_rate=float(derived["learning_rate"]),
        warmup=float(derived["warmup"]),
        schedule=config.schedule or (_ORIGINAL_SCHEDULE if original else _SCHEDULE),
        batch_tokens=int(derived["batch_tokens"]),
        accumulate=config.accumulate,
        rank=rank,
        alpha=rank * scale if rank else 0.0,
        members=members,
        modules=config.modules,
        clip=None if original else 1.0,
        beta2=0.999 if original else 0.98,
        weight_decay=0.0,
        dropout=original,
        int8=rounds(config, machine.int8),
        block=ORIGINAL_BLOCK if original else None,
        validation=_VALIDATION if again and tokens >= _SMALL_ARCHIVE else 0.0,
        distill=_DISTILL if again and machine.teaching else 0.0,
    )


def rounds(config: TrainingConfig, able: bool) -> bool:
    """Tell whether frozen matrices are rounded to eight bits: as is typed, else where able."""
    if config.recipe == "huggingtweets":
        return False
    return able if config.int8 is None else config.int8


def _members(config: TrainingConfig, tokens: int, machine: Machine) -> int:
    """Return how many adapters learn side by side; whoever types how to read gets one."""
    typed = config.effort == "quick" or config.epochs or config.batch_tokens
    fits = _SMALL_ARCHIVE <= tokens <= _FITS
    return _MEMBERS if machine.routing and fits and not typed else 1


def _derive(
    config: TrainingConfig, tokens: int, machine: Machine, members: int
) -> dict[str, float]:
    batch, dial = _BATCH_TOKENS[machine.device], _EFFORT[config.effort]
    begun = config.named_flock is not None and config.flock_share < 1
    tokens = max(tokens, 1)
    if tokens < _SMALL_ARCHIVE:
        dial, batch = dial | _SMALL, _SMALLEST_STEP
    elif config.effort in _FITTING and not config.batch_tokens and tokens <= _FITS:
        dial, batch = dial | _FITTING[config.effort], round(batch * _SMALLER)
        if begun and config.effort == "normal" and tokens <= ONCE:
            dial["epochs"] = 1.0
    most = dial["seconds"] * (machine.tokens_per_second or _SPEED) / members
    return {
        "epochs": min(dial["epochs"], max(most, dial["tokens"]) / tokens),
        "learning_rate": dial["learning_rate"] * (_FROM_FLOCK if begun else 1),
        "warmup": _WARMED_UP if begun else _WARMUP,
        "batch_tokens": batch * members,
    }


def rate_at(step: int, total: int, plan: Plan) -> float:
    """Return the learning rate of a step (from 0): a linear rise, then as the schedule says.

    "wsd" (warm-up, stable, decay): Hu et al. 2024 (arXiv:2404.06395), section 4, with a line for
    the decay. The cosine: Loshchilov and Hutter 2017 (arXiv:1608.03983), equation 5, no restarts.
    """
    rise = round(plan.warmup * total)
    if step < rise:
        return plan.learning_rate * (step + 1) / rise
    done = (step - rise) / max(total - rise, 1)
    return plan.learning_rate * _FALLS[plan.schedule](done)


_FALLS: dict[str, Callable[[float], float]] = {
    "wsd": lambda done: min(1.0, (1 - done) / (1 - _STABLE)),
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,
}

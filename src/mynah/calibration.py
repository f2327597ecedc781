"""How fast this machine learns: what a training will cost, and what the dial may ask of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mynah.bases import cache_folder
from mynah.early_stopping import looks
from mynah.ensemble import routes_of
from mynah.errors import BotError, StorageError
from mynah.fast_llama import Body
from mynah.flat_parameter import flatten, unflatten
from mynah.learner import Learner, Rows, piece_loss
from mynah.loss import pad
from mynah.model import Base
from mynah.plan import Plan
from mynah.run_folder import read_json, write_json
from mynah.self_distillation import Teacher
from mynah.shortlist import Columns
from mynah.training import make_optimizer, move, read, trained_parameters


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a training will cost, before it starts."""

    seconds: float
    bytes: int
    tokens_per_second: float


_PASSES = 5
_PLACES = (0.5, 0.1, 0.9, 0.3, 0.7)  # of the steps that are timed, among all by their size
_SECONDS = 5.0  # of timing, after which no further size is begun
# Bytes of libraries, of the kernels that they write for each shape, and of what is freed and kept.
_LIBRARIES = 700e6


def calibrate(base: Base, rows: Rows, plan: Plan, learner: Learner) -> float:
    """Return the tokens a second that this machine learns.

    Measured once, in about five seconds, and then remembered: the dial derives from it how much of
    a large archive is read, and the same machine has to arrive at the same weights again.
    """
    memory = cache_folder() / "speeds.json"
    known = _remembered(memory)
    key = _machine(base, plan)
    if key not in known:
        known[key] = round(_speed(base, _middling(rows, plan), plan, learner), 1)
        with contextlib.suppress(StorageError):  # then it is measured again next time
            write_json(memory, known)
    return float(known[key])


def _remembered(memory: Path) -> dict[str, float]:
    try:
        return read_json(memory)
    except (OSError, BotError):  # not there yet, or damaged
        return {}


def _machine(base: Base, plan: Plan) -> str:
    """Return what the speed depends on."""
    parts = (
        platform.node(), platform.machine(), os.cpu_count(), torch.get_num_threads(),
        torch.__version__, base.info.sha256, base.device.name, base.device.dtype, plan.int8,
        plan.rank, plan.members, plan.batch_tokens,
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _middling(rows: Rows, plan: Plan) -> Rows:
    """Return a batch of posts of middling length."""
    by_length = sorted(rows, key=len)
    length = len(by_length[len(by_length) // 2])
    count = max(1, plan.batch_tokens // length)
    start = max(0, (len(by_length) - count) // 2)
    return by_length[start : start + count]


def _speed(base: Base, group: Rows, plan: Plan, learner: Learner) -> float:
    """Return the tokens a second of a step over one batch, without learning: the median pass."""
    ids, targets = pad(group, base.separator)
    piece = slice(0, -(-len(ids) // plan.accumulate))
    columns = learner.columns(0)
    passes: list[float] = []
    _timed_pass(base, learner.body, ids[piece], targets[piece], columns)  # warms up
    while len(passes) < _PASSES and sum(passes) < _SECONDS:
        passes.append(_timed_pass(base, learner.body, ids[piece], targets[piece], columns))
    return ids[piece].numel() / statistics.median(passes)


def estimate(
    base: Base,
    rows: Rows,
    steps: Sequence[Sequence[int]],
    plan: Plan,
    learner: Learner,
    processes: int = 1,
) -> Estimate:
    """Time some steps of all sizes, without learning, and say what all of them will cost.

    The memory is that of one process, the time that of all of them side by side.
    """
    groups = sorted(([rows[at] for at in step] for step in steps), key=_padded)
    plain, taught = _step_seconds(base, groups, plan, learner)
    again = 1 - looks(plan.epochs)[0]  # of the steps; what is said to one member others hear too
    mean = plain + again * (taught - plain) / plan.members
    seconds = len(groups) * mean * 1.05 / processes
    return Estimate(
        seconds=seconds,
        bytes=_memory(base.model, plan, _padded(groups[-1]) / plan.accumulate / processes),
        tokens_per_second=sum(map(_padded, groups)) / seconds,
    )


def _step_seconds(
    base: Base, groups: Sequence[Rows], plan: Plan, learner: Learner
) -> tuple[float, float]:
    """Return what a step takes in the mean, and once the bot teaches itself.

    Small steps cost far more a token than large ones. These are the very steps of a training, at a
    rate of 0. The first of a size also makes what the others find, and a machine pauses now and
    then, so the faster of two counts. `groups` are sorted by size.
    """
    held = trained_parameters(base.model).values()
    weights = flatten(held)
    optimizer = make_optimizer(weights, plan)
    own, share = weights.data, plan.distill
    teacher = Teacher(body=learner.body, weights=own, before=own, share=share) if share else None

    def timed(group: Rows, teacher: Teacher | None = None) -> float:
        return min(_timed_step(base, group, plan, learner, optimizer, teacher) for _ in range(2))

    places = [round(part * (len(groups) - 1)) for part in _PLACES]
    took: list[float] = []
    for place in places:
        if not took or 2 * sum(took) < _SECONDS:
            took.append(timed(groups[place]))
    mean = statistics.fmean(took)
    taught = timed(groups[places[0]], teacher) / took[0] * mean if teacher else mean
    unflatten(held)
    return mean, taught


def _timed_step(
    base: Base,
    group: Rows,
    plan: Plan,
    learner: Learner,
    optimizer: torch.optim.AdamW,
    teacher: Teacher | None,
) -> float:
    start = time.perf_counter()
    routes = routes_of(len(group), 0, plan.members)
    read(base, learner.body, group, plan, learner.columns(0), routes, teacher=teacher)
    move(optimizer, plan, 0.0)
    return time.perf_counter() - start


def _padded(group: Rows) -> int:
    return len(group) * (max(map(len, group)) - 1)


def _timed_pass(
    base: Base, body: Body, ids: Tensor, targets: Tensor, columns: Columns | None
) -> float:
    start = time.perf_counter()
    piece_loss(base, body, ids, targets, columns).backward()  # type: ignore[no-untyped-call]
    for each in trained_parameters(base.model).values():
        each.grad = None
    return time.perf_counter() - start


def _memory(model: Any, plan: Plan, tokens: float) -> int:
    trained = sum(each.numel() for each in trained_parameters(model).values())
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    return memory_of(model.config, plan, weights, trained, tokens * model.dtype.itemsize)


def memory_of(config: Any, plan: Plan, weights: int, trained: int, kept: float) -> int:
    """Return about how many bytes a training process will hold.

    Args:
        config: the model's, as transformers has it: its kind, width and depth.
        plan: whether weights are averaged: then there is the mean; those that teach, if some do;
            if posts are set aside, the best, and the one adapter that is asked of several.
        weights: bytes of all of them.
        trained: numbers that are trained: each has a gradient and two moments, in four bytes.
        kept: tokens of the largest piece of a step, times the bytes of a number.
    """
    taught, asked = plan.distill > 0, plan.validation > 0
    copies = 3 + (taught or asked) + taught + asked + (asked and plan.members > 1)
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * width
    written_out = plan.rank is not None and config.model_type == "llama"  # `fast_llama` keeps less
    states = kept * layers * (6 * width + 2 * inner if written_out else 18 * width + 6 * inner)
    return int(_LIBRARIES + weights + 4 * copies * trained + states)

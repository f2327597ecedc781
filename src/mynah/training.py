"""The one training loop: any base, any recipe, killed and resumed to the same weights."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mynah.curriculum import ALL
from mynah.early_stopping import EarlyStopping
from mynah.ensemble import routed, routes_of
from mynah.errors import BotError, SettingsError, TrainingStopped
from mynah.fast_llama import Body
from mynah.flat_parameter import flatten, gradient_of, unflatten
from mynah.learner import Learner, Rows, fit, piece_loss, strain_of
from mynah.lora import join_members
from mynah.loss import IGNORE, pad
from mynah.model import Base
from mynah.plan import Plan
from mynah.replicas import ALONE, Replicas
from mynah.run_folder import storage_errors
from mynah.self_distillation import Teacher, teacher_of
from mynah.shortlist import Columns

_STATE = "state.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")  # Adam's
_KEPT = ("mean", "best", "first")  # weights that early stopping holds, where it does
# How weights lie in one, and what they count for: others would be mixed up.
_ORDER = "matrix by matrix, damped, each member whole"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a bar and a tracker show after each step."""

    step: int  # steps done
    steps: int  # steps in all
    loss: float  # nats a token, of this step
    rate: float
    posts: int  # examples learned from in this process
    tokens: int  # real tokens learned from in this process
    seconds: float  # since this process began to train


@dataclass(kw_only=True)
class Course:
    """Where a training stands: everything that a checkpoint has to hold besides tensors."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0
    best_step: int = 0  # that the posts set aside cost least after; 0: nobody asked
    best_nats: float | None = None  # what the posts set aside cost with them, a token


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where the state of a training is kept, and how often it is written."""

    folder: Path
    key: str  # of everything the weights depend on; another key is another training
    seconds: float = 30.0
    resume: bool = False


def trained_parameters(model: Any) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name; the same one of all layers together."""
    found = {name: each for name, each in model.named_parameters() if each.requires_grad}
    return dict(sorted(found.items(), key=lambda item: _without_layer(item[0])))


def _without_layer(name: str) -> str:
    """Return a parameter's name but for the number of its layer."""
    return ".".join(part for part in name.split(".") if not part.isdecimal())


def train(
    base: Base,
    rows: Rows,
    steps: Sequence[Sequence[int]],
    plan: Plan,
    *,
    learner: Learner | None = None,
    turns: Sequence[int] = (),
    validation: Sequence[int] = (),
    checkpoints: Checkpoints | None = None,
    replicas: Replicas = ALONE,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Course:
    """Train the parameters that require gradients, one optimizer step for each group of rows.

    Args:
        base: the model, already with its adapter where the plan has one.
        rows: token ids of every example, separators included.
        steps: which rows each step learns from, for all epochs, in order; `validation` last.
        plan: learning rate and the rest.
        learner: what `fit` returned for these rows, if it was called already.
        turns: of each step, which tells what posts go to which member of an ensemble.
        validation: rows by which training stops early, and learns from last: `early_stopping`.
        checkpoints: where to save; None keeps nothing. Of several processes the first one saves.
        replicas: the processes that learn together, all called with the same arguments.
        on_step: called after each step.

    Raises:
        TrainingStopped: Ctrl-C or a polite kill; the state is saved, the error says how to go on.
    """
    learner = learner or fit(base, rows, plan)  # before the weights of a resumed one
    weights = flatten(trained_parameters(base.model).values())
    optimizer = make_optimizer(weights, plan)
    stopping = EarlyStopping(base, learner.body, rows, steps, validation, weights, plan, replicas)
    course = _restore(optimizer, stopping, checkpoints)
    teacher: Teacher | None = None
    watch = _Stopwatch(course)
    base.model.train(plan.dropout)
    with _polite_stop() as stopped:
        while (step := course.step) < len(steps):
            torch.manual_seed(hash((plan.seed, step)))  # dropout: a resumed step draws the same
            group = [rows[at] for at in steps[step]]
            rate = stopping.rate(course)
            columns = learner.columns(hash((plan.seed, step)))
            routes = routes_of(len(group), turns[step] if turns else ALL, plan.members)
            teacher = teacher_of(stopping, course, teacher)
            nats, tokens = read(base, learner.body, group, plan, columns, routes, replicas, teacher)
            nats, stop = replicas.add(gradient_of(weights), nats, bool(stopped))
            move(optimizer, plan, rate)
            watch.count(nats / tokens, tokens, len(group))
            on_step(watch.progress(len(steps), rate))
            stopping.look(course)
            stop = stop or (replicas.count == 1 and bool(stopped))  # nobody else has to agree
            if checkpoints and replicas.first and (stop or watch.due(checkpoints.seconds)):
                _save(optimizer, course, stopping, checkpoints)
            if stop:
                raise _stop_error(checkpoints)
    _finish(base)
    return course


def _finish(base: Base) -> None:
    """Make one adapter of what has learned."""
    unflatten(trained_parameters(base.model).values())
    join_members(base.model)
    base.model.eval()


def make_optimizer(weights: nn.Parameter, plan: Plan) -> torch.optim.AdamW:
    """Return AdamW for flat weights as the plan wants it, with nothing remembered."""
    return torch.optim.AdamW(
        [weights],
        lr=plan.learning_rate,
        betas=(0.9, plan.beta2),
        weight_decay=plan.weight_decay,
        fused=True,
    )


def read(
    base: Base,
    body: Body,
    group: Rows,
    plan: Plan,
    columns: Columns | None,
    routes: Tensor | None = None,
    replicas: Replicas = ALONE,
    teacher: Teacher | None = None,
) -> tuple[float, int]:
    """Find the gradients of this process's share of a group of rows.

    Args:
        base: the model.
        body: what computes its hidden states.
        group: token ids of each row.
        plan: for the pieces in which they are read.
        columns: what the softmax runs over; None: all.
        routes: which member of the adapter each row goes through; None: all through all.
        replicas: the processes that learn together.
        teacher: who says a part of what is learned.

    Returns:
        Nats of the share, and tokens of the whole group, over which the loss is a mean.
    """
    ids, targets = pad(group, base.separator)
    tokens = int((targets != IGNORE).sum())
    nats = 0.0
    for piece in replicas.share(torch.arange(len(ids))).chunk(plan.accumulate):
        if not len(piece):
            continue
        soft = teacher(ids[piece]) if teacher else None
        with routed(body, None if routes is None else routes[piece]):
            loss = piece_loss(base, body, ids[piece], targets[piece], columns, soft)
            ((loss + strain_of(body)) / tokens).backward()  # type: ignore[no-untyped-call]
        nats += loss.item()
    return nats, tokens


def move(optimizer: torch.optim.AdamW, plan: Plan, rate: float) -> None:
    """Take one step along the gradients and forget them."""
    group = optimizer.param_groups[0]
    if plan.clip:
        nn.utils.clip_grad_norm_(group["params"], plan.clip)
    group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)  # the adapters' gradients look into this one


class _Stopwatch:
    """Count what a training has done and when it was last saved."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.before = course.seconds
        self.start = self.saved = time.monotonic()
        self.posts = self.tokens = 0

    def count(self, loss: float, tokens: int, posts: int) -> None:
        self.course.step += 1
        self.course.losses.append(loss)
        self.course.tokens += tokens
        self.course.seconds = self.before + time.monotonic() - self.start
        self.posts += posts
        self.tokens += tokens

    def due(self, seconds: float) -> bool:
        if time.monotonic() - self.saved < seconds:
            return False
        self.saved = time.monotonic()
        return True

    def progress(self, steps: int, rate: float) -> Progress:
        return Progress(
            step=self.course.step,
            steps=steps,
            loss=self.course.losses[-1],
            rate=rate,
            posts=self.posts,
            tokens=self.tokens,
            seconds=time.monotonic() - self.start,
        )


@contextmanager
def _polite_stop() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying mid-step; a second one kills as ever."""
    seen: list[int] = []
    handlers: dict[signal.Signals, Any] = {}

    def note(number: int, frame: object) -> None:
        seen.append(number)
        signal.signal(number, handlers[signal.Signals(number)])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: whoever runs this thread stops it in its own way
        pass
    try:
        yield seen
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop_error(checkpoints: Checkpoints | None) -> TrainingStopped:
    if checkpoints is None:
        return TrainingStopped("Stopped; nothing was saved.")
    return TrainingStopped(
        "Stopped; what was learned so far is saved.",
        hint=f"Go on with: mynah train {checkpoints.folder.parent.name} --resume",
    )


def _save(
    optimizer: torch.optim.AdamW, course: Course, stopping: EarlyStopping, checkpoints: Checkpoints
) -> None:
    """Write weights, moments and course as one file that replaces the last one whole."""
    [weights] = optimizer.param_groups[0]["params"]
    tensors = {"weights": weights.detach()}
    tensors |= {key: optimizer.state[weights][key] for key in _MOMENTS}
    kept = {name: getattr(stopping, name) for name in _KEPT}
    tensors |= {name: each for name, each in kept.items() if each is not None}
    notes = {"key": checkpoints.key, "order": _ORDER, "course": json.dumps(vars(course))}
    with storage_errors(checkpoints.folder):
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        fresh = checkpoints.folder / f".{_STATE}"
        try:
            save_file(tensors, fresh, metadata=notes)
            with fresh.open("rb") as written:
                os.fsync(written.fileno())
            fresh.replace(checkpoints.folder / _STATE)
        finally:
            fresh.unlink(missing_ok=True)  # half of it would only fill the disk


def _restore(
    optimizer: torch.optim.AdamW, stopping: EarlyStopping, checkpoints: Checkpoints | None
) -> Course:
    """Load the saved state when asked to and when it is this very training's."""
    if checkpoints is None or not checkpoints.resume:
        return Course()
    file = checkpoints.folder / _STATE
    if not file.exists():
        return Course()
    with _readable(file), safe_open(file, framework="pt") as state:
        notes = state.metadata()
        if notes["key"] != checkpoints.key:
            raise SettingsError(
                "The saved training used other posts or settings.",
                hint="Use those again, or train anew without --resume.",
            )
        if notes.get("order") != _ORDER:
            raise SettingsError(
                "The saved training is of another version of Mynah.",
                hint="Train anew without --resume.",
            )
        course = Course(**json.loads(notes["course"]))
        [weights] = optimizer.param_groups[0]["params"]
        weights.data.copy_(state.get_tensor("weights"))
        moments = {key: state.get_tensor(key).to(weights.device) for key in _MOMENTS}
        optimizer.state[weights] = {"step": torch.tensor(float(len(course.losses))), **moments}
        for name in set(_KEPT).intersection(state.keys()):
            setattr(stopping, name, state.get_tensor(name).to(weights.device))
    return course


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BotError(
            f"{file} is damaged ({type(error).__name__}): the training cannot go on from it.",
            hint=f"Train anew: mynah train {file.parent.parent.name}",
        ) from error

"""The stages that change or write a model: train, export. See `judging` for the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mynah.bot import FULL_WEIGHTS
from mynah.calibration import Estimate, calibrate, estimate
from mynah.chronicle import EVERY, begin
from mynah.config import (
    DatasetConfig,
    ExportConfig,
    TrainingConfig,
)
from mynah.curriculum import Curriculum, encode, packed, post_by_post
from mynah.dataset import Split, lengths, voice_weights
from mynah.early_stopping import main_steps
from mynah.errors import SettingsError
from mynah.export import export, target_folder
from mynah.held_out import read_split
from mynah.inheritance import beginning, find_flock, foreign, inheritance
from mynah.learner import Learner, fit, load_to_learn, machine_of, refuse_overflow
from mynah.lora import add_adapter, copy_adapter, save_adapter
from mynah.model import Base, quiet_transformers
from mynah.parentage import refuse_blend
from mynah.plan import Plan, make_plan
from mynah.rehearsal import Rehearsal
from mynah.replicas import ALONE, Replicas, find_replicas
from mynah.run_folder import (
    RunFolder,
    read_json,
    replacing_folder,
    write_json,
)
from mynah.stages import check_enough, stage, training_key, versions
from mynah.tracking import NullTracker, Tracker
from mynah.training import (
    Checkpoints,
    Course,
    Progress,
    train,
    trained_parameters,
)
from mynah.watch import Nobody, Watch, bar


def train_bot(
    folder: RunFolder,
    config: TrainingConfig,
    dataset: DatasetConfig,
    *,
    resume: bool = False,
    watch: Watch | None = None,
    tracker: Tracker | None = None,
) -> Course:
    """Teach the base the voice of cleaned.jsonl; write adapter/.

    Raises:
        TooFewPosts: there is too little to learn from.
        TrainingStopped: Ctrl-C; the checkpoint is kept for `resume`.
    """
    watch, tracker = watch or Nobody(), tracker or NullTracker()
    folder.require(folder.cleaned)
    refuse_blend(folder, "train")
    replicas = find_replicas()
    if not replicas.first:
        return _follow(folder, config, dataset, resume, replicas)
    with stage(folder, "train", config, [folder.cleaned], tracker=tracker) as made:
        with bar(watch, "Loading the base (the very first time takes half a minute)"):
            base = load_to_learn(config)
        check_enough(folder, base.info.languages, watch=watch)
        parts = read_split(folder, dataset)
        with bar(watch, "Finding out how fast this machine learns"):
            ready = prepare(base, parts, config, dataset, folder, replicas)
            plan, lessons = ready.plan, ready.lessons
            cost = estimate(base, lessons.rows, lessons.steps, plan, ready.learner, replicas.count)
        _announce(base, ready, config.flock_share, cost, watch)
        keep = _checkpoints(folder, base, ready, config, resume)
        made["run"] = _begin(folder, config, dataset, resume, made["run"])
        used = {**asdict(config), **plan.to_json(), "base": _lasting_name(config.base)}
        made["config"] = {**used, "dataset": asdict(dataset)}
        begin(tracker, folder, "train", {**made, "versions": versions()})
        rehearsal = _rehearsal(base, ready, parts, dataset)
        with _bar(watch, tracker, len(lessons.steps), rehearsal) as on_step:
            course = _teach(base, ready, keep, replicas, on_step)
        _tell_stop(course, lessons, watch)
        _save_weights(base, folder.adapter, plan)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        made["outputs"] = [folder.adapter]
        made["result"] = _training_result(base, plan, lessons, parts, course)
        made["result"]["flock"] = ready.flock
    return course


def estimate_training(
    folder: RunFolder,
    config: TrainingConfig,
    dataset: DatasetConfig,
    *,
    watch: Watch | None = None,
) -> Estimate:
    """Say what a training would cost, and leave the bot as it is.

    Raises:
        TooFewPosts: there is too little to learn from.
    """
    folder.require(folder.cleaned)
    refuse_blend(folder, "train")
    base = load_to_learn(config)
    check_enough(folder, base.info.languages, watch=watch)
    ready = prepare(base, read_split(folder, dataset), config, dataset, folder)
    return estimate(base, ready.lessons.rows, ready.lessons.steps, ready.plan, ready.learner)


def _follow(
    folder: RunFolder,
    config: TrainingConfig,
    dataset: DatasetConfig,
    resume: bool,
    replicas: Replicas,
) -> Course:
    """Learn with the first process, which alone speaks and writes."""
    base = load_to_learn(config)
    ready = prepare(base, read_split(folder, dataset), config, dataset, folder, replicas)
    keep = _checkpoints(folder, base, ready, config, resume)
    return _teach(base, ready, keep, replicas)


def _teach(
    base: Base,
    ready: Prepared,
    keep: Checkpoints,
    replicas: Replicas,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Course:
    """Train in all processes at once; the first has settled by now what is gone on with."""
    replicas.agree(None)
    course = train(
        base,
        ready.lessons.rows,
        ready.lessons.steps,
        ready.plan,
        learner=ready.learner,
        turns=ready.lessons.turns,
        validation=ready.lessons.validation,
        checkpoints=keep,
        replicas=replicas,
        on_step=on_step,
    )
    replicas.leave()
    return course


def _lasting_name(base: str) -> str:
    """Return a base's name that holds from any folder: a path is made absolute."""
    return str(Path(base).resolve()) if Path(base).is_dir() else base


def saved_settings(folder: RunFolder) -> dict[str, Any]:
    """Return the settings of a training that was stopped, a table a stage; none if none was."""
    file = _settings_file(folder)
    return read_json(file) if file.exists() else {}


def _begin(
    folder: RunFolder, config: TrainingConfig, dataset: DatasetConfig, resume: bool, run: str
) -> str:
    """Keep the settings beside the checkpoints; what is resumed was begun with those there.

    Returns the id of the run: the one that it was begun with, where it is resumed.
    """
    if not resume:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    saved = saved_settings(folder)
    if not saved:
        settings = {"train": asdict(config), "dataset": asdict(dataset), "run": run}
        write_json(_settings_file(folder), settings)
    return str(saved.get("run", run))


def _settings_file(folder: RunFolder) -> Path:
    return folder.checkpoints / "settings.json"


def _checkpoints(
    folder: RunFolder, base: Base, ready: Prepared, config: TrainingConfig, resume: bool
) -> Checkpoints:
    """Return where the training is saved, under the key of everything its weights depend on."""
    device, lessons = f"{base.device.name} {base.device.dtype}", ready.lessons
    began = ready.flock and (ready.flock["sha256"], config.flock_share)
    key = training_key(
        ready.plan.to_json(), base.info.sha256, device, lessons.rows, lessons.steps, began
    )
    return Checkpoints(
        folder=folder.checkpoints, key=key, seconds=config.save_seconds, resume=resume
    )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All that a training needs besides the base."""

    plan: Plan
    lessons: Curriculum
    learner: Learner
    flock: dict[str, Any] | None = None  # what is recorded of the one that the bot begins from


def prepare(
    base: Base,
    parts: Split,
    config: TrainingConfig,
    dataset: DatasetConfig,
    folder: RunFolder,
    replicas: Replicas = ALONE,
) -> Prepared:
    """Work out the plan and what is read in which order; put the adapter on the base."""
    texts = [example.text for example in parts.train]
    longest = min(dataset.max_post_tokens, base.context - 1)
    rows = encode(base.tokenizer, texts, base.separator, longest)
    tokens, machine = sum(map(len, rows)), machine_of(base)
    config = beginning(config, folder, base, tokens)
    planned = partial(make_plan, tokens=tokens, foreign=foreign(folder, base))
    plan = planned(config, machine=machine)
    refuse_overflow(base, plan)
    if plan.rank is None:
        if plan.block and plan.block > base.context:
            raise SettingsError(
                f"The recipe {plan.recipe} reads {plan.block:,} tokens at once, and base "
                f"'{base.info.name}' reads {base.context:,}.",
                hint="Choose another --base.",
            )
        base.model.requires_grad_(True).float()
        lessons = packed(parts.train, base.tokenizer, base.separator, plan)
        return Prepared(plan=plan, lessons=lessons, learner=fit(base, lessons.rows, plan))
    flock = None
    if config.named_flock:
        flock, rank = find_flock(folder, config.named_flock, base, config.rank)
        config = replace(config, rank=rank)
        plan = planned(config, machine=machine)
    size: Any = {"rank": plan.rank, "alpha": plan.alpha, "modules": plan.modules}
    add_adapter(base.model, seed=plan.seed, members=plan.members, **size)
    if flock:
        copy_adapter(base.model, flock.adapter, config.flock_share)
    authors = [row["handle"] for row in folder.read_run()["accounts"]]
    weights = voice_weights(authors, dataset.weights)
    if weights is None and dataset.unbalanced:
        weights = lengths(parts.train)
    lessons = post_by_post(parts.train, rows, plan, weights)
    learner = fit(base, rows, plan)
    if config.epochs is None:  # else nothing depends on how fast the machine is
        speed = calibrate(base, rows, plan, learner) if replicas.first else 0.0
        machine = replace(machine, tokens_per_second=replicas.agree(speed) * replicas.count)
        timed = planned(config, machine=machine)
        if timed != plan:
            plan, lessons = timed, post_by_post(parts.train, rows, timed, weights)
    row = inheritance(flock) if flock else None
    return Prepared(plan=plan, lessons=lessons, learner=learner, flock=row)


def _announce(base: Base, ready: Prepared, share: float, cost: Estimate, watch: Watch) -> None:
    """Say what will happen and what it costs, before it starts."""
    plan, lessons = ready.plan, ready.lessons
    dtype = str(base.device.dtype).removeprefix("torch.")
    kind = f"LoRA of rank {plan.rank}" if plan.rank else "all weights"
    kind += f", the mean of {plan.members} that learn side by side" if plan.members > 1 else ""
    kind += ", the frozen ones in eight bits" if plan.int8 else ""
    watch.say(
        f"Base {base.info.name} on {base.device.name} in {dtype} ({base.device.reason}); {kind}."
    )
    if ready.flock:
        watch.say(f"It starts with {share:.0%} of what {ready.flock['name']} has learned.")
    often = "once" if plan.epochs == 1 else f"{plan.epochs:.3g} times"
    if lessons.validation:
        often += f" at most ({len(lessons.validation)} set aside tell when to stop)"
    watch.say(
        f"Effort {plan.effort}: the posts {often}, {len(lessons.steps)} steps of "
        f"{plan.batch_tokens} tokens, learning rate {plan.learning_rate:g}, seed {plan.seed}."
    )
    if plan.distill:
        watch.say(
            f"Read again, {plan.distill:.0%} of what a post teaches is what the bot expected there "
            "after the first time."
        )
    watch.say(
        f"Estimate: {cost.seconds / 60:.1f} minutes at {cost.tokens_per_second:.0f} tokens a "
        f"second, {cost.bytes / 1e9:.1f} GB of memory."
    )


def _tell_stop(course: Course, lessons: Curriculum, watch: Watch) -> None:
    """Say where learning went back to, if it did."""
    if 0 < course.best_step < main_steps(lessons.steps, lessons.validation):
        watch.say(
            f"The posts set aside cost least after step {course.best_step}: learning went back "
            "to its weights, and on with those posts."
        )


def _rehearsal(base: Base, ready: Prepared, parts: Split, dataset: DatasetConfig) -> Rehearsal:
    texts = [example.text for example in parts.held_out]
    longest = min(dataset.max_post_tokens, base.context - 1)
    return Rehearsal(base, ready.learner.body, texts, longest)


@contextmanager
def _bar(watch: Watch, tracker: Tracker, steps: int, rehearsal: Rehearsal) -> Iterator[Any]:
    kept = not isinstance(tracker, NullTracker)  # else nobody sees the held-out curve

    def on_step(progress: Progress) -> None:
        seconds = max(progress.seconds, 1e-9)
        rate = progress.posts / seconds
        watch.advance(progress.step, f"loss {progress.loss:.2f} · {rate:.1f} posts/s")
        if progress.step % EVERY == 0 or progress.step in (1, steps):
            speed = {"posts_per_second": rate, "tokens_per_second": progress.tokens / seconds}
            figures = {"loss": progress.loss, "learning_rate": progress.rate, **speed}
            last = progress.step == steps
            if kept and (loss := rehearsal.look(seconds, anyway=last)) is not None:
                figures["held_out_loss"] = loss
            tracker.log(figures, progress.step)

    with bar(watch, "Training", steps):
        yield on_step


def _save_weights(base: Base, target: Path, plan: Plan) -> None:
    with replacing_folder(target) as new:
        if plan.rank is None:
            with quiet_transformers():
                base.model.save_pretrained(new)
        else:
            named = base.info.hub_id or base.info.name
            save_adapter(base.model, new, base=named, rank=plan.rank, alpha=plan.alpha)


def _training_result(
    base: Base, plan: Plan, lessons: Curriculum, parts: Split, course: Course
) -> dict[str, Any]:
    return {
        "base": base.info.to_json(),
        "recipe": plan.recipe,
        "device": base.device.name,
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "dtype_reason": base.device.reason,
        "trained_parameters": sum(p.numel() for p in trained_parameters(base.model).values()),
        "posts": len(parts.train),
        "validation": len(lessons.validation),
        "held_out": len(parts.held_out),
        "tokens": course.tokens,
        "steps": len(course.losses),
        "best_step": course.best_step or course.step,
        **{key: getattr(plan, key) for key in ("epochs", "learning_rate", "batch_tokens", "rank")},
        "seed": plan.seed,
        "data_seed": plan.seed,
        "train_seconds": round(course.seconds, 1),
        "losses": [round(loss, 4) for loss in course.losses],
    }


def export_bot(folder: RunFolder, config: ExportConfig) -> Path:
    """Write the bot in another format; return where it is."""
    folder.require(folder.adapter)
    target = target_folder(folder, config)
    name = "export" if config.format == "transformers" else f"export-{config.format}"
    with stage(folder, name, config, [folder.adapter]) as made:
        export(folder, target, config)
        made["outputs"] = [target]
        elsewhere = {"folder": str(target.absolute())} if config.output else {}
        made["result"] = {"format": config.format, **elsewhere}
    return target


__all__ = [
    "FULL_WEIGHTS",
    "estimate_training",
    "export_bot",
    "saved_settings",
    "train_bot",
]

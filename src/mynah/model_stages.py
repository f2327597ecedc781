"""The stages that need the model: train, report, export. See `stages` for the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mynah.bot import FULL_WEIGHTS, become, load_bots_base
from mynah.cleaning import read_cleaned
from mynah.config import (
    DatasetConfig,
    ExportConfig,
    GenerationConfig,
    ReportConfig,
    TrainingConfig,
    build,
)
from mynah.copying import CopyIndex
from mynah.curriculum import Curriculum, encode, packed, post_by_post
from mynah.dataset import Split, split, voice_weights
from mynah.engines import open_engine
from mynah.errors import SettingsError, StageMissing
from mynah.evaluation import VoiceReport, compare, count_copies, judge
from mynah.export import export, target_folder
from mynah.generation import generate
from mynah.lora import add_adapter, save_adapter
from mynah.loss import post_nats
from mynah.model import Base, load_base, quiet_transformers
from mynah.plan import Plan, make_plan
from mynah.run_folder import (
    RunFolder,
    hash_tree,
    read_json,
    replacing_folder,
    write_json,
)
from mynah.stages import check_enough, stage, training_key
from mynah.training import (
    Checkpoints,
    Course,
    Estimate,
    Progress,
    estimate,
    train,
    trained_parameters,
)
from mynah.watch import Nobody, Watch, bar

_BUDGET = 1_024  # tokens judged at once
_LONGEST = 1_000  # tokens of a held-out post that are judged


def read_split(folder: RunFolder, config: DatasetConfig) -> Split:
    """Return what a bot learns from and what it is judged by."""
    return split(read_cleaned(folder.require(folder.cleaned)), config)


def train_bot(
    folder: RunFolder,
    config: TrainingConfig,
    dataset: DatasetConfig,
    *,
    resume: bool = False,
    watch: Watch | None = None,
) -> Course:
    """Teach the base the voice of cleaned.jsonl; write adapter/.

    Raises:
        TooFewPosts: there is too little to learn from.
        TrainingStopped: Ctrl-C; the checkpoint is kept for `resume`.
    """
    watch = watch or Nobody()
    folder.require(folder.cleaned)
    with stage(folder, "train", config, [folder.cleaned]) as made:
        with bar(watch, "Loading the base (the very first time takes half a minute)"):
            base = load_base(config.base)
        check_enough(folder, base.info.languages, watch=watch)
        parts = read_split(folder, dataset)
        plan, lessons = prepare(base, parts, config, dataset, folder)
        cost = estimate(base, lessons.rows, lessons.steps, plan)
        _announce(base, plan, lessons, cost, watch)
        keep = _checkpoints(folder, base, plan, lessons, config, resume)
        _begin(folder, config, dataset, resume)
        with _bar(watch, len(lessons.steps)) as on_step:
            course = train(
                base, lessons.rows, lessons.steps, plan, checkpoints=keep, on_step=on_step
            )
        _save_weights(base, folder.adapter, plan)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        made["outputs"] = [folder.adapter]
        used = {**asdict(config), **plan.to_json(), "base": _lasting_name(config.base)}
        made["config"] = {**used, "dataset": asdict(dataset)}
        made["result"] = _training_result(base, plan, lessons, parts, course)
    return course


def _lasting_name(base: str) -> str:
    """Return a base's name that holds from any folder: a path is made absolute."""
    return str(Path(base).resolve()) if Path(base).is_dir() else base


def saved_settings(folder: RunFolder) -> dict[str, Any]:
    """Return the settings of a training that was stopped, a table a stage; none if none was."""
    file = _settings_file(folder)
    return read_json(file) if file.exists() else {}


def _begin(folder: RunFolder, config: TrainingConfig, dataset: DatasetConfig, resume: bool) -> None:
    """Keep the settings beside the checkpoints; what is resumed was begun with those there."""
    if not resume:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    if not saved_settings(folder):
        write_json(_settings_file(folder), {"train": asdict(config), "dataset": asdict(dataset)})


def _settings_file(folder: RunFolder) -> Path:
    return folder.checkpoints / "settings.json"


def _checkpoints(
    folder: RunFolder,
    base: Base,
    plan: Plan,
    lessons: Curriculum,
    config: TrainingConfig,
    resume: bool,
) -> Checkpoints:
    """Return where the training is saved, under the key of everything its weights depend on."""
    device = f"{base.device.name} {base.device.dtype}"
    key = training_key(plan.to_json(), base.info.sha256, device, lessons.rows, lessons.steps)
    return Checkpoints(
        folder=folder.checkpoints, key=key, seconds=config.save_seconds, resume=resume
    )


def prepare(
    base: Base, parts: Split, config: TrainingConfig, dataset: DatasetConfig, folder: RunFolder
) -> tuple[Plan, Curriculum]:
    """Work out the plan and what is read in which order; put the adapter on the base."""
    texts = [example.text for example in parts.train]
    longest = min(dataset.max_post_tokens, base.context - 1)
    rows = encode(base.tokenizer, texts, base.separator, longest)
    plan = make_plan(config, tokens=sum(map(len, rows)))
    if plan.rank is None:
        if plan.block and plan.block > base.context:
            raise SettingsError(
                f"The recipe {plan.recipe} reads {plan.block:,} tokens at once, and base "
                f"'{base.info.name}' reads {base.context:,}.",
                hint="Choose another --base.",
            )
        base.model.requires_grad_(True).float()
        return plan, packed(parts.train, base.tokenizer, base.separator, plan)
    add_adapter(base.model, rank=plan.rank, alpha=plan.alpha, seed=plan.seed)
    authors = [row["handle"] for row in folder.read_run()["accounts"]]
    weights = voice_weights(authors, dataset.weights)
    return plan, post_by_post(parts.train, rows, plan, weights)


def _announce(base: Base, plan: Plan, lessons: Curriculum, cost: Estimate, watch: Watch) -> None:
    """Say what will happen and what it costs, before it starts."""
    dtype = str(base.device.dtype).removeprefix("torch.")
    kind = f"LoRA of rank {plan.rank}" if plan.rank else "all weights"
    watch.say(
        f"Base {base.info.name} on {base.device.name} in {dtype} ({base.device.reason}); {kind}."
    )
    watch.say(
        f"Effort {plan.effort}: the posts {plan.epochs:.3g} times, {len(lessons.steps)} steps of "
        f"{plan.batch_tokens} tokens, learning rate {plan.learning_rate:g}, seed {plan.seed}."
    )
    watch.say(
        f"Estimate: {cost.seconds / 60:.1f} minutes at {cost.tokens_per_second:.0f} tokens a "
        f"second, {cost.bytes / 1e9:.1f} GB of memory."
    )


@contextmanager
def _bar(watch: Watch, steps: int) -> Iterator[Any]:
    def on_step(progress: Progress) -> None:
        rate = progress.posts / max(progress.seconds, 1e-9)
        watch.advance(progress.step, f"loss {progress.loss:.2f} · {rate:.1f} posts/s")

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
        "held_out": len(parts.held_out),
        "tokens": lessons.tokens,
        "steps": len(lessons.steps),
        **{key: getattr(plan, key) for key in ("epochs", "learning_rate", "batch_tokens", "rank")},
        "seed": plan.seed,
        "data_seed": plan.seed,
        "train_seconds": round(course.seconds, 1),
        "losses": [round(loss, 4) for loss in course.losses],
    }


def report_bot(
    folder: RunFolder,
    config: ReportConfig,
    generation: GenerationConfig,
    *,
    watch: Watch | None = None,
) -> VoiceReport:
    """Judge the bot on its held-out posts; write report.json.

    Raises:
        StageMissing: the posts have been cleaned anew since the training.
        SettingsError: no post was held out.
    """
    watch = watch or Nobody()
    folder.require(folder.adapter)
    parts = _held_out_of_training(folder)
    with stage(folder, "report", config, [folder.cleaned, folder.adapter]) as made:
        with bar(watch, "Judging", config.samples + 2):
            report = _judge(folder, parts, config, generation, watch)
        write_json(folder.report, report.to_json())
        made["outputs"] = [folder.report]
        made["result"] = report.to_json()
    return report


def _held_out_of_training(folder: RunFolder) -> Split:
    """Return the split that the bot was trained on: any other would judge it by what it knows."""
    trained = folder.stage_record("train")
    if trained["inputs"].get(folder.cleaned.name) != hash_tree(folder.require(folder.cleaned)):
        raise StageMissing(
            f"The posts of bot '{folder.name}' have been cleaned anew since it was trained.",
            hint=f"Run: mynah train {folder.name}",
        )
    parts = read_split(folder, build(DatasetConfig, trained["config"]["dataset"]))
    if not parts.held_out:
        raise SettingsError(
            "There is no held-out post that training did not see, to judge the bot by.",
            hint=f"Run: mynah train {folder.name} --held-out 0.1",
        )
    return parts


def _judge(
    folder: RunFolder,
    parts: Split,
    config: ReportConfig,
    generation: GenerationConfig,
    watch: Watch,
) -> VoiceReport:
    texts = [example.text for example in parts.held_out]
    base = load_bots_base(folder)
    rows = encode(base.tokenizer, texts, base.separator, min(_LONGEST, base.context - 1))
    untouched = post_nats(base.model, rows, base.separator, _BUDGET).tolist()
    watch.advance(1, "the base on held-out posts")
    bot = become(base, folder)
    learned = post_nats(bot.model, rows, bot.separator, _BUDGET).tolist()
    watch.advance(2, "the bot on held-out posts")
    bits = compare(untouched, learned, texts, config)
    learned_from = CopyIndex([example.text for example in parts.train])
    samples = []
    wanted = replace(generation, n=config.samples)
    engine = open_engine(folder, generation.engine, watch, bot=bot)
    for sample in generate(engine, "", wanted, learned_from, seed=config.seed):
        samples.append(sample)
        watch.advance(len(samples) + 2, "posts to judge copying by")
    copied = count_copies(samples, texts, learned_from, generation)
    return VoiceReport(verdict=judge(bits, copied), bits_per_byte=bits, copied=copied)


def export_bot(folder: RunFolder, config: ExportConfig) -> Path:
    """Write the bot in another format; return where it is."""
    folder.require(folder.adapter)
    target = target_folder(folder, config)
    with stage(folder, "export", config, [folder.adapter]) as made:
        export(folder, target, config)
        made["outputs"] = [target]
        made["result"] = {"format": config.format}
    return target


__all__ = [
    "FULL_WEIGHTS",
    "export_bot",
    "report_bot",
    "saved_settings",
    "train_bot",
]

"""One trial of a sweep: train with some settings, look on at quarters, see what it copies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mynah.config import DatasetConfig, GenerationConfig, SweepConfig, TrainingConfig
from mynah.copying import CopyIndex
from mynah.curriculum import encode
from mynah.dataset import Example, Split
from mynah.evaluation.texts import spread
from mynah.generation import copied_unguarded
from mynah.lora import remove_adapter
from mynah.loss import bits_per_byte, post_nats
from mynah.model import Base
from mynah.model_stages import prepare
from mynah.run_folder import RunFolder, write_json
from mynah.torch_engine import TorchEngine
from mynah.training import Progress, train

QUARTERS = 4
_BYTES = 4  # of a token, about; the tokenizer may be on another machine
_BUDGET = 1_024  # tokens that go through the model at once
_MOST_TOKENS = 64  # of a post that is drawn to see what is copied

Heard = Callable[[int, float], bool]


class Pruned(Exception):
    """A trial was given up: others did better by then."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What all trials of a sweep share."""

    accounts: list[dict[str, Any]]
    parts: Split  # what trials learn from, and what they are judged by
    training: TrainingConfig  # what is not searched for
    dataset: DatasetConfig
    sweep: SweepConfig


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended."""

    bits_per_byte: float
    copied: float
    seconds: float
    steps: int


def inner_split(parts: Split, dataset: DatasetConfig) -> Split:
    """Return what trials learn from, and the newest of it, by which they are judged.

    The bot's own held-out posts stay out of both, so that they still judge the bot fairly.
    """
    train: list[Example] = []
    judged: list[Example] = []
    for author in dict.fromkeys(example.author for example in parts.train):
        own = [example for example in parts.train if example.author == author]
        cut = len(own) - max(1, round(len(own) * dataset.held_out))
        train += own[:cut]
        judged += own[cut:]
    known = {example.text for example in train}
    unseen = tuple(example for example in judged if example.text not in known)
    return Split(train=tuple(train), held_out=unseen or tuple(judged))


def about_tokens(examples: Sequence[Example]) -> int:
    """Return about how many tokens the posts have, a separator each counted."""
    return sum(len(each.text.encode()) // _BYTES + 1 for each in examples)


def try_settings(base: Base, material: Material, settings: TrainingConfig, heard: Heard) -> Result:
    """Train a fresh adapter on a base that stays as it is, and judge it.

    Args:
        base: loaded once for all trials.
        material: posts, and what is not searched for.
        settings: of this trial.
        heard: is told the bits per byte at each quarter; says whether to give up.

    Raises:
        Pruned: `heard` said so.
        TooFewPosts: the posts do not fill a step.
    """
    start = time.monotonic()
    with TemporaryDirectory(prefix="mynah-trial-") as place:
        folder = RunFolder(Path(place))  # `prepare` reads the accounts from one
        write_json(folder.run, {"name": "trial", "accounts": material.accounts, "stages": {}})
        try:
            ready = prepare(base, material.parts, settings, material.dataset, folder)
            judge = _Judge(base, material, heard)
            steps = ready.lessons.steps
            train(
                base,
                ready.lessons.rows,
                steps,
                ready.plan,
                learner=ready.learner,
                turns=ready.lessons.turns,
                on_step=judge.look,
            )
            copied = _copied(base, material)
        finally:
            remove_adapter(base.model)
    seconds = round(time.monotonic() - start, 1)
    return Result(bits_per_byte=judge.bits, copied=copied, seconds=seconds, steps=len(steps))


class _Judge:
    """Measures bits per byte at the end of each quarter of a training."""

    def __init__(self, base: Base, material: Material, heard: Heard) -> None:
        examples = spread(material.parts.held_out, material.sweep.judged)
        self._base, self._heard, self.bits = base, heard, float("inf")
        self._texts = [example.text for example in examples]
        longest = min(material.dataset.max_post_tokens, base.context - 1)
        self._rows = encode(base.tokenizer, self._texts, base.separator, longest)

    def look(self, progress: Progress) -> None:
        ends = [round(progress.steps * part / QUARTERS) for part in range(1, QUARTERS + 1)]
        if progress.step not in ends:
            return
        quarter = len(ends) - ends[::-1].index(progress.step)
        nats = post_nats(self._base.model, self._rows, self._base.separator, _BUDGET)
        self.bits = bits_per_byte(nats, self._texts)
        if self._heard(quarter, self.bits) and quarter < QUARTERS:
            raise Pruned


def _copied(base: Base, material: Material) -> float:
    """Return the share of posts that repeat a real one, drawn once with the guard off."""
    index = CopyIndex([example.text for example in material.parts.train])
    config, sweep = GenerationConfig(max_tokens=_MOST_TOKENS), material.sweep
    return copied_unguarded(TorchEngine(base), config, sweep.samples, index, seed=sweep.seed)


def learned_from(material: Material) -> Sequence[Any]:
    """Return all that the outcome of a trial depends on, to be hashed."""
    posts = [asdict(each) for each in (*material.parts.train, *material.parts.held_out)]
    judged = (material.sweep.judged, material.sweep.samples, material.sweep.max_copied)
    return posts, asdict(material.dataset), material.training.seed, judged

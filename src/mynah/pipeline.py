"""The story: sources in, a bot out, one call a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.config import (
    CleaningConfig,
    DatasetConfig,
    FetchConfig,
    GenerationConfig,
    ReportConfig,
    TrainingConfig,
    flock_settings,
)
from mynah.errors import SettingsError
from mynah.evaluation import VoiceReport
from mynah.judging import report_bot
from mynah.model_stages import train_bot
from mynah.records import Generation
from mynah.run_folder import RunFolder
from mynah.speaking import say_posts
from mynah.stages import card_bot, clean_posts, fetch_posts
from mynah.tracking import Tracker
from mynah.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of every stage, each with its own defaults."""

    fetch: FetchConfig = FetchConfig()
    clean: CleaningConfig = CleaningConfig()
    dataset: DatasetConfig = DatasetConfig()
    train: TrainingConfig = TrainingConfig()
    report: ReportConfig = ReportConfig()
    say: GenerationConfig = GenerationConfig(seed=0)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the story ends with."""

    folder: RunFolder
    report: VoiceReport
    samples: list[Generation]


def train_flock(
    bots: Path,
    sources: Sequence[str],
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    replace: bool = False,
    watch: Watch | None = None,
    on_cleaned: Callable[[RunFolder], None] = lambda folder: None,
) -> RunFolder:
    """Teach one base the posts of many accounts, for bots to start from."""
    recipe = recipe or Recipe()
    fetch, dataset, training = flock_settings(recipe.fetch, recipe.dataset, recipe.train)
    folder = fetch_posts(bots, sources, fetch, name=name, replace=replace, watch=watch)
    clean_posts(folder, recipe.clean, watch=watch)
    on_cleaned(folder)
    train_bot(folder, training, dataset, watch=watch)
    return folder


def make_bot(
    bots: Path,
    sources: Sequence[str],
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    replace: bool = False,
    prompt: str = "",
    watch: Watch | None = None,
    tracker: Tracker | None = None,
    on_cleaned: Callable[[RunFolder], None] = lambda folder: None,
) -> Made:
    """Make a bot of one or more accounts' posts.

    Raises:
        SettingsError: nothing is held out, so there could be no report.
    """
    recipe = recipe or Recipe()
    if recipe.dataset.held_out == 0:
        raise SettingsError(
            "A bot is judged by held-out posts, so held_out must be above 0.",
            hint="Or run the stages but report: mynah fetch, clean, train, say, card",
        )
    onlookers: Any = {"watch": watch, "tracker": tracker}
    folder = fetch_posts(bots, sources, recipe.fetch, name=name, replace=replace, **onlookers)
    clean_posts(folder, recipe.clean, **onlookers)
    on_cleaned(folder)
    train_bot(folder, recipe.train, recipe.dataset, **onlookers)
    report = report_bot(folder, recipe.report, recipe.say, **onlookers)
    samples = list(say_posts(folder, prompt, recipe.say, **onlookers).posts)
    card_bot(folder)
    return Made(folder=folder, report=report, samples=samples)

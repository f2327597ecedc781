"""The search of a sweep, by Optuna: which settings come next, which trial is given up, the best.

Whatever is known is in an SQLite file, so a killed sweep goes on where it was.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mynah.config import SweepConfig, TrainingConfig
from mynah.errors import BotError, ExtraMissing, StorageError
from mynah.plan import make_plan
from mynah.trial import Result

# The original's space, and ours. Accumulation is what it was there: batches added up into one step.
_EPOCHS = (1, 10)
_RATES = (math.exp(-14), math.exp(-6))
CHOICES: dict[str, tuple[Any, ...]] = {
    "schedule": ("constant", "linear", "cosine", "wsd"),
    "warmup": (0.0, 0.1, 0.2),
    "accumulate": (1, 4, 8),
    "rank": (4, 8, 16, 32),
    "modules": ("all", "attention", "mlp"),
    "batch_tokens": (96, 128, 256, 512),
}
_UNPRUNED = 4  # trials that are carried to their end before any is given up


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial as it is known."""

    number: int
    state: str  # complete, pruned, running, failed
    settings: dict[str, Any]
    bits_per_byte: float | None
    copied: float | None
    quarters: dict[int, float]


def load_optuna() -> Any:
    """Return the library, quiet.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ExtraMissing.of("sweep", "Optuna is not installed.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Search:
    """A study in its file. Every call is written before it returns."""

    def __init__(self, file: Path, key: str, config: SweepConfig, *, tokens: int) -> None:
        """Open the study of `key`; trials that were running when it was killed are begun again.

        Args:
            file: the database.
            key: of everything that the outcome of a trial depends on.
            config: how many trials, and what counts.
            tokens: about how many each trial may learn from; they set the first trial's epochs.

        Raises:
            ExtraMissing: Optuna is not installed.
            BotError: the file is damaged.
            StorageError: it cannot be written.
        """
        self._optuna, self._config = load_optuna(), config
        self._asked: dict[int, Any] = {}
        optuna = self._optuna
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study = optuna.create_study(
                    storage=f"sqlite:///{file}",
                    study_name=key,
                    load_if_exists=True,
                    sampler=optuna.samplers.TPESampler(seed=config.seed, multivariate=True),
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED),
                )
        except Exception as error:  # Optuna's, and SQLAlchemy's of a file that is no database
            raise BotError(
                f"{file} cannot be used ({type(error).__name__}).",
                hint="Take it away to search anew.",
            ) from error
        with self._written():
            if not self._study.trials:
                self._study.enqueue_trial(_usual(tokens))
        self.abandon()

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """Return the next trial's number and settings, None where there are enough."""
        if self._count("COMPLETE", "PRUNED", "RUNNING") >= self._config.trials:
            return None
        with self._written():
            trial = self._study.ask()
            self._asked[trial.number] = trial
            found: dict[str, Any] = {
                "epochs": trial.suggest_int("epochs", *_EPOCHS),
                "learning_rate": trial.suggest_float("learning_rate", *_RATES, log=True),
            }
            for name, each in CHOICES.items():
                found[name] = trial.suggest_categorical(name, each)
        return trial.number, as_settings(found)

    def heard(self, number: int, quarter: int, bits: float) -> bool:
        """Write down what a trial has reached; tell whether to give it up."""
        trial = self._asked[number]
        with self._written():
            trial.report(bits, quarter)
            return bool(trial.should_prune())

    def tell(self, number: int, result: Result | None) -> None:
        """Write down how a trial ended; None: it was given up."""
        state, trial = self._optuna.trial.TrialState, self._asked.pop(number)
        with self._written():
            if result is None:
                self._study.tell(number, state=state.PRUNED)
                return
            trial.set_user_attr("copied", result.copied)
            trial.set_user_attr("seconds", result.seconds)
            trial.set_constraint("copied", result.copied - self._config.max_copied)
            self._study.tell(number, result.bits_per_byte)

    def abandon(self) -> None:
        """Give up trials that nobody works on any more; their settings are tried again."""
        state = self._optuna.trial.TrialState
        with self._written():
            for trial in self._study.get_trials(states=(state.RUNNING,)):
                self._asked.pop(trial.number, None)
                self._study.tell(trial.number, state=state.FAIL)
                self._study.enqueue_trial(trial.params)

    def finished(self) -> int:
        """Return how many trials have ended, given up ones counted."""
        return self._count("COMPLETE", "PRUNED")

    def trials(self) -> list[Trial]:
        """Return all trials that have begun and not failed."""
        return [
            Trial(
                number=each.number,
                state=each.state.name.lower(),
                settings=as_settings(each.params),
                bits_per_byte=each.value if each.state.name == "COMPLETE" else None,
                copied=each.user_attrs.get("copied"),
                quarters=dict(each.intermediate_values),
            )
            for each in self._study.trials
            if each.state.name not in ("FAIL", "WAITING")
        ]

    def best(self) -> Trial | None:
        """Return the trial of fewest bits among those that copy little enough; None: none does."""
        fit = [each for each in self.trials() if self._fits(each)]
        return min(fit, key=lambda each: each.bits_per_byte or math.inf, default=None)

    def _fits(self, trial: Trial) -> bool:
        return trial.copied is not None and trial.copied <= self._config.max_copied

    def importances(self) -> dict[str, float]:
        """Return how much each setting matters, 0 to 1; nothing where too few trials have ended."""
        optuna = self._optuna
        if self._count("COMPLETE") < 4:
            return {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found: Mapping[str, float] = optuna.importance.get_param_importances(self._study)
        except (ValueError, RuntimeError):  # all trials came out alike
            return {}
        return {name: float(share) for name, share in found.items()}

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Say in one sentence that the file could not be written."""
        try:
            yield
        except self._optuna.exceptions.StorageInternalError as error:
            raise StorageError(
                "The study could not be written; what it held is untouched.",
                hint="Free some space and run the same command again.",
            ) from error

    def _count(self, *states: str) -> int:
        return sum(each.state.name in states for each in self._study.trials)


def _usual(tokens: int) -> dict[str, Any]:
    """Return what a training of normal effort does: the trial that others are compared with."""
    plan = make_plan(TrainingConfig(), tokens=tokens)
    names = ("learning_rate", *CHOICES)
    return {"epochs": max(1, round(plan.epochs)), **{name: getattr(plan, name) for name in names}}


def as_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found as settings of a training: batches that are added up are one batch."""
    settings = dict(found)
    if "accumulate" in settings:
        settings["batch_tokens"] *= settings["accumulate"]
        settings["epochs"] = float(settings["epochs"])
    return settings


def with_settings(training: TrainingConfig, found: Mapping[str, Any]) -> TrainingConfig:
    """Return a training's settings with those of a trial in them."""
    return replace(training, **found)

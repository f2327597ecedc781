"""A sweep: many trials of one bot's training, here or on Ray, and the best settings as a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from mynah.bases import find_base
from mynah.config import DatasetConfig, FleetConfig, SweepConfig, TrainingConfig
from mynah.errors import FleetError, SettingsError
from mynah.held_out import read_split
from mynah.lending import PackedBase, borrowing, memory_for, pack_base
from mynah.model import Base, load_base
from mynah.parentage import refuse_blend
from mynah.ray_tasks import cluster, resources
from mynah.run_folder import RunFolder, replacing
from mynah.search import CHOICES, Search, Trial, load_optuna, with_settings
from mynah.stages import training_key
from mynah.sweep_plots import write_plots
from mynah.trial import (
    Material,
    Pruned,
    Result,
    about_tokens,
    inner_split,
    learned_from,
    try_settings,
)
from mynah.watch import Nobody, Watch, bar

_SECONDS = 2.0  # between two looks at how far a sweep on Ray has come


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep found."""

    best: Trial | None
    usual: Trial | None  # the first trial: what training does when nothing is chosen
    trials: list[Trial]
    importances: dict[str, float]
    settings: Path  # best.toml
    plots: Path


class Referee(Protocol):
    """Says which trial comes next; here it is the search, on another machine a way to it."""

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """Return the next trial's number and settings, None where there are enough."""

    def heard(self, number: int, quarter: int, bits: float) -> bool:
        """Tell whether to give a trial up."""

    def tell(self, number: int, result: Result | None) -> None:
        """Take a trial's result; None: it was given up."""


def sweep_bot(
    folder: RunFolder,
    training: TrainingConfig,
    dataset: DatasetConfig,
    sweep: SweepConfig,
    *,
    fleet: FleetConfig | None = None,
    watch: Watch | None = None,
) -> Swept:
    """Search for settings that teach this bot's voice best; go on where an earlier call stopped.

    Args:
        folder: of a bot that has been cleaned.
        training: what is not searched for, such as the base.
        dataset: how posts are split.
        sweep: how many trials, and what counts.
        fleet: where to run several at once; None: one after another, here.
        watch: who looks on.

    Raises:
        StageMissing: the posts have not been cleaned.
        ExtraMissing: Optuna or Ray is not installed.
        SettingsError: no post is left to judge by, or another recipe is wanted.
    """
    watch = watch or Nobody()
    refuse_blend(folder, "sweep")
    load_optuna()
    if training.recipe != "mynah" or training.named_flock:
        raise SettingsError(
            "A sweep is of adapters on the bare base.",
            hint="Leave recipe and flock out of the settings.",
        )
    material = _material(folder, training, dataset, sweep)
    place = RunFolder(folder.root / "sweep")
    base = find_base(training.base).info.sha256
    key = training_key(*learned_from(material), base, CHOICES)[:16]
    with place.lock(busy=f"Another sweep of '{folder.name}' is going on."):
        file, show = (place.root / "study.db").resolve(), _shower(watch, sweep)
        with bar(watch, "Trying settings", sweep.trials):
            if fleet:
                search = _on_ray(file, key, material, fleet, show)
            else:
                search = _here(file, key, material, show)
        return _swept(place.root, search)


def _material(
    folder: RunFolder, training: TrainingConfig, dataset: DatasetConfig, sweep: SweepConfig
) -> Material:
    parts = inner_split(read_split(folder, dataset), dataset)
    if not parts.held_out:
        raise SettingsError("There is no post to judge a trial by.", hint="Add posts.")
    accounts = folder.read_run()["accounts"]
    return Material(accounts=accounts, parts=parts, training=training, dataset=dataset, sweep=sweep)


Show = Callable[[int, float | None], None]


def _shower(watch: Watch, sweep: SweepConfig) -> Show:
    def show(finished: int, best: float | None) -> None:
        words = "" if best is None else f" · best {best:.3f} bits per byte"
        watch.advance(finished, f"{finished} of {sweep.trials}{words}")

    return show


def _here(file: Path, key: str, material: Material, show: Show) -> Search:
    search, base = _open(file, key, material), None
    while (asked := search.ask()) is not None:
        base = base or load_base(material.training.base)
        _one(base, material, search, *asked)
        show(search.finished(), _bits(search.best()))
    return search


def _open(file: Path, key: str, material: Material) -> Search:
    return Search(file, key, material.sweep, tokens=about_tokens(material.parts.train))


def _bits(best: Trial | None) -> float | None:
    return best.bits_per_byte if best else None


def _one(
    base: Base, material: Material, referee: Referee, number: int, found: dict[str, Any]
) -> None:
    """Carry out one trial and tell the referee."""
    settings = with_settings(material.training, found)
    try:
        result = try_settings(
            base, material, settings, lambda quarter, bits: referee.heard(number, quarter, bits)
        )
    except Pruned:
        referee.tell(number, None)
    else:
        referee.tell(number, result)


class _Worker:
    """A process that tries settings until there are enough; it loads its base once."""

    def __init__(self, packed: PackedBase, material: Material, referee: Any) -> None:
        with borrowing(packed):
            self._base = load_base(packed.name)
        self._material, self._referee = material, _Remote(referee)

    def work(self) -> None:
        """Try settings until nobody asks for more."""
        while (asked := self._referee.ask()) is not None:
            _one(self._base, self._material, self._referee, *asked)


class _Remote:
    """The way to a referee that is an actor of Ray."""

    def __init__(self, actor: Any) -> None:
        import ray

        self._actor, self._get = actor, ray.get

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """Return the next trial."""
        asked: tuple[int, dict[str, Any]] | None = self._get(self._actor.ask.remote())
        return asked

    def heard(self, number: int, quarter: int, bits: float) -> bool:
        """Tell whether to give a trial up."""
        return bool(self._get(self._actor.heard.remote(number, quarter, bits)))

    def tell(self, number: int, result: Result | None) -> None:
        """Take a trial's result."""
        self._get(self._actor.tell.remote(number, result))


def _on_ray(file: Path, key: str, material: Material, fleet: FleetConfig, show: Show) -> Search:
    packed = pack_base(material.training.base)
    needed = memory_for(packed, material.training, material.dataset)
    with cluster(fleet) as ray:
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        referee = (
            ray.remote(Search)
            .options(num_cpus=0, scheduling_strategy=here)
            .remote(file, key, material.sweep, tokens=about_tokens(material.parts.train))
        )
        asked = resources(ray, fleet, needed)
        asked = {name: asked[name] for name in ("num_cpus", "num_gpus", "memory")}
        again = {"max_restarts": fleet.retries, "max_task_retries": fleet.retries}
        stored, shared = ray.put(packed), ray.put(material)
        worker = ray.remote(_Worker).options(**asked, **again)
        count = _workers(ray, fleet, material.sweep)
        for _ in range(1 + fleet.retries):  # a lost machine leaves a trial that nobody ends
            works = [worker.remote(stored, shared, referee).work.remote() for _ in range(count)]
            _wait(ray, works, referee, show)
            ray.get(referee.abandon.remote())
            if ray.get(referee.finished.remote()) >= material.sweep.trials:
                break
    return _open(file, key, material)


def _workers(ray: Any, fleet: FleetConfig, sweep: SweepConfig) -> int:
    processors: float = ray.cluster_resources().get("CPU", 1)
    return max(1, min(sweep.trials, math.floor(processors / fleet.cpus)))


def _wait(ray: Any, works: list[Any], referee: Any, show: Show) -> None:
    """Wait until all workers have ended, and show how far they are.

    Raises:
        FleetError: a worker came to an end that it should not have.
    """
    left = works
    while left:
        done, left = ray.wait(left, num_returns=len(left), timeout=_SECONDS)
        try:
            best, finished = ray.get([referee.best.remote(), referee.finished.remote()])
            show(finished, _bits(best))
            ray.get(done)
        except ray.exceptions.RayError as error:
            raise FleetError(
                f"A worker of the sweep was lost ({type(error).__name__}).",
                hint="Run the same command again: it goes on from there.",
            ) from error


def _swept(place: Path, search: Search) -> Swept:
    trials, best, importances = search.trials(), search.best(), search.importances()
    settings = place / "best.toml"
    if best:
        _write_settings(settings, best)
    plots = place / "sweep.html"
    write_plots(plots, trials, importances, best)
    usual = next((each for each in trials if each.number == 0), None)
    return Swept(
        best=best,
        usual=usual,
        trials=trials,
        importances=importances,
        settings=settings,
        plots=plots,
    )


def _write_settings(path: Path, best: Trial) -> None:
    """Write the best settings so that `--settings` reads them."""
    with replacing(path) as text:
        text.write(
            f"# Trial {best.number}: {best.bits_per_byte:.4f} bits per byte, "
            f"{best.copied or 0:.1%} copied.\n[train]\n"
        )
        for name, value in best.settings.items():
            text.write(f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n")


def trial_rows(trials: list[Trial]) -> list[dict[str, Any]]:
    """Return trials as `--json` has them."""
    return [
        {key: value for key, value in asdict(each).items() if key != "quarters"} for each in trials
    ]

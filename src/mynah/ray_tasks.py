"""Ray: a cluster to work on, and many tasks through it, a few at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from mynah.config import FleetConfig
from mynah.errors import ExtraMissing, FleetError, MynahError

Item = TypeVar("Item")

# Read by Ray when it is first loaded. Nothing is reported to anybody, and a task that a machine has
# too little memory for is tried three more times: of itself Ray would try for ever.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_task_oom_retries": "3",
}
_FEWEST_AT_ONCE = 4  # tasks that are begun or wait for a machine


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one task ended."""

    item: Any
    value: Any = None
    error: str | None = None  # in a sentence; None where it ended well


def load_ray() -> Any:
    """Return the library, told to keep to itself.

    Raises:
        ExtraMissing: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ExtraMissing.of("fleet", "Ray is not installed.") from error
    return ray


@contextmanager
def cluster(config: FleetConfig) -> Iterator[Any]:
    """Yield Ray, joined to a cluster or with one of its own on this machine, gone afterwards.

    Raises:
        ExtraMissing: it is not installed.
        FleetError: the cluster does not answer, or does not any more.
    """
    ray = load_ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    own: dict[str, Any] = {"num_cpus": _own_cpus(config), "include_dashboard": False}
    own["_node_ip_address"] = "127.0.0.1"  # nobody else on the network is to find it
    try:
        if config.address:
            ray.init(address=config.address, **quiet)
        else:
            ray.init(address="local", **own, **quiet)
    except Exception as error:  # ConnectionError, TimeoutError, RuntimeError, and Ray's own
        raise _no_cluster(config, error) from error
    try:
        yield ray
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise FleetError(
            f"The cluster was lost ({type(error).__name__}).",
            hint="Run the same command again: what is there is skipped.",
        ) from error
    finally:
        ray.shutdown()


def _no_cluster(config: FleetConfig, error: Exception) -> FleetError:
    if config.address is None:
        return FleetError(
            f"Ray did not start on this machine ({type(error).__name__}).",
            hint="Try again when it is less busy.",
        )
    return FleetError(
        f"No Ray cluster answers at {config.address} ({type(error).__name__}).",
        hint="Start one with: ray start --head; or leave --address out.",
    )


def _own_cpus(config: FleetConfig) -> int | None:
    if config.workers is None:
        return None
    return max(1, round(config.workers * config.cpus))


def resources(ray: Any, config: FleetConfig, memory: int) -> dict[str, Any]:
    """Return what one task asks of a machine.

    Raises:
        FleetError: no machine has as much, so that it would wait for ever.
    """
    wanted = {"CPU": config.cpus, "GPU": config.gpus, "memory": float(memory)}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(have.get(key, 0) >= wanted[key] for key in wanted) for have in machines):
        most = max((have.get("memory", 0) for have in machines), default=0)
        raise FleetError(
            f"A bot needs {config.cpus:g} processors, {config.gpus:g} GPUs and {memory / 1e9:.1f} "
            f"GB, and no machine has all of it (at most {most / 1e9:.1f} GB).",
            hint="Choose smaller --cpus or --gpus, a smaller batch_tokens, or another machine.",
        )
    return {
        "num_cpus": config.cpus,
        "num_gpus": config.gpus,
        "memory": memory,
        "max_retries": config.retries,
        "retry_exceptions": True,
    }


def run_tasks(ray: Any, items: Iterable[Item], submit: Callable[[Item], Any]) -> Iterator[Outcome]:
    """Yield how each task ended, as they end; only so many are begun that all machines are busy.

    Args:
        ray: the library, joined to a cluster.
        items: what there is to do, taken one by one.
        submit: begins a task and returns Ray's reference to what will come of it.
    """
    running: dict[Any, Item] = {}
    for item in items:
        try:
            running[submit(item)] = item
        except MynahError as error:  # this one cannot be begun; others may
            yield Outcome(item=item, error=str(error))
        while len(running) >= _at_once(ray):
            yield from _ended(ray, running)
    while running:
        yield from _ended(ray, running)


def _at_once(ray: Any) -> int:
    """Return twice as many tasks as there are processors; machines may come and go."""
    processors: float = ray.cluster_resources().get("CPU", 0)
    return max(_FEWEST_AT_ONCE, round(2 * processors))


def _ended(ray: Any, running: dict[Any, Item]) -> Iterator[Outcome]:
    done, _ = ray.wait(list(running), num_returns=1)
    for reference in done:
        item = running.pop(reference)
        try:
            yield Outcome(item=item, value=ray.get(reference))
        except ray.exceptions.RayError as error:
            yield Outcome(item=item, error=_sentence(error))


def _sentence(error: Exception) -> str:
    """Return what went wrong on the other machine: the last line of what it says."""
    cause = getattr(error, "cause", None) or error
    if type(cause).__name__ == "OutOfMemoryError":  # whose last line is a page of Ray's settings
        return "Its machine ran short of memory each time; with fewer --workers each bot has more."
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[-1] if lines else 'it says nothing'}"

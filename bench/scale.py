"""A thousand bots, a hundred thousand, ten million: what each takes, by simulation.

Service times are read from what `bench/serve.py` printed; how often people ask is an assumption,
and a flag. Popularity is Zipf's: the bot of rank r is asked 1 / r^s as often as the first. Requests
go to a machine by the bot's name, so that each machine keeps bots of its own at hand.

Hit rates of the least-recently-used shelf are Che's approximation (Che et al. 2002, "Hierarchical
Web caching systems", IEEE JSAC 20(7), equation 5), held against a simulated shelf where that is
quick. Waiting is simulated step by step: posts join and leave a batch whose steps take what was
measured.

    python bench/serve.py --bot bots/someone > measured.json
    python bench/scale.py measured.json
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DAY = 86_400.0


@dataclass(frozen=True)
class Machine:
    """What one machine was measured to do."""

    fixed: float  # seconds of a step, whatever is in the batch
    each: float  # seconds more for each row of a bot of its own
    cold: float  # seconds to read a bot
    hot_mib: float  # of one bot
    rows: int
    post: float  # tokens of a post

    def posts_a_second(self) -> float:
        """Return what it does with a full batch."""
        return self.rows / (self.fixed + self.each * self.rows) / self.post


def main() -> None:
    """Print the table."""
    options = arguments()
    machine = measured(options)
    speed = machine.posts_a_second()
    print(f"a step: {machine.fixed * 1e3:.1f} ms and {machine.each * 1e3:.2f} ms a row")
    print(f"{machine.rows} rows: {speed:.1f} posts a second")
    print(f"a bot: read in {machine.cold * 1e3:.0f} ms, {machine.hot_mib:.1f} MiB at hand")
    for bots in options.bots:
        print(json.dumps(scale(bots, machine, options), ensure_ascii=False))


def arguments() -> argparse.Namespace:
    """Return what was measured and what is assumed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", type=Path, help="what bench/serve.py printed")
    parser.add_argument("--bots", type=int, nargs="+", default=[1_000, 100_000, 10_000_000])
    parser.add_argument("--zipf", type=float, default=1.0, help="assumed exponent")
    parser.add_argument("--daily", type=float, default=10.0, help="assumed posts a bot and day")
    parser.add_argument("--peak", type=float, default=3.0, help="assumed peak over the mean")
    parser.add_argument("--busy", type=float, default=0.7, help="share of its capacity planned for")
    parser.add_argument("--hot-gib", type=float, default=8.0, help="memory for bots at hand")
    parser.add_argument("--adapter-mb", type=float, default=4.94, help="measured: an adapter file")
    parser.add_argument(
        "--train-minutes", type=float, default=3.7, help="measured: docs/recipes.md"
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="simulated time of a machine")
    return parser.parse_args()


def measured(options: argparse.Namespace) -> Machine:
    """Fit a step's time to the rows of different bots, least squares; take the rest as it is."""
    found = json.loads(options.measured.read_text(encoding="utf-8"))
    rows = [row["rows"] for row in found["steps"]]
    each, fixed = np.polyfit(rows, [row["mixed_ms"] / 1e3 for row in found["steps"]], 1)
    load = found["load"]
    return Machine(
        fixed=max(float(fixed), 1e-4),
        each=max(float(each), 1e-5),
        cold=load["cold_later_by_s"]["median"],
        hot_mib=load["metrics"]["hot_bytes"] / max(load["metrics"]["hot_bots"], 1) / 2**20,
        rows=max(rows),
        post=load["tokens_a_post"],
    )


def scale(bots: int, machine: Machine, options: argparse.Namespace) -> dict[str, object]:
    """Return what a number of bots takes."""
    asked = bots * options.daily / DAY * options.peak  # posts a second
    machines = max(1, math.ceil(asked / (options.busy * machine.posts_a_second())))
    shelf = int(options.hot_gib * 1024 / machine.hot_mib)
    chances = zipf(bots, options.zipf)[random.Random(0).randrange(machines) :: machines]
    chances = chances / chances.sum()  # the bots of one machine
    hits = hit_rate(chances, shelf)
    waits = simulate(machine, asked / machines, 1 - hits, options.seconds)
    trained = bots * options.train_minutes / 60  # machine hours
    return {
        "bots": bots,
        "posts_a_second_at_peak": round(asked, 2),
        "machines": machines,
        "bots_a_machine": len(chances),
        "at_hand": min(shelf, len(chances)),
        "hit_rate": round(hits, 4),
        "hit_rate_simulated": simulated_hits(chances, shelf),
        "first_token_s": percentiles(waits["first"]),
        "post_s": percentiles(waits["whole"]),
        "storage_gb": round(bots * options.adapter_mb / 1e3, 1),
        "training_machine_days": round(trained / 24, 1),
    }


def zipf(bots: int, exponent: float) -> np.ndarray:
    """Return how likely each bot is asked, the most popular first."""
    weights = np.arange(1, bots + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


def hit_rate(chances: np.ndarray, shelf: int) -> float:
    """Return Che's approximation: a bot is at hand if it was asked within the last T requests."""
    if shelf >= len(chances):
        return 1.0
    low, high = 0.0, 1e3 * len(chances) / chances[-1] / len(chances)
    for _ in range(100):
        middle = (low + high) / 2
        kept = -np.expm1(-chances * middle)
        low, high = (middle, high) if kept.sum() < shelf else (low, middle)
    return float((chances * -np.expm1(-chances * high)).sum())


def simulated_hits(chances: np.ndarray, shelf: int, requests: int = 400_000) -> float | None:
    """Return the hit rate of a real shelf after it has filled; None where that takes too long."""
    if shelf >= len(chances) or shelf > requests // 20:
        return None
    dice = np.random.default_rng(0)
    asked = np.searchsorted(chances.cumsum(), dice.random(requests))
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for at, bot in enumerate(asked.tolist()):
        if bot in kept:
            kept.move_to_end(bot)
            hits += at >= requests // 2
        else:
            kept[bot] = None
            if len(kept) > shelf:
                kept.popitem(last=False)
    return round(hits / (requests - requests // 2), 4)


def simulate(
    machine: Machine, rate: float, misses: float, seconds: float
) -> dict[str, list[float]]:
    """Let posts join and leave one machine's batch for a while; return waits in seconds.

    Args:
        machine: what it does.
        rate: posts that are asked for in a second, at random moments.
        misses: share whose bot has to be read first, one after the other.
        seconds: how long.
    """
    dice, now, reader = random.Random(0), 0.0, 0.0
    coming = dice.expovariate(rate)
    reading: list[tuple[float, float]] = []  # ready at, asked at
    waiting: deque[float] = deque()
    batch: list[list[float]] = []  # asked at, tokens left, whether begun
    first, whole = [], []
    while now < seconds:
        while coming <= now:
            if dice.random() < misses:
                reader = max(reader, coming) + machine.cold
                heapq.heappush(reading, (reader, coming))
            else:
                waiting.append(coming)
            coming += dice.expovariate(rate)
        while reading and reading[0][0] <= now:
            waiting.append(heapq.heappop(reading)[1])
        while waiting and len(batch) < machine.rows:
            batch.append([waiting.popleft(), 1 + dice.expovariate(1 / machine.post), 0])
        if not batch:
            now = min(coming, reading[0][0] if reading else coming)
            continue
        now += machine.fixed + machine.each * len(batch)
        for row in batch:
            if not row[2]:
                first.append(now - row[0])
                row[2] = 1
            row[1] -= 1
            if row[1] < 1:
                whole.append(now - row[0])
        batch = [row for row in batch if row[1] >= 1]
    return {"first": first, "whole": whole}


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the middle and the slow end."""
    if not values:
        return {}
    middle, slow = np.percentile(values, [50, 99])
    return {"p50": round(float(middle), 3), "p99": round(float(slow), 3)}


if __name__ == "__main__":
    main()

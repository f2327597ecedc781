"""Time `mynah --help` beside a bare interpreter.

    python bench/startup.py [--runs 15]

Starts of both are interleaved, so that a busy moment of the machine touches both; medians of the
wall time are compared. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "mynah --help": [str(Path(sys.executable).with_name("mynah")), "--help"],
}
MOST_SECONDS = 0.25
MOST_TIMES = 5.0


def main() -> int:
    """Measure, print one table, and tell whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    medians = measure(parser.parse_args().runs)
    bare = medians["python -c pass"]
    print(f"{'command':16} {'seconds':>8} {'ratio':>6}")
    for name, seconds in medians.items():
        print(f"{name:16} {seconds:8.3f} {seconds / bare:6.2f}")
    ours = medians["mynah --help"]
    print(f"{'limits':16} {MOST_SECONDS:8.3f} {MOST_TIMES:6.2f}")
    return int(ours > MOST_SECONDS or ours / bare > MOST_TIMES)


def measure(runs: int) -> dict[str, float]:
    """Return the median seconds of each command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        seconds_of(command)  # reads the files once, writes the bytecode
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(seconds_of(command))
    return {name: median(own) for name, own in times.items()}


def seconds_of(command: list[str]) -> float:
    """Return the wall time of one start."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

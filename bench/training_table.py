"""The table that `bench/training.py` prints: medians over seeds, and the bound of bare products."""

from __future__ import annotations

import math
import os
import statistics
from pathlib import Path
from typing import Any

Run = dict[str, Any]  # what a contender measured in a process of its own


def medians(name: str, runs: list[Run]) -> Run:
    """Return medians over seeds, and the curve of each."""
    numbers = ("wall", "cpu", "tokens_per_second", "stepping", "peak_mb")
    quarters = zip(*(run["bits"] for run in runs), strict=True)
    return {
        "name": name,
        "bits": [statistics.median(values) for values in quarters],
        "curves": [run["curve"] for run in runs],
        **{key: statistics.median(run[key] for run in runs) for key in numbers},
    }


def print_table(title: str, rows: list[Run]) -> None:
    """Print one line a contender; the last columns compare with the original."""
    first = next((row for row in rows if row["name"] == "original"), None)
    print(f"\n{title}\n{processor()}\n")
    head = ("", "25 %", "50 %", "75 %", "100 %", "wall s", "cpu s", "tok/s", "peak MB")
    print("| " + " | ".join((*head, "to original's", "ratio", "bits vs original")) + " |")
    print("|" + " --- |" * 12)
    for row in rows:
        cells = [row["name"], *(f"{value:.3f}" for value in row["bits"])]
        cells += [f"{row[key]:.0f}" for key in ("wall", "cpu", "tokens_per_second", "peak_mb")]
        print("| " + " | ".join([*cells, *against(row, first)]) + " |")


def against(row: Run, first: Run | None) -> list[str]:
    """Return the time to the original's final figure, its share of the original's, and the gain."""
    if first is None or row is first:
        return ["", "", ""]
    target = first["bits"][-1]
    reached = statistics.median(seconds_to(target, curve) for curve in row["curves"])
    gain = f"{100 * (row['bits'][-1] / target - 1):+.1f} %"
    if math.isinf(reached):
        return ["never", "", gain]
    return [f"{reached:.1f} s", f"1/{first['wall'] / reached:.0f}", gain]


def seconds_to(target: float, curve: list[tuple[float, float]]) -> float:
    """Return when a run was first judged at `target` bits or below; infinity if never."""
    return next((at for at, bits in curve if bits <= target), math.inf)


def processor() -> str:
    """Return the processor's name and the cores in use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"


def print_roofline(roof: Run, rows: list[Run]) -> None:
    """Print the bound of the bare products, and which share of it each contender reaches."""
    bound = roof["tokens_per_second"]
    print(
        f"\nRoofline: {roof['flop'] / 1e6:.0f} MFLOP a token at {roof['flops'] / 1e9:.0f} GFLOP/s "
        f"in {roof['precision']} are {bound:.0f} tokens a second."
    )
    for row in rows:
        whole, steps = row["tokens_per_second"], row["stepping"]
        print(
            f"{row['name']}: {whole:.0f}, {100 * whole / bound:.0f} % of it; "
            f"its steps alone {steps:.0f}, {100 * steps / bound:.0f} %"
        )

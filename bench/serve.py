"""A thousand bots behind one service: what a mixed batch costs, cold starts, and a load of minutes.

One trained bot is copied, its numbers shaken a little, so that every copy is a bot of its own.

1. steps of the model with rows of one bot, and with rows that are all of different bots, in turn;
   beside them llama.cpp, which reads rows of one bot together and those of different bots in turn;
2. first tokens of bots that are at hand, and of bots that are not;
3. locust's users (bench/load.py) that ask for bots by Zipf's law, for as long as wanted: p50, p99,
   memory. It needs `pip install locust`.

    python bench/serve.py --bot bots/someone                  # a short look
    python bench/serve.py --bot bots/someone --seconds 600    # the load of ten minutes
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import torch
from safetensors.torch import load_file, save_file

LOAD = Path(__file__).parent / "load.py"
TOKENS = 40  # of a post
HOT = ("hot_bots", "hot_bytes", "hot_hits", "hot_misses", "hot_evicted")


def main() -> None:
    """Measure all three and print the tables."""
    options = arguments()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        bots = Path(folder) / "bots"
        names = copies(options.bot, bots, options.bots)
        found = {"steps": steps(bots, names, options)} if options.steps else {}
        if options.steps and not options.no_llama:
            found["llama.cpp"] = llama(bots, names, options.steps)
        if options.seconds:
            found["load"] = load(bots, names, options)
    print(json.dumps(found, indent=2))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bot", type=Path, required=True, help="folder of a trained bot")
    parser.add_argument("--bots", type=int, default=1_000, help="how many to make of it")
    parser.add_argument("--steps", type=int, default=30, help="steps to time of each kind")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=30, help="of load")
    parser.add_argument("--clients", type=int, default=24, help="that ask at once")
    parser.add_argument("--hot-mib", type=float, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-llama", action="store_true", help="leave llama.cpp out")
    options = parser.parse_args()
    if options.seconds and find_spec("locust") is None:  # now, and not after minutes of steps
        parser.error("the load needs: pip install locust (or --seconds 0 without it)")
    return options


def copies(bot: Path, bots: Path, count: int) -> list[str]:
    """Write bots that all differ a little; return their names."""
    made = load_file(bot / "adapter" / "adapter_model.safetensors")
    names = [f"bot{number:05}" for number in range(count)]
    for seed, name in enumerate(names):
        dice = torch.Generator().manual_seed(seed)
        shaken = {
            key: value * (1 + 0.02 * torch.randn(1, generator=dice)).to(value.dtype)
            for key, value in made.items()
        }
        (bots / name / "adapter").mkdir(parents=True)
        for file in (bot / "run.json", bot / "cleaned.jsonl"):
            shutil.copy(file, bots / name)
        shutil.copy(bot / "adapter" / "adapter_config.json", bots / name / "adapter")
        save_file(shaken, bots / name / "adapter" / "adapter_model.safetensors")
    return names


def steps(bots: Path, names: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time steps of one bot's rows and of as many bots as rows, in turn; medians in ms."""
    from mynah.bot import load_bots_base
    from mynah.run_folder import RunFolder
    from mynah.serving.mixed_llama import MixedLlama, Turn
    from mynah.serving.seats import read_adapter

    most = max(options.rows)
    llama = MixedLlama(load_bots_base(RunFolder(bots / names[0])), rows=most, length=128)
    read = [read_adapter(bots / name / "adapter", llama.shape) for name in names[:most]]
    table = []
    for rows in options.rows:
        took: dict[str, list[float]] = {"one": [], "mixed": []}
        for at in range(2 * (options.steps + 3)):
            kind = ("one", "mixed")[at // 3 % 2]  # in turn, so that other work slows both
            owners = [read[0 if kind == "one" else row] for row in range(rows)]
            turns = [Turn(row, 8 + at % 32, [500 + row], o, *o) for row, o in enumerate(owners)]
            begin = time.perf_counter()
            llama.read(turns)
            if at % 3:  # the first of three seats the bots
                took[kind].append(time.perf_counter() - begin)
        one, mixed = (statistics.median(took[kind]) * 1e3 for kind in ("one", "mixed"))
        best = {kind: round(min(took[kind]) * 1e3, 1) for kind in took}
        table.append(
            {
                "rows": rows,
                "one_bot_ms": round(one, 1),
                "mixed_ms": round(mixed, 1),
                "best_ms": best,
                "mixed_tokens_per_second": round(rows / mixed * 1e3, 1),
                "ratio": round(one / mixed, 3),
            }
        )
        print(table[-1], file=sys.stderr, flush=True)
    return table


def llama(bots: Path, names: list[str], count: int) -> dict[str, Any]:
    """Time llama.cpp: eight rows of one bot in a step, and eight bots a row each, one by one."""
    from mynah.engines import open_llama
    from mynah.llama_cpp import Context
    from mynah.run_folder import RunFolder

    engines = [open_llama(RunFolder(bots / name)) for name in names[:8]]
    own = [Context(each.model, texts=1, length=128) for each in engines]
    shared = Context(engines[0].model, texts=8, length=128)
    took: dict[str, list[float]] = {"one": [], "mixed": []}
    for at in range(min(count, 100)):
        begin = time.perf_counter()
        shared.read([500] * 8, [(row, at) for row in range(8)])
        took["one"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for context in own:
            context.read([500], [(0, at)])
        took["mixed"].append(time.perf_counter() - begin)
    one, mixed = (statistics.median(took[kind][3:]) * 1e3 for kind in ("one", "mixed"))
    shown = {"rows": 8, "one_bot_ms": round(one, 1), "mixed_ms": round(mixed, 1)}
    best = {kind: round(min(each) * 1e3, 1) for kind, each in took.items()}
    return {**shown, "best_ms": best, "ratio": round(one / mixed, 3)}


def load(bots: Path, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Start the service, ask for cold and warm bots one by one, then let locust's users ask."""
    words = ["--port", "0", "--json", "--queue", "256", "--key-posts", "256", "--timeout", "300"]
    words += ["--bots", str(bots), "--hot-mib", str(options.hot_mib)]
    command = [sys.executable, "-m", "mynah", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = json.loads(process.stdout.readline())["url"]
            with httpx.Client(base_url=url, timeout=400) as client:
                first = first_tokens(client, names)
                asked = many(url, bots.parent / "load.json", options)
                numbers = client.get("/metrics").text
            hot = {name: gauge(numbers, f"mynah_{name}") for name in HOT}
            return {**first, **asked, "metrics": hot, "memory": memory(process.pid)}
        finally:
            process.terminate()
            process.wait()


def first_tokens(client: httpx.Client, names: list[str]) -> dict[str, Any]:
    """Ask bots twice: the first time they are on the disk, the second at hand."""
    cold, warm = [], []
    for name in names[-12:]:
        for kept in (cold, warm):
            asked = {"model": name, "max_tokens": TOKENS, "prompt": ""}
            answer = client.post("/v1/completions", json=asked).json()
            kept.append(answer["timings"]["first_token"])
    later = [one - other for one, other in zip(cold, warm, strict=True)]
    return {
        "warm_first_token_s": round(statistics.median(warm), 3),
        "cold_first_token_s": round(statistics.median(cold), 3),
        "cold_later_by_s": {"median": round(statistics.median(later), 3), "most": max(later)},
    }


def many(url: str, output: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let locust's users ask for bots by Zipf's law, each again as soon as it is answered."""
    users = str(options.clients)
    words = ["-f", str(LOAD), "--headless", "--host", url, "--users", users, "--spawn-rate", users]
    words += ["--run-time", f"{options.seconds:.0f}s", "--stop-timeout", "300", "--only-summary"]
    begin = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "locust", *words],
        env={**os.environ, "LOAD_OUTPUT": str(output)},
        stdout=sys.stderr,
        check=True,
    )
    seconds = time.monotonic() - begin
    seen = json.loads(output.read_text(encoding="utf-8"))
    return {
        "clients": options.clients,
        "seconds": round(seconds, 1),
        "posts": len(seen["post_s"]),
        "refused": seen["refused"],
        "failed": seen["failed"],
        "tokens_per_second": round(seen["tokens"] / seconds, 1),
        "post_s": spread(seen["post_s"]),
        "first_token_s": spread(seen["first_token_s"]),
        "tokens_a_post": round(seen["tokens"] / max(len(seen["post_s"]), 1), 1),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return the middle and the slow end."""
    ordered = sorted(values) or [float("nan")]
    at = {f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
          for share in (50, 90, 99)}  # fmt: skip
    return {name: round(value, 3) for name, value in at.items()}


def gauge(numbers: str, name: str) -> float:
    """Return a number of /metrics."""
    return next(
        float(line.split()[1]) for line in numbers.splitlines() if line.startswith(name + " ")
    )


def memory(pid: int) -> dict[str, int]:
    """Return the most memory a process has held and what it holds now, in MiB."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    found = {row.split(":")[0]: int(row.split()[1]) for row in rows if row.startswith("Vm")}
    return {"most_mib": found["VmHWM"] // 1024, "now_mib": found["VmRSS"] // 1024}


if __name__ == "__main__":
    main()

"""How fast a bot speaks: Mynah's two engines beside transformers and llama.cpp's own server.

Every contender draws posts of 40 tokens from the same bot in a process of its own. They take
turns, so that other work on the machine slows all of them; the table shows medians. Then the
first post of a fresh process, and whether what llama.cpp says is what torch would say.

    python bench/speech.py                      # makes a bot of a sample account, about 6 minutes
    python bench/speech.py --bot bots/someone   # with a bot that is there
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOKENS = 40  # of a post
POSTS = 120  # held-out posts to compare bits per byte on
PROMPTS = 20
THREADS = os.cpu_count() or 1
PATIENT = {"OMP_WAIT_POLICY": "passive"}  # as Mynah's command line has it, for all of them


def main() -> None:
    """Run every contender in processes of its own and print the tables."""
    options = arguments()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.bot = options.bot or made_bot(Path(folder))
        first = {name: [] for name in FIRST}
        speed: dict[tuple[str, int], list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for batch in (10, 1):
                for name in SPEED:
                    speed.setdefault((name, batch), []).append(child(name, options, batch))
            for name in FIRST:
                first[name].append(first_post(name, options))
        show_speed(speed)
        show_first(first)
        show_likeness(child("likeness", options, 10))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bot", type=Path, help="folder of a trained bot")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every contender")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def made_bot(folder: Path) -> Path:
    """Return a quickly trained bot of a sample account."""
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "build_archives.py"), str(folder)], check=True
    )
    archive = folder / "skerrylight.zip"
    words = ["make", str(archive), "--effort", "quick", "--bots", str(folder / "bots")]
    subprocess.run([sys.executable, "-m", "mynah", *words], check=True, stdout=sys.stderr)
    return folder / "bots" / "skerrylight"


def child(name: str, options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Return what a contender measured in a process of its own."""
    words = ["--child", name, "--bot", str(options.bot), "--batch", str(batch)]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | PATIENT,
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def timed(draw: Callable[[int], int], batch: int) -> dict[str, float]:
    """Return tokens a second over three goes after one to warm up, and the peak of memory."""
    draw(0)
    speeds = []
    for seed in range(1, 4):
        start = time.perf_counter()
        count = draw(seed)
        speeds.append(count / (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return {"speed": statistics.median(speeds), "megabytes": peak}


def transformers_speed(options: argparse.Namespace) -> dict[str, float]:
    """Measure `generate` in the precision that Mynah would choose."""
    import torch

    bot = torch_bot(options)

    def draw(seed: int) -> int:
        torch.manual_seed(seed)
        ids = torch.full((options.batch, 1), bot.separator)
        out = bot.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=0.9,
            top_p=0.95,
            top_k=0,
            min_new_tokens=TOKENS,
            max_new_tokens=TOKENS,
            eos_token_id=bot.separator,
            pad_token_id=bot.separator,
        )
        return int(out.shape[0] * (out.shape[1] - 1))

    return timed(draw, options.batch)


def plain_speed(options: argparse.Namespace) -> dict[str, float]:
    """Measure llama.cpp's server as it comes, sampling from all words, the adapter as it is."""
    import xllamacpp

    from mynah.bases import EMBEDDED, find_base

    settings = xllamacpp.CommonParams()
    settings.model.path = str(find_base(EMBEDDED).gguf)
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = plain_adapter(options), 1.0
    settings.lora_adapters = [adapter]
    settings.n_parallel, settings.n_ctx = options.batch, 256 * options.batch
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = THREADS
    settings.verbosity = -1
    server = xllamacpp.Server(settings)

    def one(seed: int) -> None:
        server.handle_completions(
            {
                "prompt": [0],
                "max_tokens": TOKENS,
                "ignore_eos": True,
                "temperature": 0.9,
                "top_p": 0.95,
                "top_k": 0,
                "min_p": 0.0,
                "seed": seed,
            }
        )

    def draw(seed: int) -> int:
        seeds = range(seed * options.batch, (seed + 1) * options.batch)
        threads = [threading.Thread(target=one, args=(each,)) for each in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return options.batch * TOKENS

    return timed(draw, options.batch)


def plain_adapter(options: argparse.Namespace) -> str:
    """Return the bot's adapter as a GGUF file with nothing else in it."""
    from mynah.gguf_files import adapter_updates, write_adapter

    path = Path(tempfile.gettempdir()) / f"mynah-bench-{os.getuid()}.gguf"
    write_adapter(path, adapter_updates(options.bot / "adapter", heads=9, kv_heads=3))
    return str(path)


def engine_speed(options: argparse.Namespace, name: str) -> dict[str, float]:
    """Measure one of Mynah's engines, the copy guard off."""
    from mynah.config import GenerationConfig
    from mynah.generation import generate

    engine = opened(options, name)
    config = GenerationConfig(
        n=options.batch, min_tokens=TOKENS, max_tokens=TOKENS, max_draws=1, allow_copies=True
    )

    def draw(seed: int) -> int:
        return sum(post.tokens for post in generate(engine, "", config, None, seed=seed))

    return timed(draw, options.batch)


def opened(options: argparse.Namespace, name: str) -> Any:
    """Return an engine of Mynah's."""
    from mynah.engines import open_engine
    from mynah.run_folder import RunFolder
    from mynah.watch import Nobody

    return open_engine(RunFolder(options.bot), name, Nobody())  # type: ignore[arg-type]


def torch_bot(options: argparse.Namespace, *, exact: bool = False) -> Any:
    """Return the bot in torch, in fp32 if it is to be exact."""
    import torch

    from mynah.bot import load_bot
    from mynah.model import Device
    from mynah.run_folder import RunFolder

    device = Device(name="cpu", dtype=torch.float32, reason="the reference") if exact else None
    return load_bot(RunFolder(options.bot), device)


def likeness(options: argparse.Namespace) -> dict[str, Any]:
    """Compare what the engines think of held-out posts, and what they say without dice."""
    from mynah.torch_engine import TorchEngine

    exact, llama = TorchEngine(torch_bot(options, exact=True)), opened(options, "llama")
    texts = held_out(options)
    prompts = [" ".join(text.split()[:3]) for text in texts[:PROMPTS]]
    said = [greedy(engine, prompts) for engine in (exact, TorchEngine(torch_bot(options)), llama)]
    return {
        "torch": torch_bits(exact.bot, texts),
        "bf16": torch_bits(torch_bot(options), texts),
        "llama": llama_bits(llama, texts),
        "posts": len(texts),
        "agree": {
            name: [a == b for a, b in zip(said[0], other, strict=True)].count(True)
            for name, other in (("bf16", said[1]), ("llama", said[2]))
        },
    }


def held_out(options: argparse.Namespace) -> list[str]:
    """Return posts that training did not see."""
    from mynah.cleaning import read_cleaned
    from mynah.config import DatasetConfig, build
    from mynah.dataset import split
    from mynah.run_folder import RunFolder

    folder = RunFolder(options.bot)
    config = build(DatasetConfig, folder.stage_record("train")["config"]["dataset"])
    parts = split(read_cleaned(folder.cleaned), config)
    return [example.text for example in parts.held_out][:POSTS]


def greedy(engine: Any, prompts: list[str]) -> list[str]:
    """Return the likeliest continuation of each prompt."""
    from mynah.config import GenerationConfig
    from mynah.generation import generate

    config = GenerationConfig(n=1, temperature=0.0, max_tokens=TOKENS, max_draws=1)
    return [next(generate(engine, each, config, None, seed=0)).text for each in prompts]


def torch_bits(bot: Any, texts: list[str]) -> float:
    """Return bits per byte by the report's own function."""
    from mynah.curriculum import encode
    from mynah.loss import bits_per_byte, post_nats

    rows = encode(bot.tokenizer, texts, bot.separator, 1_000)
    return bits_per_byte(post_nats(bot.model, rows, bot.separator, 1_024), texts)


def llama_bits(engine: Any, texts: list[str]) -> float:
    """Return bits per byte by llama.cpp's logits."""
    import numpy as np

    from mynah.llama_cpp import Context

    context, bits = Context(engine.model, texts=1, length=512), 0.0
    for text in texts:
        ids = [engine.separator, *engine.encode(text), engine.separator]
        context.clear(0)
        logits = context.read(ids[:-1], [(0, at) for at in range(len(ids) - 1)]).astype(np.float64)
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        bits += float((total - logits[np.arange(len(ids) - 1), ids[1:]]).sum()) / np.log(2)
    return bits / sum(len(text.encode()) for text in texts)


def first_post(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds from the start of a process to its first of ten posts, and to its end."""
    command = [sys.executable, "-m", "mynah", "say", str(options.bot), "-n", "10", "--seed", "1"]
    if name == "transformers":
        command = [sys.executable, __file__, "--child", "ten", "--bot", str(options.bot)]
    else:
        command += ["--engine", name]
    start = time.perf_counter()
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | PATIENT, **quiet) as process:
        assert process.stdout
        process.stdout.readline()
        first = time.perf_counter() - start
        process.stdout.read()
    return {"first": first, "whole": time.perf_counter() - start}


def ten_posts(options: argparse.Namespace) -> None:
    """Draw ten posts as a script with transformers would."""
    bot, options.batch = torch_bot(options), 10
    ids = bot.tokenizer(["<|endoftext|>"] * 10, return_tensors="pt", add_special_tokens=False)
    limits = {"max_new_tokens": 120, "eos_token_id": bot.separator, "pad_token_id": bot.separator}
    out = bot.model.generate(**ids, do_sample=True, temperature=0.9, top_p=0.95, **limits)
    for row in out:
        print(bot.tokenizer.decode(row, skip_special_tokens=True), flush=True)


def show_speed(speed: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    """Print tokens a second, as a multiple of two others, and memory."""
    print(
        f"\n| posts of {TOKENS} tokens | at a time | tokens/s | × transformers | × llama.cpp | MB |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for (name, batch), rounds in speed.items():
        rate = statistics.median(each["speed"] for each in rounds)
        against = [
            statistics.median(
                mine["speed"] / theirs["speed"]
                for mine, theirs in zip(rounds, speed[other, batch], strict=True)
            )
            for other in ("transformers", "llama.cpp")
        ]
        peak = max(each["megabytes"] for each in rounds)
        ratios = " | ".join(f"{each:.2f}" for each in against)
        print(f"| {name} | {batch} | {rate:.0f} | {ratios} | {peak:.0f} |")


def show_first(first: dict[str, list[dict[str, float]]]) -> None:
    """Print how long a person waits."""
    print("\n| fresh process, ten posts | first post, s | all, s |\n|---|--:|--:|")
    for name, rounds in first.items():
        values = (statistics.median(each[key] for each in rounds) for key in ("first", "whole"))
        print(f"| {name} |" + "".join(f" {value:.2f} |" for value in values))


def show_likeness(found: dict[str, Any]) -> None:
    """Print how like the reference the engines are."""
    print(
        f"\n| against torch in fp32 | bits per byte, {found['posts']} posts | same of {PROMPTS} |"
    )
    print("|---|--:|--:|")
    print(f"| torch, fp32 | {found['torch']:.4f} | |")
    for name in ("bf16", "llama"):
        change = 100 * (found[name] / found["torch"] - 1)
        print(f"| {name} | {found[name]:.4f} ({change:+.2f} %) | {found['agree'][name]} |")


SPEED = ("transformers", "llama.cpp", "mynah, torch", "mynah, llama")
FIRST = ("transformers", "torch", "llama")
CHILDREN: dict[str, Callable[[argparse.Namespace], Any]] = {
    "transformers": transformers_speed,
    "llama.cpp": plain_speed,
    "mynah, torch": lambda options: engine_speed(options, "torch"),
    "mynah, llama": lambda options: engine_speed(options, "llama"),
    "likeness": likeness,
    "ten": ten_posts,
}


if __name__ == "__main__":
    main()

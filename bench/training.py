"""Mynah's training beside the recipe of 2020 and beside TRL with peft: one run, one machine.

Every contender trains in a process of its own, on the same base, posts and held-out split, and is
judged by the same function at quarters of its way; the time of judging does not count. They take
turns, a seed each. Prints one table of medians over seeds.

    python bench/training.py accounts/someone.jsonl.gz
    python bench/training.py --posts 300 --seeds 1 someone.zip      # about five minutes
    python bench/training.py --contenders quick,normal someone.zip  # without the slow ones
    python bench/training.py --flock bots/flock someone.zip         # and a start from a flock
    python bench/training.py --places 4 someone.zip                 # judged at quarters only

Contenders: original and trl as above; quick, normal, best: Mynah's dial, as `mynah train` carries
it out, from the starter that comes with it where that fits; quick-bare, normal-bare: from the bare
base; quick-fp32, normal-fp32: as a processor without bf16 has to do it; quick-plain: without
rounding to eight bits; flock: quick from --flock. The last lines are the roofline (`roofline.py`)
and the share of it that training reaches, with all that comes before its first step and without.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import ctypes
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prepared import prepared
from roofline import measure_roofline, precision
from training_table import Run, medians, print_roofline, print_table

from mynah.environment import settle_libraries

CONTENDERS = ("original", "trl", "quick", "normal", "best")
QUARTERS = (0.25, 0.5, 0.75, 1.0)
FINE = 16  # places at which Mynah's own runs are judged, and as many in their first quarter


def main() -> None:
    """Prepare the posts, run every contender in a process of its own, print the table."""
    options = arguments()
    if options.child:
        if options.child != "trl":  # a peer takes the libraries as they come
            settle_libraries()
        print(json.dumps(CHILDREN[options.child](options)))
        return
    if options.flock:
        options.contenders += ",flock"
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "split.json"
        split.write_text(json.dumps(choose_posts(options)), encoding="utf-8")
        rows = [medians(name, runs) for name, runs in measure(options, split).items()]
    seeds = f"medians of {options.seeds}" if options.seeds > 1 else "one run"
    name = Path(options.source).name
    print_table(f"{name}, {options.posts} posts, {seeds}, base {options.base}", rows)
    print_roofline(in_its_own_process(options, "roofline"), rows)


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", default="build/archives/burntside.zip")
    parser.add_argument("--posts", type=int, default=1_000)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--flock", help="folder of a flock to start from")
    parser.add_argument("--places", type=int, default=FINE, help="how often Mynah's are judged")
    parser.add_argument("--output", help="write every run as JSON, as they end")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--split", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def choose_posts(options: argparse.Namespace) -> dict[str, Any]:
    """Return a random draw of the cleaned posts, split at random, and the account's languages.

    At random, and not by time, because it is two trainings that are compared and not a bot judged:
    the figures then stand beside others' that were taken so.
    """
    from mynah.cleaning import clean
    from mynah.config import CleaningConfig, FetchConfig
    from mynah.languages import shares
    from mynah.sources import read

    fetched = read(options.source, FetchConfig())
    posts = clean(fetched.posts, CleaningConfig()).selected
    texts = [post.text for post in posts]
    random.Random(0).shuffle(texts)
    held_out = texts[: options.held_out]
    train = texts[options.held_out :][: options.posts]
    return {"train": train, "held_out": held_out, "languages": shares(posts)}


def measure(options: argparse.Namespace, split: Path) -> dict[str, list[Run]]:
    """Run every contender once a seed, in turns; return the runs of each."""
    runs: dict[str, list[Run]] = {name: [] for name in options.contenders.split(",")}
    for seed in range(options.seeds):
        for name in runs:
            words = ["--split", str(split), "--seed", str(seed)]
            runs[name].append(run := in_its_own_process(options, name, *words))
            told = f"{name} seed {seed}: {run['bits'][-1]:.4f} in {run['wall']:.0f} s"
            print(told, file=sys.stderr)
            if options.output:
                Path(options.output).write_text(json.dumps(runs, indent=2), encoding="utf-8")
    return runs


def in_its_own_process(options: argparse.Namespace, name: str, *words: str) -> Run:
    """Return what one contender, or the roofline, measured."""
    command = [sys.executable, __file__, options.source, "--base", options.base]
    command += ["--child", name, "--places", str(options.places), *words]
    command += ["--flock", options.flock] if options.flock else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


@dataclass
class Judge:
    """Judges a model at places of its way and keeps the time of judging apart."""

    texts: list[str]
    places: list[int]  # steps, ascending
    filler: int
    rows: list[list[int]]
    start: float = field(default_factory=time.perf_counter)
    spent: float = 0.0
    prepared: float = 0.0  # seconds from the start to the first step: fitting and calibrating
    peak_mb: float = 0.0  # of training; what judging takes beside it is left out
    curve: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, model: Any, step: int) -> None:
        """Judge after `step` steps, if that is a place."""
        if step in self.places:
            self.judge(model)

    def judge(self, model: Any) -> None:
        """Judge, and leave what that takes out of the time."""
        from mynah.loss import bits_per_byte, post_nats

        begin = time.perf_counter()
        self.peak_mb = max(self.peak_mb, most_memory())
        training = model.training
        nats = post_nats(model.eval(), self.rows, self.filler, 1_024)
        model.train(training)
        bits = bits_per_byte(nats, self.texts)
        self.curve.append((begin - self.start - self.spent, bits))
        give_memory_back()
        forget_most_memory()
        self.spent += time.perf_counter() - begin

    def result(self, tokens: int) -> Run:
        """Return the figures of the run."""
        wall = self.curve[-1][0]
        used = resource.getrusage(resource.RUSAGE_SELF)
        ends = [round(self.places[-1] * q) for q in QUARTERS]
        found = [max(0, bisect.bisect(self.places, end) - 1) for end in ends]
        found[-1] = len(self.curve) - 1
        quarters = [self.curve[min(at, found[-1])][1] for at in found]
        return {
            "bits": quarters,
            "curve": self.curve,
            "wall": wall,
            "cpu": used.ru_utime + used.ru_stime,
            "tokens_per_second": tokens / wall,
            "stepping": tokens / (wall - self.prepared),
            "peak_mb": self.peak_mb,
        }


def most_memory() -> float:
    """Return the most MB that this process has held since it was last asked to forget."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def give_memory_back() -> None:
    """Return to the system what judging has freed; the C library would keep it for training."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def forget_most_memory() -> None:
    """Begin to count anew; see clear_refs in proc(5)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def places(steps: int, count: int) -> list[int]:
    """Return `count` places at even distances, the last one at the end; fine ones begin dense."""
    found = {max(1, round(steps * (at + 1) / count)) for at in range(count)}
    if count == FINE:
        found |= {max(1, round(steps * (at + 1) / count / 4)) for at in range(count)}
    return sorted(found)


def judge_of(options: argparse.Namespace, base: Any, steps: int, count: int) -> Judge:
    """Return a judge whose clock runs from now."""
    from mynah.curriculum import encode

    texts = json.loads(Path(options.split).read_text(encoding="utf-8"))["held_out"]
    rows = encode(base.tokenizer, texts, base.separator, 1_000)
    return Judge(texts, places(steps, count), base.separator, rows)


def run_original(options: argparse.Namespace) -> Run:
    """Train by the recipe of 2020 to the letter, in fp32."""
    import torch

    from mynah.model import Device

    device = Device(name="cpu", dtype=torch.float32, reason="as in 2020")
    return run_mynah(options, device=device, count=4, recipe="huggingtweets")


def run_mynah(
    options: argparse.Namespace, *, device: Any = None, count: int | None = None, **settings: Any
) -> Run:
    """Train as `mynah train` does."""
    from mynah.config import TrainingConfig
    from mynah.learner import load_to_learn
    from mynah.training import train

    split = json.loads(Path(options.split).read_text(encoding="utf-8"))
    config = TrainingConfig(base=options.base, seed=options.seed, **settings)
    base = load_to_learn(config, device)
    start = time.perf_counter()
    ready = prepared(base, split["train"], config, split["languages"])
    lessons = ready.lessons
    judge = judge_of(options, base, len(lessons.steps), count or options.places)
    judge.start = start  # fitting and calibrating are part of the wait
    judge.prepared = time.perf_counter() - start
    course = train(
        base,
        lessons.rows,
        lessons.steps,
        ready.plan,
        learner=ready.learner,
        turns=lessons.turns,
        validation=lessons.validation,
        on_step=lambda progress: judge(base.model, progress.step),
    )
    judge.judge(base.model)  # it may have stopped early, and gone back to what was better
    return judge.result(course.tokens)


def run_trl(options: argparse.Namespace) -> Run:
    """Train as a user of TRL would: SFTTrainer, LoRA r=16 on all linear layers, 3 epochs.

    In bf16, or in fp32 where the processor has no instructions for bf16.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from mynah.model import Device, load_base

    texts = json.loads(Path(options.split).read_text(encoding="utf-8"))["train"]
    base = load_base(options.base, Device(name="cpu", dtype=precision(), reason="as usual"))
    base.model.requires_grad_(True)
    separator = base.tokenizer.convert_ids_to_tokens(base.separator)
    base.tokenizer.eos_token = base.tokenizer.pad_token = separator
    steps = math.ceil(len(texts) / 8) * 3
    judge = judge_of(options, base, steps, 4)
    base.tokenizer.chat_template = None

    class Watch(TrainerCallback):
        """Judges the model as the trainer goes."""

        def on_train_begin(self, *_: Any, **kwargs: Any) -> None:
            """Start the clock."""
            judge.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Judge where due; the adapter is in the base's own modules."""
            judge(base.model, state.global_step)

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=base.model,
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=8,
                learning_rate=2e-4,
                num_train_epochs=3,
                bf16=precision() is torch.bfloat16,
                use_cpu=True,
                seed=options.seed,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                gradient_checkpointing=False,
            ),
            train_dataset=Dataset.from_list([{"text": separator + t + separator} for t in texts]),
            processing_class=base.tokenizer,
            peft_config=LoraConfig(
                r=16, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.0
            ),
            callbacks=[Watch()],
        )
        trainer.train()
    tokens = sum(len(base.tokenizer(text)["input_ids"]) + 1 for text in texts) * 3
    return judge.result(tokens)


def run_without_bf16(options: argparse.Namespace, effort: str) -> Run:
    """Train as a processor does that multiplies in fp32 and, with VNNI, in eight bits."""
    import torch

    from mynah.model import Device

    vnni = torch.cpu._is_vnni_supported()
    device = Device(name="cpu", dtype=torch.float32, reason="as without bf16", int8=vnni)
    return run_mynah(options, device=device, effort=effort)


CHILDREN = {
    "roofline": lambda options: measure_roofline(options.base),
    "quick-fp32": lambda options: run_without_bf16(options, "quick"),
    "normal-fp32": lambda options: run_without_bf16(options, "normal"),
    "quick-plain": lambda options: run_mynah(options, effort="quick", int8=False),
    "quick-bare": lambda options: run_mynah(options, effort="quick", flock="none"),
    "normal-bare": lambda options: run_mynah(options, effort="normal", flock="none"),
    "flock": lambda options: run_mynah(options, effort="quick", flock=options.flock),
    "original": run_original,
    "trl": run_trl,
    "quick": lambda options: run_mynah(options, effort="quick"),
    "normal": lambda options: run_mynah(options, effort="normal"),
    "best": lambda options: run_mynah(options, effort="best"),
}

if __name__ == "__main__":
    main()

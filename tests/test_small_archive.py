"""A small archive and the real base: what is read too often is unlearned again."""

from __future__ import annotations

import json
from pathlib import Path

from mynah.config import DatasetConfig, TrainingConfig
from mynah.curriculum import encode, post_by_post
from mynah.dataset import Example
from mynah.learner import fit
from mynah.lora import add_adapter
from mynah.loss import bits_per_byte, post_nats
from mynah.model import load_base
from mynah.plan import Machine, make_plan
from mynah.training import Progress, train

ARCHIVE = Path(__file__).parent.parent / "examples" / "accounts" / "skerrylight.jsonl"
POSTS, HELD_OUT = 40, 20


def test_the_bot_of_forty_posts_beats_its_base_and_gets_no_worse_as_it_reads() -> None:
    lines = ARCHIVE.read_text(encoding="utf-8").splitlines()[1 : 1 + POSTS + HELD_OUT]
    texts = [json.loads(line)["text"] for line in lines]
    learned, held_out = texts[:POSTS], texts[POSTS:]
    base = load_base("smollm2-135m")
    longest = DatasetConfig().max_post_tokens
    rows = encode(base.tokenizer, learned, base.separator, longest)
    judged = encode(base.tokenizer, held_out, base.separator, longest)

    def bits() -> float:
        return bits_per_byte(post_nats(base.model, judged, base.separator, 1_024), held_out)

    machine = Machine(int8=base.device.int8)
    plan = make_plan(TrainingConfig(), tokens=sum(map(len, rows)), machine=machine)
    untaught, by_half = bits(), []
    add_adapter(base.model, rank=plan.rank or 0, alpha=plan.alpha, seed=plan.seed)
    learner = fit(base, rows, plan)
    lessons = post_by_post([Example(text=each, author="one") for each in learned], rows, plan)

    def look(progress: Progress) -> None:
        if progress.step in (progress.steps // 2, progress.steps):
            by_half.append(bits())

    train(base, lessons.rows, lessons.steps, plan, learner=learner, on_step=look)
    half, end = by_half
    assert end < 0.97 * untaught
    assert end < 1.02 * half

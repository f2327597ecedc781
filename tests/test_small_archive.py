"""A small archive and the real base: what is read too often is unlearned again."""

from __future__ import annotations

import json
from pathlib import Path

from mynah.config import DatasetConfig, SweepConfig, TrainingConfig
from mynah.curriculum import encode
from mynah.dataset import Example, Split
from mynah.loss import bits_per_byte, post_nats
from mynah.model import load_base
from mynah.trial import Material, try_settings

ARCHIVE = Path(__file__).parent.parent / "examples" / "accounts" / "skerrylight.jsonl"
POSTS, HELD_OUT = 40, 20


def test_the_bot_of_forty_posts_beats_its_base_and_gets_no_worse_as_it_reads() -> None:
    lines = ARCHIVE.read_text(encoding="utf-8").splitlines()[1 : 1 + POSTS + HELD_OUT]
    posts = tuple(Example(text=json.loads(line)["text"], author="one") for line in lines)
    material = Material(
        accounts=[{"handle": "one"}],
        parts=Split(train=posts[:POSTS], held_out=posts[POSTS:]),
        training=TrainingConfig(),
        dataset=DatasetConfig(),
        sweep=SweepConfig(samples=1),
    )
    base = load_base(material.training.base)
    texts = [each.text for each in posts[POSTS:]]
    longest = material.dataset.max_post_tokens
    rows = encode(base.tokenizer, texts, base.separator, longest)
    untaught = bits_per_byte(post_nats(base.model, rows, base.separator, 1_024), texts)
    quarters: dict[int, float] = {}

    def look(quarter: int, bits: float) -> bool:
        quarters[quarter] = bits
        return False

    end = try_settings(base, material, material.training, look).bits_per_byte
    assert end < 0.97 * untaught
    assert end < 1.02 * quarters[2]

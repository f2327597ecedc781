"""Many posts side by side, written out: the same logits as transformers' own cache, and posts."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import tiny
from mynah.config import GenerationConfig
from mynah.fast_rows import CACHED, FastRows
from mynah.generation import generate
from mynah.lora import adapted, add_adapter
from mynah.model import Base
from mynah.prompted import Prompted
from mynah.torch_engine import TorchEngine, TorchRows


class Plain(TorchEngine):
    """Speaks through transformers' own cache."""

    def begin(self, start, rows, length):
        return TorchRows(self.bot, start, rows)


def reference(base: Base, ids: list[int]) -> np.ndarray:
    """Return the logits after a text that is read whole."""
    return TorchRows(base, ids, 1).first


def test_each_row_reads_as_if_it_were_alone(base: Base) -> None:
    """Rows join and leave at random places; each is held against its text read whole."""
    start, dice = [base.separator, 7, 9, 30, 8], random.Random(0)
    rows = FastRows(base, start, 4, 40)
    assert np.abs(rows.first - reference(base, start)).max() < 1e-4
    texts: dict[int, list[int]] = {}
    compared = 0
    for _ in range(40):
        while (row := rows.join()) is not None:
            texts[row] = []
        for row in [row for row in texts if dice.random() < 0.2 or len(texts[row]) > 30]:
            del texts[row]
        if not texts:
            rows.read({})
            continue
        tokens = {row: dice.randrange(1, 300) for row in texts}
        for row, logits in rows.read(tokens).items():
            texts[row].append(tokens[row])
            assert np.abs(logits - reference(base, start + texts[row])).max() < 1e-4
            compared += 1
    assert compared > 60


def test_no_more_rows_than_there_is_room_for(base: Base) -> None:
    rows = FastRows(base, [base.separator], 3, 20)
    first = [rows.join() for _ in range(4)]
    assert first.count(None) == 1 and len(set(first)) == 4
    rows.read(dict.fromkeys(first[:2], 5))  # the third has left without a word
    assert rows.join() is not None and rows.join() is None
    assert len(FastRows(base, [0], 10**6, 101)._free) == CACHED // 100


@pytest.mark.parametrize("prompt", ["", "Low tide"])
def test_the_same_posts_as_through_transformers_cache(base: Base, prompt: str) -> None:
    config = GenerationConfig(n=9, max_tokens=24, max_draws=2)
    said = [
        {post.text for post in generate(engine, prompt, config, None, seed=3)}
        for engine in (TorchEngine(base), Plain(base))
    ]
    assert TorchEngine(base).fast and said[0] == said[1]
    assert all(text.startswith(prompt) for text in said[0])


def test_a_long_beginning_is_read_once_for_all(base: Base) -> None:
    config = GenerationConfig(n=3, max_tokens=12, max_draws=1)
    said = [
        {
            post.text
            for post in generate(Prompted(engine, tiny.SENTENCES[:7]), "", config, None, seed=1)
        }
        for engine in (TorchEngine(base), Plain(base))
    ]
    assert said[0] == said[1]


def test_an_adapter_that_is_not_merged_is_heard_as_well(base: Base) -> None:
    add_adapter(base.model, rank=2, alpha=4, seed=0)
    for layer in adapted(base.model).values():
        torch.nn.init.normal_(layer.lora_B, std=0.3)
    start = [base.separator, 7, 9]
    rows = FastRows(base, start, 1, 9)
    row = rows.join()
    assert row is not None
    [(_, logits)] = rows.read({row: 30}).items()
    assert np.abs(logits - reference(base, [*start, 30])).max() < 1e-4


def test_other_models_speak_through_transformers(tiny_gpt2) -> None:
    engine = TorchEngine(tiny.fp32(tiny_gpt2))
    assert not engine.fast
    assert isinstance(engine.begin([engine.separator], 2, 9), TorchRows)

"""`--recipe huggingtweets`: token stream, blocks, steps and rates against hand-made ones."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tiny
from mynah.config import DatasetConfig, TrainingConfig
from mynah.curriculum import packed
from mynah.dataset import Example
from mynah.lora import adapted
from mynah.model import Base, Device, load_base
from mynah.model_stages import prepare, read_split
from mynah.plan import Plan, make_plan
from mynah.run_folder import RunFolder
from mynah.training import train

TEXTS = tiny.SENTENCES
EXAMPLES = tuple(Example(text=text, author="ana") for text in TEXTS)


def plan_of(**settings: Any) -> Plan:
    return make_plan(TrainingConfig(recipe="huggingtweets", **settings), tokens=1)


def unpacked(rows: list[list[int]]) -> list[int]:
    return [token for row in rows for token in row]


def posts_in(stream: list[int], tokenizer: Any) -> list[str]:
    """Return the texts of the whole posts of a stream."""
    cuts = [at for at, token in enumerate(stream) if token == 0]
    return [tokenizer.decode(stream[start + 1 : end]) for start, end in pairwise(cuts)]


def test_the_stream_is_four_epochs_of_posts_between_separators(gpt2_base: Base) -> None:
    lessons = packed(EXAMPLES, gpt2_base.tokenizer, 0, plan_of())
    sizes = [len(gpt2_base.tokenizer(text)["input_ids"]) for text in TEXTS]
    whole = 1 + 4 * (sum(sizes) + len(TEXTS))  # one separator at the start, one after every post
    blocks = whole // 1_024  # what does not fill a block is lost
    assert blocks >= 3
    assert [len(row) for row in lessons.rows] == [1_024] * blocks
    assert lessons.steps == [[at] for at in range(blocks)]  # a batch is one block, in order
    stream = unpacked(lessons.rows)
    assert stream[0] == 0
    said = posts_in(stream, gpt2_base.tokenizer)
    epochs = [said[start : start + len(TEXTS)] for start in range(0, len(said), len(TEXTS))]
    for epoch in epochs[:-1]:
        assert sorted(epoch) == sorted(TEXTS)
    assert epochs[0] != epochs[1] != epochs[2]  # each in an order of its own
    assert lessons.tokens == blocks * 1_023


def test_a_block_goes_on_in_the_middle_of_a_post(gpt2_base: Base) -> None:
    first, second = packed(EXAMPLES, gpt2_base.tokenizer, 0, plan_of()).rows[:2]
    assert first[0] == 0 and (first[-1] != 0 and second[0] != 0)
    before, after = len(first) - first[::-1].index(0), second.index(0)
    assert gpt2_base.tokenizer.decode(first[before:] + second[:after]) in TEXTS


def test_the_same_seed_orders_the_same(gpt2_base: Base) -> None:
    rows = [packed(EXAMPLES, gpt2_base.tokenizer, 0, plan_of(seed=s)).rows for s in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_a_quiet_voice_is_brought_to_the_length_of_the_loudest(gpt2_base: Base) -> None:
    both = (*EXAMPLES, *(Example(text=f"Quiet {n}.", author="bob") for n in range(3)))
    stream = unpacked(packed(both, gpt2_base.tokenizer, 0, plan_of(epochs=4)).rows)
    said = posts_in(stream, gpt2_base.tokenizer)
    quiet = sum(len(text) for text in said if text.startswith("Quiet"))
    loud = sum(len(text) for text in said if not text.startswith("Quiet"))
    assert quiet == pytest.approx(loud, rel=0.1)


def test_all_weights_are_trained_in_fp32_without_an_adapter(
    tiny_gpt2: Path, tiny_bot: RunFolder
) -> None:
    half = Device(name="cpu", dtype=torch.bfloat16, reason="the test wants it")
    base = load_base(str(tiny_gpt2), half)
    assert base.model.dtype == torch.bfloat16
    dataset = DatasetConfig()
    parts = read_split(tiny_bot, dataset)
    config = TrainingConfig(recipe="huggingtweets")
    ready = prepare(base, parts, config, dataset, tiny_bot)
    plan, lessons = ready.plan, ready.lessons
    assert {each.dtype for each in base.model.parameters()} == {torch.float32}
    assert all(each.requires_grad for each in base.model.parameters())
    assert adapted(base.model) == {} and plan.rank is None
    assert {len(row) for row in lessons.rows} == {1_024}


class Spy:
    """Watch a real optimizer: what it was made with, and each step's rate and gradients."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[dict[str, Any]] = []
        self.rates: list[float] = []
        real, spy = torch.optim.AdamW, self

        class Watched(real):  # type: ignore[misc,valid-type]
            def __init__(self, parameters: Any, **settings: Any) -> None:
                spy.made.append(settings)
                super().__init__(parameters, **settings)

            def step(self, *arguments: Any) -> Any:
                spy.rates.append(self.param_groups[0]["lr"])
                return super().step(*arguments)

        monkeypatch.setattr(torch.optim, "AdamW", Watched)


def test_optimizer_and_rates_are_those_of_2020(
    gpt2_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch)
    base, plan = gpt2_base, plan_of()
    lessons = packed(EXAMPLES, base.tokenizer, 0, plan)
    base.model.requires_grad_(True)
    train(base, lessons.rows, lessons.steps, plan)
    [made] = spy.made
    assert made["lr"] == 1.372e-4 and made["weight_decay"] == 0.0
    total = len(lessons.steps)
    falling = [1.372e-4 * (1 + math.cos(math.pi * step / total)) / 2 for step in range(total)]
    assert spy.rates == pytest.approx(falling)
    assert spy.rates[0] == 1.372e-4  # no warm-up


def test_it_trains_as_a_loop_written_by_hand_does(tiny_gpt2: Path) -> None:
    """Without dropout, whose dice are nobody's to repeat."""
    base = tiny.fp32(tiny_gpt2)
    plan = plan_of()
    lessons = packed(EXAMPLES, base.tokenizer, 0, plan)
    base.model.requires_grad_(True)
    course = train(base, lessons.rows, lessons.steps, replace(plan, dropout=False))

    model = tiny.fp32(tiny_gpt2).model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.372e-4, weight_decay=0.0)
    losses = []
    for step, row in enumerate(lessons.rows):
        ids = torch.tensor([row])
        logits = model(input_ids=ids).logits[0, :-1]
        loss = nn.functional.cross_entropy(logits, ids[0, 1:])
        loss.backward()
        optimizer.param_groups[0]["lr"] = (
            1.372e-4 * (1 + math.cos(math.pi * step / len(lessons.rows))) / 2
        )
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert course.losses == pytest.approx(losses, rel=1e-5)
    with torch.no_grad():  # single weights without a gradient of their own only drift
        mine, theirs = (each(input_ids=ids).logits for each in (base.model, model))
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_dropout_is_on_while_it_trains_and_off_afterwards(gpt2_base: Base) -> None:
    base, plan = gpt2_base, plan_of()
    lessons = packed(EXAMPLES, base.tokenizer, 0, plan)
    base.model.requires_grad_(True)
    seen = []
    train(
        base, lessons.rows, lessons.steps, plan, on_step=lambda _: seen.append(base.model.training)
    )
    assert set(seen) == {True} and base.model.training is False


def test_the_whole_recipe_from_the_command_line(
    tiny_gpt2: Path, small_archive: Path, bots: Path
) -> None:
    words = ("--base", tiny_gpt2, "--recipe", "huggingtweets", "--epochs", "1")
    few = ("--samples", "2", "-n", "2", "--max-tokens", "12", "--max-draws", "2")
    made = tiny.mynah("make", small_archive, *words, *few, "--json")
    assert made.code == 0, made.err
    folder = RunFolder(bots / made.json["bot"])
    assert (folder.adapter / "model.safetensors").exists()
    record = folder.stage_record("train")
    assert record["result"]["rank"] is None and record["result"]["recipe"] == "huggingtweets"
    assert record["result"]["dtype"] == "float32"
    assert record["result"]["trained_parameters"] == sum(
        each.numel() for each in tiny.gpt2().parameters()
    )
    assert tiny.mynah("say", folder.name, "-n", "1", "--json").code == 0

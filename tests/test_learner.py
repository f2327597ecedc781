"""In what a base is loaded to learn on; what a plan is told of it, and what follows from that."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from mynah.config import TrainingConfig
from mynah.fast_llama import FastLlama
from mynah.learner import fit, load_to_learn, machine_of
from mynah.lora import add_adapter
from mynah.loss import post_nats
from mynah.model import Base, int8_is_exact, load_base
from mynah.plan import make_plan
from mynah.run_folder import RunFolder
from mynah.training import train

FITS = 30_000  # tokens of an archive that is read in small steps
EIGHT_BITS = replace(tiny.FP32, int8=True)


@pytest.fixture
def halved(tiny_base: Path, tmp_path: Path) -> Path:
    """Return a base whose file is in bf16, as nearly all are."""
    model = load_base(str(tiny_base), replace(tiny.FP32, dtype=torch.bfloat16)).model
    return tiny.save(model, tmp_path / "halved")


def precisions(base: Base) -> dict[str, torch.dtype]:
    """Return what a base's blocks and its embedding are in."""
    names = dict(base.model.named_parameters())
    blocks = {each.dtype for name, each in names.items() if name.endswith("_proj.weight")}
    others = {each.dtype for name, each in names.items() if not name.endswith("_proj.weight")}
    assert len(blocks) == len(others) == 1
    return {"blocks": blocks.pop(), "others": others.pop()}


def test_what_a_base_allows_decides_how_boldly_and_by_how_many_it_is_learned(
    base: Base, gpt2_base: Base
) -> None:
    llama, gpt2 = (
        make_plan(TrainingConfig(), tokens=FITS, machine=machine_of(each))
        for each in (base, gpt2_base)
    )
    assert (llama.members, llama.alpha) == (2, 2.0 * 8)  # in the mean; alone each counts twice that
    assert (gpt2.members, gpt2.alpha) == (1, 2.0 * 8)  # nothing damps what its adapters hear
    quick = make_plan(TrainingConfig(effort="quick"), tokens=FITS, machine=machine_of(base))
    assert (quick.members, quick.alpha) == (1, 4.0 * 8)


def test_of_what_is_rounded_nothing_is_kept_in_fp32(halved: Path) -> None:
    config = TrainingConfig(base=str(halved))
    learns = load_to_learn(config, EIGHT_BITS)
    assert precisions(learns) == {"blocks": torch.bfloat16, "others": torch.float32}
    assert learns.device == EIGHT_BITS
    for whole in (
        load_to_learn(config, tiny.FP32),
        load_to_learn(replace(config, int8=False), EIGHT_BITS),
        load_to_learn(replace(config, recipe="huggingtweets"), EIGHT_BITS),
    ):
        assert precisions(whole) == {"blocks": torch.float32, "others": torch.float32}


def test_a_base_of_another_kind_is_whole_in_what_it_computes_in(tiny_gpt2: Path) -> None:
    base = load_to_learn(TrainingConfig(base=str(tiny_gpt2)), EIGHT_BITS)
    assert {each.dtype for each in base.model.parameters()} == {torch.float32}


@torch.no_grad()
def test_it_computes_what_the_same_base_in_fp32_does(halved: Path) -> None:
    learns = load_to_learn(TrainingConfig(base=str(halved)), EIGHT_BITS)
    ids = torch.tensor([tiny.rows_of(learns)[0][:-1]])
    whole = load_base(str(halved), tiny.FP32).model.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(FastLlama(learns.model, int8=False)(ids), whole)
    assert precisions(learns)["blocks"] == torch.bfloat16  # only looked at
    rounded = FastLlama(learns.model, int8=True)
    torch.testing.assert_close(rounded.calibrate(ids), whole)  # while it listens it is exact
    assert (rounded(ids) - whole).abs().max() > 0
    if int8_is_exact():  # else its sums may overflow here
        assert (rounded(ids) - whole).abs().max() < 0.1 * whole.abs().max()


def test_it_learns_and_is_judged(halved: Path) -> None:
    config = TrainingConfig(base=str(halved), epochs=3.0, batch_tokens=64)
    base = load_to_learn(config, EIGHT_BITS)
    rows = tiny.rows_of(base)
    before = post_nats(base.model, rows, base.separator, 512).sum()
    plan = make_plan(config, tokens=sum(map(len, rows)), machine=machine_of(base))
    assert plan.int8
    add_adapter(base.model, rank=4, alpha=16.0, seed=0)
    steps = [range(at, at + 4) for at in range(0, len(rows) - 3, 4)] * 6
    train(base, rows, steps, plan, learner=fit(base, rows, plan))
    assert post_nats(base.model, rows, base.separator, 512).sum() < 0.9 * before


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="not a processor of that kind"
)
@pytest.mark.parametrize("verb", ["train", "sweep"])
def test_eight_bits_are_refused_where_their_sums_overflow(
    bot: RunFolder, bots: Path, tiny_base: Path, verb: str
) -> None:
    """The instructions of 2013 add two products in sixteen bits."""
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    words = verb, bot.name, "--int8", "--base", tiny_base, "--bots", bots
    with tiny.start(*words, env=older) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.splitlines()[-2:] == [
        "Error: This processor has no VNNI: sums of numbers of eight bits overflow there.",
        "Train with --no-int8.",
    ]

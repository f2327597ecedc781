"""The one dial: what follows from it, and the curve of the learning rate, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mynah.config import TrainingConfig
from mynah.plan import Machine, make_plan, rate_at

MANY = 1_000_000  # tokens of a large archive


def test_the_dial_turns_from_quick_to_best() -> None:
    plans = [make_plan(TrainingConfig(effort=e), tokens=MANY) for e in ("quick", "normal", "best")]
    epochs = [plan.epochs for plan in plans]
    rates = [plan.learning_rate for plan in plans]
    assert epochs == sorted(epochs) and len(set(epochs)) == 3
    assert rates == sorted(rates, reverse=True)


def test_what_is_typed_wins_over_the_dial() -> None:
    config = TrainingConfig(epochs=0.5, learning_rate=3e-4, batch_tokens=99, rank=3, warmup=0.25)
    plan = make_plan(config, tokens=10)
    assert (plan.epochs, plan.learning_rate, plan.batch_tokens) == (0.5, 3e-4, 99)
    assert (plan.rank, plan.alpha, plan.warmup) == (3, 6.0, 0.25)


def test_from_a_part_of_a_flock_the_rate_is_lower_and_sooner_there() -> None:
    for tokens in (900, 20_000, MANY):
        plain = make_plan(TrainingConfig(), tokens=tokens)
        begun = make_plan(TrainingConfig(flock="choir"), tokens=tokens)
        assert begun.learning_rate == 0.75 * plain.learning_rate
        assert (begun.warmup, plain.warmup) == (0.03, 0.1)
        own = make_plan(TrainingConfig(flock="itself", flock_share=1.0), tokens=tokens)
        assert own == plain  # a bot goes on from all that it knows as it learned it
    typed = TrainingConfig(flock="choir", learning_rate=3e-4, warmup=0.2)
    plan = make_plan(typed, tokens=MANY)
    assert (plan.learning_rate, plan.warmup) == (3e-4, 0.2)


@pytest.mark.parametrize("effort", ["quick", "normal", "best"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_small_archive_is_read_in_the_smallest_steps(effort: str, device: str) -> None:
    for tokens in (1, 900, 14_999):
        plan = make_plan(
            TrainingConfig(effort=effort), tokens=tokens, machine=Machine(device=device)
        )
        assert (plan.epochs, plan.batch_tokens, plan.learning_rate) == (1.5, 96, 1.2e-3)
    typed = make_plan(TrainingConfig(effort=effort, batch_tokens=512), tokens=900)
    assert (typed.epochs, typed.batch_tokens) == (1.5, 512)


def test_an_archive_that_fits_is_read_in_smaller_steps() -> None:
    fast = Machine(tokens_per_second=800)
    small, large = (
        make_plan(TrainingConfig(), tokens=tokens, machine=fast) for tokens in (50_000, 50_001)
    )
    assert (small.epochs, small.batch_tokens, small.learning_rate) == (1.5, 96, 1.2e-3)
    assert (large.epochs, large.batch_tokens, large.learning_rate) == (1.5, 256, 1e-3)
    best = make_plan(TrainingConfig(effort="best"), tokens=50_000)
    assert (best.epochs, best.batch_tokens, best.learning_rate) == (2.0, 96, 1.2e-3)
    quick = make_plan(TrainingConfig(effort="quick"), tokens=30_000)
    assert (quick.epochs, quick.batch_tokens, quick.learning_rate) == (1.0, 256, 2e-3)


def test_posts_are_set_aside_wherever_it_is_open_when_to_stop() -> None:
    def share(tokens: int, **settings: Any) -> float:
        return make_plan(TrainingConfig(**settings), tokens=tokens).validation

    assert share(15_000) == share(50_001) == share(MANY, effort="best") == 0.05
    assert share(14_999) == 0.0  # each post is needed
    assert share(30_000, effort="quick") == 0.0  # one look only
    assert share(30_000, epochs=2.0) == 0.0  # whoever says how often means it
    assert share(30_000, recipe="huggingtweets") == 0.0


def test_a_language_that_the_base_does_not_know_gets_a_larger_adapter() -> None:
    plan = make_plan(TrainingConfig(), tokens=30_000, foreign=True)
    assert (plan.rank, plan.alpha) == (32, 64.0)
    assert make_plan(TrainingConfig(rank=4), tokens=30_000, foreign=True).rank == 4
    assert make_plan(TrainingConfig(), tokens=30_000).rank == 8


def test_an_adapter_is_bold_only_where_its_inputs_are_damped() -> None:
    damped = Machine(damping=True, routing=True)
    for machine, tokens, alone in ((damped, 900, 4), (damped, 30_000, 4), (Machine(), 30_000, 2)):
        plan = make_plan(TrainingConfig(), tokens=tokens, machine=machine)
        assert plan.rank and plan.alpha * plan.members / plan.rank == alone
    assert make_plan(TrainingConfig(), tokens=30_000, machine=damped).members == 2


def test_the_recipe_of_2020_to_the_letter() -> None:
    plan = make_plan(TrainingConfig(recipe="huggingtweets", seed=4), tokens=MANY)
    assert plan.to_json() == {
        "recipe": "huggingtweets",
        "effort": "normal",
        "seed": 4,
        "epochs": 4.0,
        "learning_rate": 1.372e-4,
        "warmup": 0.0,
        "schedule": "cosine",
        "batch_tokens": 1_024,
        "accumulate": 1,
        "rank": None,
        "members": 1,
        "alpha": 0.0,
        "modules": "all",
        "clip": None,
        "beta2": 0.999,
        "weight_decay": 0.0,
        "dropout": True,
        "int8": False,
        "block": 1_024,
        "validation": 0.0,
        "distill": 0.0,
    }


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup=0.2, schedule="cosine")
    plan = make_plan(config, tokens=MANY)
    rates = [rate_at(step, 10, plan) for step in range(10)]
    falling = [0.5 * (1 + math.cos(math.pi * done / 8)) for done in range(8)]
    assert rates == pytest.approx([0.5, 1.0, *falling])
    assert rates[6] == pytest.approx(0.5)  # half-way down after half of the fall


def test_the_usual_rate_rises_stays_and_falls_in_lines() -> None:
    plan = make_plan(TrainingConfig(learning_rate=1.0, warmup=0.2), tokens=MANY)
    rates = [rate_at(step, 10, plan) for step in range(10)]
    assert plan.schedule == "wsd"
    assert rates == pytest.approx([0.5, *[1.0] * 6, 0.75, 0.5, 0.25])


def test_without_warmup_the_first_step_has_the_whole_rate() -> None:
    plan = make_plan(TrainingConfig(recipe="huggingtweets"), tokens=MANY)
    found = [rate_at(step, 4, plan) for step in range(4)]
    half = math.sqrt(0.5)
    # cosine at 0, 45, 90 and 135 degrees
    shares = [1.0, (1 + half) / 2, 0.5, (1 - half) / 2]
    assert found == pytest.approx([1.372e-4 * share for share in shares])


def test_one_step_has_a_rate() -> None:
    plan = make_plan(TrainingConfig(learning_rate=1.0, warmup=0.5), tokens=MANY)
    assert rate_at(0, 1, plan) == 1.0


def test_a_slow_machine_reads_less_of_a_large_archive_and_a_fast_one_more() -> None:
    def epochs(speed: float | None, effort: str = "normal") -> float:
        machine = Machine(tokens_per_second=speed)
        return make_plan(TrainingConfig(effort=effort), tokens=MANY, machine=machine).epochs

    assert epochs(4_000) == pytest.approx(10 * epochs(400)) == pytest.approx(10 * epochs(None))
    assert epochs(1) == epochs(0.1) == pytest.approx(40_000 / MANY)  # enough for a voice
    assert epochs(1, "quick") < epochs(1)
    assert epochs(1, "best") == epochs(4_000, "best") == 3


def test_a_gpu_learns_in_larger_batches() -> None:
    def batch(device: str) -> int:
        machine = Machine(device=device)
        return make_plan(TrainingConfig(), tokens=MANY, machine=machine).batch_tokens

    assert batch("cpu") < batch("mps") < batch("cuda")


@pytest.mark.parametrize(
    ("chosen", "machine", "used"), [(None, True, True), (None, False, False), (False, True, False)]
)
def test_eight_bits_are_the_machines_choice_unless_typed(
    chosen: bool | None, machine: bool, used: bool
) -> None:
    config = TrainingConfig(int8=chosen)
    assert make_plan(config, tokens=MANY, machine=Machine(int8=machine)).int8 is used


@pytest.mark.parametrize(
    ("schedule", "rates"), [("linear", [1.0, 0.75, 0.5, 0.25]), ("constant", [1.0] * 4)]
)
def test_other_schedules(schedule: Any, rates: list[float]) -> None:
    config = TrainingConfig(learning_rate=1.0, warmup=0.0, schedule=schedule)
    plan = make_plan(config, tokens=MANY)
    assert [rate_at(step, 4, plan) for step in range(4)] == rates


def test_what_begins_with_a_flock_reads_little_once() -> None:
    def looks(tokens: int, **settings: object) -> float:
        config = TrainingConfig(**settings)  # type: ignore[arg-type]
        return make_plan(config, tokens=tokens).epochs

    assert looks(30_000, flock="choir") == 1.0 and looks(30_000) == 1.5
    assert looks(30_001, flock="choir") == 1.5 == looks(14_000, flock="choir")
    assert looks(30_000, flock="choir", effort="best") == 2.0

"""Posts set aside decide when a training is over, to which weights it goes back, and teach last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from mynah.config import TrainingConfig
from mynah.lora import add_adapter
from mynah.loss import post_nats
from mynah.model import Base
from mynah.plan import Plan, make_plan
from mynah.training import Checkpoints, Course, Progress, train, trained_parameters

USUAL = make_plan(TrainingConfig(learning_rate=0.02, schedule="constant"), tokens=30_000)
SELF_TAUGHT = replace(USUAL, epochs=2.0)
PLAN = replace(SELF_TAUGHT, distill=0.0)  # which keeps a bot from learning a post by heart
ASIDE = (20, 21, 22, 23)
LAST = [[20, 21], [22, 23]]
Weights = dict[str, torch.Tensor]


class Killed(Exception):
    pass


def weights(base: Base) -> Weights:
    return {name: each.detach().clone() for name, each in trained_parameters(base.model).items()}


def cost(base: Base) -> float:
    """Return what the posts set aside cost, in nats a token."""
    rows = [tiny.rows_of(base)[at] for at in ASIDE]
    return float(post_nats(base.model, rows, 0, 512).sum()) / sum(len(row) - 1 for row in rows)


def run(
    folder: Path,
    steps: list[list[int]],
    keep: Checkpoints | None = None,
    on_step: Callable[[Base, Progress], None] = lambda base, progress: None,
    plan: Plan = PLAN,
) -> tuple[Base, Course]:
    base = tiny.fp32(folder)
    add_adapter(base.model, rank=8, alpha=16, seed=0)
    course = train(
        base,
        tiny.rows_of(base),
        steps,
        plan,
        validation=ASIDE,
        checkpoints=keep,
        on_step=lambda progress: on_step(base, progress),
    )
    return base, course


def by_heart() -> list[list[int]]:
    """Return steps that learn from all other posts first, and then one post by heart."""
    return [list(range(at, at + 5)) for at in (0, 5, 10, 15)] * 15 + [[0]] * 60


def test_it_stops_where_the_posts_set_aside_cost_more_and_goes_back(tiny_base: Path) -> None:
    costs: dict[int, float] = {}

    def note(base: Base, progress: Progress) -> None:
        costs[progress.step] = cost(base)

    base, course = run(tiny_base, by_heart(), on_step=note)
    assert (course.best_step, len(course.losses)) == (60, 90)  # of 120
    assert costs[60] < costs[90] and max(costs) == 90
    assert cost(base) == pytest.approx(course.best_nats, rel=1e-4)
    assert cost(base) < costs[90]


def test_what_is_kept_is_the_mean_of_the_last_steps(tiny_base: Path) -> None:
    seen: list[Weights] = []
    base, _ = run(tiny_base, by_heart(), on_step=lambda base, _: seen.append(weights(base)))
    mean = seen[0]
    for step, after in enumerate(seen[:60], start=1):
        share = max(1 / step, 1 / 15)  # of 120 steps
        mean = {name: (1 - share) * each + share * after[name] for name, each in mean.items()}
    for name, each in weights(base).items():
        torch.testing.assert_close(each, mean[name], rtol=1e-4, atol=1e-6)


def test_it_goes_on_to_the_end_while_they_get_cheaper(tiny_base: Path) -> None:
    steps = [list(range(at, at + 5)) for at in (0, 5, 10, 15)]
    base, course = run(tiny_base, steps)
    assert (course.best_step, len(course.losses)) == (4, 4)
    assert cost(base) == pytest.approx(course.best_nats, rel=1e-4)


def test_it_learns_from_them_last_at_the_rate_it_went_back_to(tiny_base: Path) -> None:
    rates: dict[int, float] = {}

    def note(base: Base, progress: Progress) -> None:
        rates[progress.step] = progress.rate

    base, course = run(tiny_base, by_heart() + LAST, on_step=note)
    assert list(rates) == [*range(1, 91), 121, 122]
    assert (course.best_step, course.step, len(course.losses)) == (60, 122, 92)
    assert course.best_nats is not None and cost(base) < 0.9 * course.best_nats
    assert [rates[121], rates[122]] == pytest.approx([rates[60], rates[60] / 2])


def test_after_the_last_of_all_steps_the_rate_is_a_tenth(tiny_base: Path) -> None:
    rates: list[float] = []
    steps = [list(range(at, at + 5)) for at in (0, 5, 10, 15)]
    plan = replace(PLAN, schedule="cosine", learning_rate=0.005)

    def note(base: Base, progress: Progress) -> None:
        rates.append(progress.rate)

    _, course = run(tiny_base, steps + LAST, on_step=note, plan=plan)
    assert course.best_step == 4
    assert rates[-2:] == pytest.approx([0.0005, 0.00025])


@pytest.mark.parametrize("plan, best", [(PLAN, 60), (SELF_TAUGHT, 90)], ids=["plain", "taught"])
@pytest.mark.parametrize("kill", [59, 75, 90, 121, 122])
def test_killed_before_and_after_the_best_it_ends_with_the_same(
    tiny_base: Path, tmp_path: Path, kill: int, plan: Plan, best: int
) -> None:
    def killer(base: Base, progress: Progress) -> None:
        if progress.step == kill:
            raise Killed

    expected, whole = run(tiny_base, by_heart() + LAST, plan=plan)
    keep = Checkpoints(folder=tmp_path, key="k", seconds=0)
    with pytest.raises(Killed):
        run(tiny_base, by_heart() + LAST, keep, killer, plan)
    found, course = run(tiny_base, by_heart() + LAST, replace(keep, resume=True), plan=plan)
    assert (course.best_step, course.step, course.best_nats) == (best, 122, whole.best_nats)
    assert course.losses == whole.losses
    assert all(torch.equal(each, weights(expected)[name]) for name, each in weights(found).items())

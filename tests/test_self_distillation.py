"""Who teaches a bot that reads posts again: itself, as it was after the first look; in part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tiny
from mynah import training
from mynah.calibration import estimate
from mynah.config import TrainingConfig
from mynah.learner import fit, machine_of
from mynah.lora import add_adapter
from mynah.loss import Soft
from mynah.model import Base
from mynah.plan import Plan, make_plan
from mynah.self_distillation import Teacher
from mynah.training import Progress, train, trained_parameters

PLAN = replace(make_plan(TrainingConfig(learning_rate=0.02), tokens=30_000), epochs=2.0)
ASIDE = (20, 21, 22, 23)
STEPS = [list(range(at, at + 5)) for at in (0, 5, 10, 15)]


def learned(folder: Path, plan: Plan) -> list[Tensor]:
    """Return what a training of two looks, and of the posts set aside, ends with."""
    base = tiny.fp32(folder)
    add_adapter(base.model, rank=4, alpha=8, seed=0)
    train(base, tiny.rows_of(base), [*STEPS, *STEPS, [20, 21]], plan, validation=ASIDE)
    return list(trained_parameters(base.model).values())


def test_where_none_can_be_set_aside_the_mean_is_kept_and_nobody_asks(tiny_base: Path) -> None:
    base = tiny.fp32(tiny_base)
    add_adapter(base.model, rank=4, alpha=8, seed=0)
    seen: list[Tensor] = []

    def note(progress: Progress) -> None:
        seen.append(next(iter(trained_parameters(base.model).values())).detach().clone())

    course = train(base, tiny.rows_of(base), STEPS * 6, PLAN, on_step=note)
    assert (course.best_step, course.best_nats, len(course.losses)) == (0, None, 24)
    mean = seen[0]
    for step, after in enumerate(seen, start=1):
        mean = mean.lerp(after, max(1 / step, 1 / 3))  # an eighth of the steps
    kept = next(iter(trained_parameters(base.model).values()))
    torch.testing.assert_close(kept.detach(), mean, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(kept, seen[-1], atol=1e-5)


def test_what_was_said_before_teaches_while_posts_come_again(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Tensor, Soft]] = []
    ask = Teacher.__call__

    def note(self: Teacher, ids: Tensor) -> Soft:
        own = self.weights.clone()
        told.append((self.before.clone(), ask(self, ids)))
        assert torch.equal(self.weights, own)  # it only stood in
        return told[-1][1]

    monkeypatch.setattr(training.Teacher, "__call__", note)
    learned(tiny_base, PLAN)
    assert len(told) == len(STEPS)  # neither in the first look nor of posts never read
    assert {soft.share for _, soft in told} == {0.5}
    assert torch.equal(told[0][0], told[-1][0])  # whatever the looks between find
    assert not any(soft.hidden.requires_grad for _, soft in told)


def test_what_was_said_of_a_batch_is_kept_until_all_members_have_read_it(tiny_base: Path) -> None:
    base = tiny.fp32(tiny_base)
    asked: list[Tensor] = []

    def body(ids: Tensor) -> Tensor:
        asked.append(ids)
        hidden: Tensor = base.model.base_model(input_ids=ids).last_hidden_state
        return hidden

    weights = torch.zeros(5)
    teacher = Teacher(body=body, weights=weights, before=weights, share=0.5, readers=2)
    one, other = torch.tensor([[0, 5, 6]]), torch.tensor([[0, 5, 7]])
    first, _, again = teacher(one), teacher(other), teacher(one)
    assert first.hidden is again.hidden and len(asked) == 2
    assert list(teacher.said) == [other.numpy().tobytes()]  # nobody will ask of the first again
    teacher(one)
    assert len(asked) == 3  # but if it is a third look


def test_a_share_of_nothing_is_plain_learning(tiny_base: Path) -> None:
    plain = learned(tiny_base, replace(PLAN, distill=0.0))
    none = learned(tiny_base, replace(PLAN, distill=1e-12))
    half = learned(tiny_base, PLAN)
    for one, other, taught in zip(plain, none, half, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
        assert not torch.allclose(one, taught, atol=1e-3) or not one.any()


def test_a_head_with_a_bias_is_learned_plainly(gpt2_base: Base) -> None:
    add_adapter(gpt2_base.model, rank=4, alpha=8, seed=0)
    head = gpt2_base.model.get_output_embeddings()
    head.bias = nn.Parameter(torch.zeros(len(head.weight)), requires_grad=False)
    rows = tiny.rows_of(gpt2_base)
    plan = make_plan(TrainingConfig(), tokens=30_000, machine=machine_of(gpt2_base))
    assert (plan.distill, plan.validation) == (0.0, PLAN.validation)
    cost = estimate(gpt2_base, rows, STEPS * 2, plan, fit(gpt2_base, rows, plan))
    assert cost.seconds > 0
    course = train(gpt2_base, rows, [*STEPS, *STEPS, [20, 21]], plan, validation=ASIDE)
    assert len(course.losses) >= 7


def test_nobody_teaches_where_posts_are_read_once() -> None:
    for config in (TrainingConfig(effort="quick"), TrainingConfig(recipe="huggingtweets")):
        assert make_plan(config, tokens=30_000).distill == 0.0
    assert make_plan(TrainingConfig(), tokens=30_000).distill == 0.5
    assert make_plan(TrainingConfig(), tokens=14_000).distill == 0.5
    assert make_plan(TrainingConfig(epochs=2.0), tokens=30_000).distill == 0.0  # as it was typed

"""Members that learn side by side: each alone from its posts, one adapter in the end."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import tiny
from mynah.config import TrainingConfig
from mynah.curriculum import ALL, post_by_post
from mynah.dataset import Example
from mynah.early_stopping import main_steps
from mynah.ensemble import routed, routes_of
from mynah.errors import TrainingStopped
from mynah.fast_llama import body_of
from mynah.lora import adapted, add_adapter, copy_adapter, join_members, joined, save_adapter
from mynah.loss import post_nats
from mynah.plan import Machine, Plan, make_plan
from mynah.training import Checkpoints, Progress, read, train

RANK = 3
ONE = tuple(Example(text=f"{n} {text}", author="ana") for n, text in enumerate(tiny.SENTENCES))
ROWS = [[0, *range(1, 1 + len(example.text.split())), 0] for example in ONE]


def plan_of(members: int = 2, **settings: float) -> Plan:
    plan = make_plan(TrainingConfig(learning_rate=0.014, epochs=2, batch_tokens=120), tokens=99_999)
    return replace(plan, members=members, rank=RANK, alpha=2.0 * RANK, **settings)


def model_of(members: int) -> nn.Module:
    """Return a model whose adapters have learned something."""
    model = tiny.llama(initializer_range=0.3).requires_grad_(False)
    add_adapter(model, rank=RANK, alpha=2.0 * RANK, seed=0, members=members)
    generator = torch.Generator().manual_seed(5)
    for layer in adapted(model).values():
        layer.lora_B.data.normal_(generator=generator).mul_(0.1)
    return model


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_each_post_goes_through_its_own_member_forward_and_back() -> None:
    both = model_of(2)
    ids = torch.randint(1, 90, (5, 7), generator=torch.Generator().manual_seed(3))
    body, routes = body_of(both, int8=False), routes_of(5, 1, 2)
    assert routes is not None and routes.tolist() == [1, 0, 1, 0, 1]
    with routed(body, routes):
        hidden = body(ids)
        hidden.square().sum().backward()
    for member in (0, 1):
        one = model_of(1)
        mine = slice(RANK * member, RANK * (member + 1))
        for layer, of in zip(adapted(one).values(), adapted(both).values(), strict=True):
            layer.lora_A.data = of.lora_A.data[mine].clone()
            layer.lora_B.data = of.lora_B.data[:, mine].clone()
            layer.scale = of.scale * 2
        alone = body_of(one, int8=False)(ids[routes == member])
        torch.testing.assert_close(hidden[routes == member], alone)
        alone.square().sum().backward()
        for layer, of in zip(adapted(one).values(), adapted(both).values(), strict=True):
            close(of.lora_A.grad[mine], layer.lora_A.grad)
            close(of.lora_B.grad[:, mine], layer.lora_B.grad)


def test_whoever_judges_sees_the_mean_of_all() -> None:
    both = model_of(2)
    ids = torch.randint(1, 90, (4, 6), generator=torch.Generator().manual_seed(3))
    body = body_of(both, int8=False)
    with routed(body, routes_of(4, 0, 2)):
        apart = body(ids)
    theirs = both.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(body(ids), theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(apart, theirs, atol=1e-3)


def test_pieces_of_a_batch_keep_their_members(tiny_base: Path) -> None:
    found = []
    for pieces in (1, 3):
        made = tiny.fp32(tiny_base)
        add_adapter(made.model, rank=RANK, alpha=6.0, seed=0, members=2)
        for layer in adapted(made.model).values():
            layer.lora_B.data.fill_(0.05)
        plan = replace(plan_of(), accumulate=pieces)
        group, routes = tiny.rows_of(made)[:6], routes_of(6, 1, 2)
        read(made, body_of(made.model, int8=False), group, plan, None, routes)
        found.append([layer.lora_A.grad for layer in adapted(made.model).values()])
    for whole, part in zip(*found, strict=True):
        torch.testing.assert_close(whole, part, rtol=1e-4, atol=1e-6)


def test_each_member_reads_each_post_once_an_epoch() -> None:
    plan = replace(plan_of(3), epochs=2.0)
    made = post_by_post(ONE, ROWS, plan)
    assert len(made.turns) == len(made.steps)
    read: Counter[tuple[int, int]] = Counter()
    for step, turn in zip(made.steps, made.turns, strict=True):
        routes = routes_of(len(step), turn, 3)
        for place, at in enumerate(step):
            members = range(3) if routes is None else [int(routes[place])]
            read.update((at, member) for member in members)
    together = made.turns.index(0)
    assert made.turns[:together] == (ALL,) * round(0.1 * len(made.steps)) != ()
    assert ALL not in made.turns[together:]
    assert Counter(at for step in made.steps for at in step) == dict.fromkeys(range(len(ONE)), 6)
    later = Counter()
    for step, turn in list(zip(made.steps, made.turns, strict=True))[len(made.steps) // 2 :]:
        later.update((at, (place + turn) % 3) for place, at in enumerate(step))
    assert later == dict.fromkeys(
        ((at, member) for at in range(len(ONE)) for member in range(3)), 1
    )


def test_posts_set_aside_are_read_once_by_each_member() -> None:
    made = post_by_post(ONE, ROWS, replace(plan_of(), validation=0.2))
    before = main_steps(made.steps, made.validation)
    aside = Counter(at for step in made.steps[before:] for at in step)
    assert aside == dict.fromkeys(made.validation, 2)


def test_members_end_as_the_nearest_adapter_of_the_rank() -> None:
    both = model_of(2)
    means = [layer.scale * layer.lora_B @ layer.lora_A for layer in adapted(both).values()]
    join_members(both)
    for layer, mean in zip(adapted(both).values(), means, strict=True):
        assert (layer.members, len(layer.lora_A), layer.lora_B.shape[1]) == (1, RANK, RANK)
        sizes = torch.linalg.svdvals(mean)
        off = (mean - layer.scale * layer.lora_B @ layer.lora_A).norm()
        torch.testing.assert_close(off, sizes[RANK:].norm(), rtol=1e-3, atol=1e-5)
    kept = [layer.lora_A.clone() for layer in adapted(both).values()]
    join_members(both)  # nothing is left to join
    assert all(map(torch.equal, kept, (layer.lora_A for layer in adapted(both).values())))


def test_what_members_will_be_can_be_asked_before_they_are() -> None:
    both = model_of(2)
    ids = torch.randint(1, 90, (4, 6), generator=torch.Generator().manual_seed(3))
    for layer in adapted(both).values():
        layer.damp(torch.linspace(0.5, 1, layer.lora_A.shape[1]))
    body = body_of(both, int8=False)
    mean = body(ids)
    with joined(both):
        asked = body(ids)
    assert torch.equal(body(ids), mean)
    join_members(both)
    torch.testing.assert_close(asked, body_of(both, int8=False)(ids), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(asked, mean, atol=1e-3)


def test_members_of_a_rank_beyond_a_layers_width_end_as_one_of_that_rank() -> None:
    model = tiny.llama(initializer_range=0.3).requires_grad_(False)
    add_adapter(model, rank=40, alpha=80, seed=0, members=2)  # its keys are 16 wide
    layers = adapted(model).values()
    for layer in layers:
        nn.init.normal_(layer.lora_B)
    means = [layer.scale * layer.lora_B @ layer.lora_A for layer in layers]
    join_members(model)
    for layer, mean in zip(layers, means, strict=True):
        assert (len(layer.lora_A), layer.lora_B.shape[1]) == (40, 40)
        torch.testing.assert_close(
            layer.scale * layer.lora_B @ layer.lora_A, mean, rtol=1e-3, atol=1e-3
        )


def test_all_members_begin_with_a_flocks_adapter(tmp_path: Path) -> None:
    flock, bot = model_of(1), model_of(2)
    save_adapter(flock, tmp_path, base="tiny", rank=RANK, alpha=2.0 * RANK)
    copy_adapter(bot, tmp_path)
    for old, new in zip(adapted(flock).values(), adapted(bot).values(), strict=True):
        wanted = (old.scale * old.lora_B @ old.lora_A).detach()
        torch.testing.assert_close(
            new.scale * new.lora_B @ new.lora_A, wanted, rtol=0.02, atol=0.01
        )
        one = new.lora_B[:, :RANK] @ new.lora_A[:RANK] * new.scale * 2
        torch.testing.assert_close(one, wanted, rtol=0.02, atol=0.01)


def taught(folder: Path, **keep: object) -> dict[str, torch.Tensor]:
    base, plan = tiny.fp32(folder), replace(plan_of(), validation=0.1)
    add_adapter(base.model, rank=RANK, alpha=plan.alpha, seed=0, members=2)
    rows = tiny.rows_of(base)
    examples = [Example(text=str(at), author="ana") for at in range(len(rows))]
    lessons = post_by_post(examples, rows, plan)
    before = float(post_nats(base.model, rows, 0, 1_000).sum())
    train(
        base, rows, lessons.steps, plan, turns=lessons.turns, validation=lessons.validation, **keep
    )
    assert float(post_nats(base.model, rows, 0, 1_000).sum()) < 0.8 * before
    return {name: each.detach() for name, each in base.model.named_parameters()}


@pytest.mark.parametrize("kill", [2, 9])
def test_a_killed_training_of_several_ends_at_the_same_weights(
    tiny_base: Path, tmp_path: Path, kill: int
) -> None:
    wanted = taught(tiny_base)

    def stop(progress: Progress) -> None:
        if progress.step == kill:
            os.kill(os.getpid(), signal.SIGTERM)

    keep = Checkpoints(folder=tmp_path, key="one", seconds=1e9, resume=True)
    with pytest.raises(TrainingStopped):
        taught(tiny_base, checkpoints=keep, on_step=stop)
    found = taught(tiny_base, checkpoints=keep)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], each) for name, each in wanted.items())


def test_two_learn_side_by_side_where_that_was_measured() -> None:
    able = Machine(routing=True, damping=True, tokens_per_second=800)

    def members(tokens: int, machine: Machine = able, **settings: object) -> int:
        return make_plan(TrainingConfig(**settings), tokens=tokens, machine=machine).members

    assert members(15_000) == members(50_000) == members(30_000, effort="best") == 2
    assert members(14_999) == members(50_001) == members(30_000, Machine(damping=True)) == 1
    assert members(30_000, effort="quick") == members(30_000, epochs=2.0) == 1
    assert members(30_000, recipe="huggingtweets") == members(30_000, batch_tokens=96) == 1
    plan = make_plan(TrainingConfig(), tokens=30_000, machine=able)
    assert (plan.batch_tokens, plan.epochs, plan.rank, plan.alpha) == (192, 1.5, 8, 16.0)

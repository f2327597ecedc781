"""The greatest number of a post's first token: found, held within a band, left alone within it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tiny
from mynah.fast_llama import FastLlama
from mynah.lora import adapted, add_adapter
from mynah.opening import Opening, find_opening

IDS = torch.tensor([[0, 5, 9, 7, 3], [0, 8, 2, 6, 4], [0, 4, 4, 1, 2]])  # a separator opens them
LOUD = 1  # the layer that makes the greatest number, of three


def model_of(times: float, members: int = 1) -> Any:
    """Return an adapted model of which one layer makes one channel so many times as large."""
    model = tiny.llama(num_hidden_layers=3, initializer_range=0.3).requires_grad_(False)
    add_adapter(model, rank=3, alpha=12.0, seed=0, members=members)
    with torch.no_grad():
        for name in ("gate_proj", "up_proj"):
            getattr(model.model.layers[LOUD].mlp, name).frozen.weight[3] *= times
    return model


def number(model: Any, opening: Opening) -> Tensor:
    """Return the number, as transformers computes it [posts]."""
    states = model.model(IDS, output_hidden_states=True).hidden_states[opening.layer + 1]
    found: Tensor = states[:, 0, opening.channel]
    return found


def test_it_is_found_where_the_base_makes_it() -> None:
    model = model_of(times=300)
    body = FastLlama(model, int8=False)
    body.calibrate(IDS)
    assert body.opening is not None and body.opening.layer == LOUD
    with torch.no_grad():
        made = model.model(IDS, output_hidden_states=True).hidden_states[LOUD + 1][0, 0]
    assert body.opening.channel == int(made.abs().argmax())
    assert body.opening.value == pytest.approx(float(made[body.opening.channel]), rel=1e-3)


def test_nothing_is_held_where_nothing_is_so_great_or_nobody_takes_it_off() -> None:
    body = FastLlama(model_of(times=1), int8=False)
    body.calibrate(IDS)
    assert body.opening is None
    made = [torch.ones(4), torch.ones(4)]
    assert find_opening([3.0, 5_000.0], made) is find_opening([5_000.0], made[:1]) is None
    assert find_opening([1_001.0, 5_000.0], made) is not None


def test_what_it_costs_by_hand() -> None:
    opening = Opening(layer=0, channel=1, value=-200.0)
    x = torch.tensor([[9.0, -200.0], [9.0, -180.0], [9.0, -300.0], [9.0, -170.0], [9.0, -320.0]])
    excess = opening.excess(x)
    torch.testing.assert_close(excess, torch.tensor([0.0, 0.0, 0.0, -0.05, 0.1]))
    assert float(opening.strain(excess)) == pytest.approx((1 + 4) / 2)
    # of (excess / 0.05)^2 / 2 by the number, whose part is 1 / -200 of it
    wanted = torch.tensor([0.0, 0.0, 0.0, -0.05, 0.1]) / 0.05**2 / -200
    torch.testing.assert_close(opening.pull(excess), wanted)


@pytest.mark.parametrize("members", [1, 2])
def test_the_way_back_is_that_of_the_cost(members: int) -> None:
    model = model_of(300, members)
    body = FastLlama(model, int8=False)
    body.calibrate(IDS)
    opening = body.opening
    assert opening is not None
    for layer in adapted(model).values():
        nn.init.normal_(layer.lora_B, std=0.3)
    with torch.no_grad():
        assert opening.excess(number(model, opening)[:, None].expand(-1, 99)).any()
    hidden = body(IDS)
    assert body.strain is not None and body.strain.item() > 0
    (0.0 * hidden.sum() + 0.25 * body.strain).backward()
    found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    found = {name: each.clone() for name, each in found.items()}
    model.zero_grad()
    plain = number(model, opening)
    part = plain / opening.value
    excess = (part - 1.5).clamp_min(0) - (0.9 - part).clamp_min(0)
    (0.25 * (excess / 0.05).square().sum() / 2).backward()
    most = max(float(each.abs().max()) for each in found.values())
    for name, each in model.named_parameters():
        fixed = f"layers.{LOUD}.mlp.gate" in name or f"layers.{LOUD}.mlp.up" in name
        if each.grad is not None and f"layers.{LOUD + 1}" not in name and not fixed:
            torch.testing.assert_close(found[name], each.grad, rtol=1e-3, atol=1e-6 * most)
    assert not any(each.any() for name, each in found.items() if f"layers.{LOUD + 1}" in name)


def test_within_the_band_nothing_is_changed() -> None:
    model = model_of(times=300)
    body = FastLlama(model, int8=False)
    body.calibrate(IDS)
    for layer in adapted(model).values():
        nn.init.normal_(layer.lora_B, std=1e-4)
    body(IDS).square().sum().backward()
    assert body.strain is not None and body.strain.item() == 0.0
    held = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    model.zero_grad()
    body.opening = None
    body(IDS).square().sum().backward()
    free = [each.grad for each in model.parameters() if each.grad is not None]
    assert len(held) == len(free) and all(map(torch.equal, held, free))

"""Adapters of all layers at once: the same as one by one, wherever their numbers lie."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tiny
from mynah.adapter_stack import AdapterStack, side_by_side
from mynah.fast_llama import FastLlama, body_of, supports
from mynah.flat_parameter import flatten
from mynah.fused_linear import FusedLinear
from mynah.lora import LoraLinear, adapted, add_adapter
from mynah.training import trained_parameters

INPUTS, OUTPUTS, LAYERS = 12, (6, 4), 3


def layers() -> list[list[LoraLinear]]:
    """Return for each layer two adapted parts that read the same input."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(LAYERS):
        parts = [
            LoraLinear(nn.Linear(INPUTS, outputs, bias=False), 2, 4.0, generator)
            for outputs in OUTPUTS
        ]
        for part in parts:
            part.frozen.requires_grad_(False)
            part.lora_B.data.normal_(generator=generator)
        made.append(parts)
    return made


def learned(made: list[list[LoraLinear]]) -> list[torch.Tensor]:
    """Send something through all products and back; return what their adapters got."""
    products = [FusedLinear(list(parts), int8=False) for parts in made]
    stack = AdapterStack(products)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(5, INPUTS, generator=generator)
    d = torch.randn(5, sum(OUTPUTS), generator=generator)
    stack.copy()
    with torch.no_grad():
        for product, parts in zip(products, made, strict=True):
            out, low = product.forward(x)
            wanted = torch.cat([part(x) for part in parts], dim=1)
            torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)
            product.learn(d, x, low)
    stack.add_gradients()
    weights = [each for parts in made for part in parts for each in (part.lora_A, part.lora_B)]
    return [each.grad.clone() for each in weights if each.grad is not None]


@pytest.mark.parametrize("flat", [False, True])
def test_gradients_are_the_same_wherever_they_lie(flat: bool) -> None:
    made, alone = layers(), layers()
    if flat:
        by_part = list(zip(*made, strict=True))
        flatten([part.lora_A for parts in by_part for part in parts])
        flatten([part.lora_B for parts in by_part for part in parts])
        assert side_by_side([part.lora_A for part in by_part[0]]) is not None
    found = learned(made)
    one_by_one = [grad for parts in alone for grad in learned([parts])]
    assert len(found) == LAYERS * len(OUTPUTS) * 2
    for mine, theirs in zip(found, one_by_one, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_tensors_are_one_where_they_lie_side_by_side_and_only_there() -> None:
    block = torch.arange(24.0)
    parts = list(block.view(4, 2, 3))
    whole = side_by_side(parts)
    assert whole is not None
    assert torch.equal(whole, block.view(4, 2, 3))
    whole += 1
    assert block[0] == 1
    assert side_by_side([parts[0], parts[2]]) is None
    assert side_by_side(parts[::-1]) is None
    assert side_by_side([each.clone() for each in parts]) is None
    assert side_by_side([block.view(8, 3)[:, :2][:4], block.view(8, 3)[:, :2][4:]]) is None


def test_the_same_matrix_of_all_layers_lies_side_by_side_in_a_training() -> None:
    model = tiny.llama().requires_grad_(False)
    add_adapter(model, rank=2, alpha=4.0, seed=0)
    held = trained_parameters(model)
    assert len(held) == 2 * len(adapted(model))
    flatten(held.values())
    for name in ("self_attn.q_proj", "mlp.down_proj"):
        for matrix in ("lora_A", "lora_B"):
            same = [getattr(layer.get_submodule(name), matrix) for layer in model.model.layers]
            assert side_by_side(same) is not None


def test_layers_with_different_adapters_are_left_to_transformers() -> None:
    """A stack holds one shape for all layers; a model that has several runs as it is."""
    model = tiny.llama().requires_grad_(False)
    add_adapter(model, rank=2, alpha=4.0, seed=0)
    assert supports(model)
    attention = model.model.layers[0].self_attn
    attention.q_proj = attention.q_proj.frozen
    assert not supports(model)
    ids = torch.randint(1, 90, (2, 5))
    theirs = model.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(body_of(model, int8=False)(ids), theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loud_channels_are_damped_in_every_body_alike(dtype: torch.dtype) -> None:
    model = tiny.llama().requires_grad_(False).to(dtype)
    add_adapter(model, rank=2, alpha=4.0, seed=0, members=2)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.frozen.weight[3] *= 50_000
    ids = torch.arange(60).view(3, 20)
    fast = FastLlama(model, int8=False)
    with torch.no_grad():
        fast.calibrate(ids)
    loud = adapted(model)["model.layers.0.mlp.down_proj"]
    assert loud.damping is not None and (loud.damping < 1).nonzero().flatten().tolist() == [3]
    for layer in adapted(model).values():
        layer.lora_B.data.normal_(std=0.1)
    with torch.no_grad():
        here, there, theirs = fast(ids), body_of(model, int8=False)(ids), model.model(ids)[0]
    assert torch.equal(here, there)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(here, theirs, rtol=tolerance, atol=tolerance)
    fast(ids).float().square().sum().backward()
    grad = loud.lora_A.grad
    assert grad is not None and grad[:, 3].any()
    for name in ("gate_proj", "up_proj"):  # what makes the loud channel stays as it is
        grad = adapted(model)[f"model.layers.0.mlp.{name}"].lora_B.grad
        assert grad is not None and not grad[3].any() and grad[:3].any() and grad[4:].any()

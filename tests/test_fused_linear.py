"""Frozen layers as one product: exact in full precision, close in eight bits."""

from __future__ import annotations

import torch
from torch import nn

from mynah.adapter_stack import AdapterStack
from mynah.fused_linear import FusedLinear
from mynah.lora import LoraLinear

INPUTS, OUTPUTS = 48, (24, 8)


def layers(rank: int = 3, alpha: float = 6.0) -> list[LoraLinear]:
    """Return two adapted layers that read the same input."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(2)
    made = []
    for outputs in OUTPUTS:
        layer = LoraLinear(nn.Linear(INPUTS, outputs, bias=False), rank, alpha, generator)
        layer.frozen.requires_grad_(False)
        nn.init.normal_(layer.lora_B)
        made.append(layer)
    return made


def loud(rows: int = 40) -> torch.Tensor:
    """Return activations as a language model has them: two channels far above the others."""
    x = torch.randn(rows, INPUTS, generator=torch.Generator().manual_seed(3))
    x[:, 5] *= 80
    x[:, 17] *= 50
    return x


def reference(
    parts: list[LoraLinear], x: torch.Tensor, d: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return what autograd makes of the layers one by one: output, gradient of x, of A and B."""
    x = x.clone().requires_grad_()
    out = torch.cat([layer(x) for layer in parts], dim=1)
    weights = [each for layer in parts for each in (layer.lora_A, layer.lora_B)]
    d_x, *d_weights = torch.autograd.grad(out, [x, *weights], d)
    return out.detach(), d_x, d_weights


def fused(
    parts: list[LoraLinear], x: torch.Tensor, d: torch.Tensor, *, int8: bool
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return the same of the fused product."""
    product = FusedLinear(list(parts), int8=int8)
    stack = AdapterStack([product])
    if int8:
        product.listen()
    with torch.no_grad():
        stack.copy()
        product.forward(x)
        product.calibrate()
        stack.copy()  # which hears loud channels damped by now
        out, low = product.forward(x)
        d_x = product.backward(d, x, low)
        stack.add_gradients()
    grads = [each.grad for layer in parts for each in (layer.lora_A, layer.lora_B)]
    return out, d_x, [each for each in grads if each is not None]


def test_one_product_computes_what_the_layers_do() -> None:
    x, d = loud(), torch.randn(40, sum(OUTPUTS))
    out, d_x, grads = reference(layers(), x, d)
    found, found_d_x, found_grads = fused(layers(), x, d, int8=False)
    torch.testing.assert_close(found, out, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found_d_x, d_x, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(found_grads, grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-2)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_eight_bits_are_close_since_the_loudest_channels_are_exact() -> None:
    x, d = loud(), torch.randn(40, sum(OUTPUTS))
    parts = layers()
    found, found_d_x, found_grads = fused(parts, x, d, int8=True)
    out, d_x, grads = reference(parts, x, d)
    assert 0 < distance(found, out) < 0.01
    assert 0 < distance(found_d_x, d_x) < 0.02
    for mine, theirs in zip(found_grads, grads, strict=True):
        assert distance(mine, theirs) < 0.02


def very_loud() -> torch.Tensor:
    """Return activations with a channel that is thousands of times as loud as a usual one."""
    x = loud()
    x[0, 5] = 9_000
    return x


def damped(parts: list[LoraLinear], x: torch.Tensor) -> FusedLinear:
    """Return their product once it has heard `x`, nothing rounded."""
    product = FusedLinear(list(parts), int8=False)
    product.listen()
    with torch.no_grad():
        product.forward(x)
        product.calibrate()
    return product


def test_adapters_hear_loud_channels_a_hundred_times_the_usual_at_most() -> None:
    parts, x = layers(), very_loud()
    for part in parts:
        nn.init.zeros_(part.lora_B)  # as before the first step
    starts = [part.lora_A.clone() for part in parts]
    damped(parts, x)
    usual = float(x.square().mean(dim=0).sqrt().median())
    wanted = torch.ones(INPUTS)
    for channel in (5, 17):
        wanted[channel] = min(1.0, 100 * usual / float(x[:, channel].abs().max()))
    assert wanted[5] < 0.02 and 0.9 < wanted[17] < 1
    for part, start in zip(parts, starts, strict=True):
        torch.testing.assert_close(part.damping, wanted)
        torch.testing.assert_close(part.down, start * wanted)
        assert float((x * part.damping).abs().max()) <= 101 * usual


def test_what_was_learned_before_it_is_damped_stays_and_learns_less_from_loud_channels() -> None:
    x, d = very_loud(), torch.randn(40, sum(OUTPUTS))
    before, d_before, plain = reference(layers(), x, d)
    parts = layers()
    product = damped(parts, x)
    stack = AdapterStack([product])
    with torch.no_grad():
        stack.copy()
        found, low = product.forward(x)
        found_d_x = product.backward(d, x, low)
        stack.add_gradients()
    torch.testing.assert_close(found, before, rtol=1e-3, atol=0.1)
    torch.testing.assert_close(found_d_x, d_before, rtol=1e-3, atol=1e-3)
    _, _, grads = reference(parts, x, d)
    for part, first, then in zip(parts, plain[::2], grads[::2], strict=True):
        assert part.lora_A.grad is not None and part.damping is not None
        torch.testing.assert_close(part.lora_A.grad, then, rtol=1e-3, atol=1.0)
        torch.testing.assert_close(part.lora_A.grad, first * part.damping, rtol=1e-3, atol=1.0)


def test_nothing_is_damped_where_nothing_is_loud() -> None:
    parts = layers()
    damped(parts, torch.randn(40, INPUTS))
    assert [part.damping for part in parts] == [None, None]


def test_without_exact_channels_the_quiet_ones_would_drown() -> None:
    """The largest channel sets the step of its whole row: the others fell between two steps."""
    x = loud()
    x[:, [5, 17]] *= 20
    product = FusedLinear(list(layers()), int8=True)
    product.listen()
    with torch.no_grad():
        product.forward(x)
        product.calibrate()
        exact = product.forward(x)[0]
        product.mask.fill_(1)  # rounds the loud channels with the rest
        rounded = product._times(x)
        quiet = x.clone()
        quiet[:, [5, 17]] = 0
        wanted = torch.cat([layer.frozen(quiet) for layer in layers()], dim=1)
    assert distance(rounded, wanted) > 0.3
    full = torch.cat([layer.frozen(x) for layer in layers()], dim=1)
    assert distance(exact, full) < 0.01


def test_gradients_add_up_over_pieces_of_a_batch() -> None:
    x, d = loud(), torch.randn(40, sum(OUTPUTS))
    _, _, whole = fused(layers(), x, d, int8=False)
    parts = layers()
    product = FusedLinear(list(parts), int8=False)
    stack = AdapterStack([product])
    with torch.no_grad():
        stack.copy()
        for piece in (slice(0, 15), slice(15, 40)):
            _, low = product.forward(x[piece])
            product.learn(d[piece], x[piece], low)
            stack.add_gradients()
    found = [each.grad for layer in parts for each in (layer.lora_A, layer.lora_B)]
    for mine, theirs in zip(found, whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-2)


def test_rounding_leaves_the_base_as_it_was() -> None:
    """A base in fp32 is judged after it was learned with; its matrices are not copies there."""
    parts = layers()
    before = [layer.frozen.weight.detach().clone() for layer in parts]
    for product in (FusedLinear([parts[0]], int8=True), FusedLinear(list(parts), int8=True)):
        product.listen()
        with torch.no_grad():
            product.forward(loud())
            product.calibrate()
    for layer, weight in zip(parts, before, strict=True):
        assert torch.equal(layer.frozen.weight, weight)

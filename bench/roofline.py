"""What the bare products of the model would reach, each on its own weights: a bound on training.

In bf16, or in fp32 where the processor has no instructions for bf16.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def measure_roofline(name: str) -> dict[str, Any]:
    """Time the products that a token costs: once forward, once back, on all weights.

    Args:
        name: of the base.

    Returns:
        Tokens and FLOP a second, FLOP a token, and the precision.
    """
    import torch

    from mynah.model import Device, load_base
    from mynah.plan import _BATCH_TOKENS

    dtype = precision()
    model = load_base(name, Device(name="cpu", dtype=dtype, reason="the roofline")).model
    count = _BATCH_TOKENS["cpu"]
    seconds, flop = 0.0, 0
    with torch.no_grad():
        for (rows, columns), weights in by_shape(model).items():
            x = torch.randn(count, columns).to(dtype)
            d = torch.randn(count, rows).to(dtype)
            for product in (lambda w, x=x: x @ w.T, lambda w, d=d: d @ w):
                seconds += min(timed(product, weights) for _ in range(7))
            flop += 2 * 2 * rows * columns * count * len(weights)
    speed = {"tokens_per_second": count / seconds, "flops": flop / seconds, "flop": flop / count}
    return speed | {"precision": str(dtype).removeprefix("torch.")}


def by_shape(model: Any) -> dict[tuple[int, int], list[Any]]:
    """Return the matrices a token is multiplied with, those of one shape [out, in] together."""
    shapes: dict[tuple[int, int], list[Any]] = {}
    for layer, weight in model.named_parameters():
        if weight.ndim == 2 and "embed" not in layer:
            shapes.setdefault(tuple(weight.shape), []).append(weight.detach().clone())
    head = model.get_output_embeddings().weight.detach()
    return shapes | {tuple(head.shape): [head]}


def precision() -> Any:
    """Return the torch type in which this processor multiplies fastest, eight bits apart."""
    from mynah.model import choose_device

    return choose_device().dtype


def timed(product: Callable[[Any], Any], weights: list[Any]) -> float:
    """Return the seconds of one product with each of the weights."""
    start = time.perf_counter()
    for weight in weights:
        product(weight)
    return time.perf_counter() - start

"""The adapters of one product in all layers, as one tensor: copied and learned at once.

An adapter has hundreds of small matrices, and every step copies each into the precision of the
frozen weights, and adds to the gradient of each. One by one that takes as long as a layer. The same
matrix of all layers is one tensor here; and where the layers' own lie side by side in memory, as
`flatten` lays them, that is one operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mynah.fused_linear import FusedLinear
from mynah.lora import LoraLinear


class AdapterStack:
    """Adapters of products that are the same in all layers but for their numbers."""

    def __init__(self, products: Sequence[FusedLinear]) -> None:
        first = products[0]
        self.products = products
        self.downs = torch.stack([each.down for each in products])  # [layers, lanes, inputs]
        self.ups = torch.stack([each.up for each in products])  # [layers, outputs, lanes]
        self.down_gradients = self.downs.new_zeros(len(products), first.rank, self.downs.shape[2])
        self.up_gradients = self.ups.new_zeros(len(products), self.ups.shape[1], first.rank)
        self.damping: Tensor | None = None  # as last copied [layers, 1, inputs]
        for at, product in enumerate(products):
            product.down, product.up = self.downs[at], self.ups[at]
            product.gradients = self.down_gradients[at], self.up_gradients[at]
        self.parts: list[tuple[list[LoraLinear], slice, slice]] = [
            ([each.adapters[at] for each in products], column, lane)
            for at, (column, lane) in enumerate(first.blocks)
        ]

    @torch.inference_mode()
    def copy(self) -> None:
        """Take over the adapters' values as they are now."""
        self.damping = self._damping()
        for layers, column, lane in self.parts:
            downs = _together([each.lora_A for each in layers])
            torch.mul(downs, 1 if self.damping is None else self.damping, out=self.downs[:, lane])
            ups = _together([each.lora_B for each in layers])
            torch.mul(ups, layers[0].scale, out=self.ups[:, column, lane])

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add to the adapters' `.grad` what the last way back through the products found."""
        if self.damping is not None:
            self.down_gradients.mul_(self.damping)
        for layers, column, lane in self.parts:
            _add([each.lora_A for each in layers], self.down_gradients[:, lane], 1.0)
            found = self.up_gradients[:, column, lane]
            _add([each.lora_B for each in layers], found, layers[0].scale)

    def _damping(self) -> Tensor | None:
        """Return how much each layer's adapters hear of each channel; None: all of all."""
        found = [product.adapters[0].damping for product in self.products]
        if all(each is None for each in found):
            return None
        ones = torch.ones(self.downs.shape[2], device=self.downs.device)
        return torch.stack([ones if each is None else each for each in found])[:, None]


def side_by_side(tensors: Sequence[Tensor]) -> Tensor | None:
    """Return a view of tensors of one shape as one; None where they do not lie side by side."""
    first = tensors[0]
    memory, start, step = first.untyped_storage().data_ptr(), first.storage_offset(), first.numel()
    for at, each in enumerate(tensors):
        there = each.untyped_storage().data_ptr() == memory and each.is_contiguous()
        if not there or each.storage_offset() != start + at * step:
            return None
    return first.as_strided((len(tensors), *first.shape), (step, *first.stride()))


def _together(tensors: Sequence[Tensor]) -> Tensor:
    found = side_by_side(tensors)
    return torch.stack(list(tensors)) if found is None else found


def _add(parameters: Sequence[nn.Parameter], found: Tensor, scale: float) -> None:
    """Add gradients [layers, ...] to those of their parameters, where these learn."""
    if not parameters[0].requires_grad:
        return
    for each in parameters:
        if each.grad is None:
            each.grad = torch.zeros_like(each)
    held = [each.grad for each in parameters if each.grad is not None]
    if (whole := side_by_side(held)) is not None:
        whole.add_(found, alpha=scale)
    else:
        torch._foreach_add_(held, list(found), alpha=scale)

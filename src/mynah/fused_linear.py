"""Frozen linear layers that read the same input, and their adapters, as few and large products.

Three things make a step of training faster than layer by layer:

- layers with the same input are one matrix, and their adapters one pair of thin ones;
- adapters of all layers are copied, and their gradients added to `.grad`, at once
  (`adapter_stack`): hundreds of small tensors are spared the graph;
- with `int8`, the frozen matrix is multiplied in eight bits, forward and backward, which processors
  with VNNI do at twice the speed of bf16.

Rounding the rows of an activation to eight bits is harmless but for a few channels, always the
same, that are tens of times larger than the rest (Dettmers et al. 2022, "LLM.int8()",
arXiv:2208.07339). Those are kept exact, and cost nothing extra: they ride along as more rows of the
thin matrices. The way back is rounded likewise (Wortsman et al. 2023, "SwitchBack", 2304.13013).

A few of them are thousands of times larger at the token that opens every post (Sun et al. 2024,
"Massive Activations in Large Language Models", arXiv:2402.17762), and what is predicted there is
what is left of great numbers that cancel. A step of Adam is as long for them as for all others, and
now and then one upsets that: from then on the bot begins its posts at random. So adapters hear
channels damped down to `_LOUD` times the usual, and rows that make such a channel stay the base's;
what they make of them all the same is held by `opening`.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterable
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from mynah.lora import LoraLinear

_LOUD = 100  # times the root mean square of a usual channel
_EXACT = 16  # input channels of each matrix that are not rounded
_PAGEOUT = 21  # MADV_PAGEOUT of Linux 5.4
_LEVELS = 126  # and not 127: bf16 may round a product up by half a level


class FusedLinear:
    """One frozen matrix [out, in] made of several, and one adapter made of theirs."""

    def __init__(
        self, layers: list[nn.Module], dtype: torch.dtype | None = None, *, int8: bool
    ) -> None:
        """Take layers that read the same input.

        Args:
            layers: linear ones, with adapters or without.
            dtype: what is computed in; None: what the matrices are in.
            int8: they are to be multiplied in eight bits.
        """
        plain: list[Any] = [getattr(layer, "frozen", layer) for layer in layers]
        sizes = [len(each.weight) for each in plain]
        self.parts = [each.weight.data for each in plain]
        self.dtype = dtype or self.parts[0].dtype
        if not int8:
            self.parts = [torch.cat(self.parts).to(self.dtype)]
            for each, part in zip(plain, torch.split(self.parts[0], sizes), strict=True):
                if each.weight.dtype == self.dtype:
                    each.weight.data = part  # transformers' layer is now a view of the fused one
        self.adapters = [layer for layer in layers if isinstance(layer, LoraLinear)]
        where = zip(layers, _slices(sizes), strict=True)
        columns = [part for layer, part in where if isinstance(layer, LoraLinear)]
        lanes = _slices([len(each.lora_A) for each in self.adapters])
        self.blocks = list(zip(columns, lanes, strict=True))  # of B in all that are B or 0
        self.rank = lanes[-1].stop if lanes else 0
        inputs = self.parts[0].shape[1]
        exact = min(_EXACT, inputs) if int8 else 0
        zeros = partial(torch.zeros, dtype=self.dtype, device=self.parts[0].device)
        self.down = zeros(self.rank + exact, inputs)
        self.up = zeros(sum(sizes), self.rank + exact)
        # Where those of down and up go: `AdapterStack` has a place for all layers'.
        self.gradients: tuple[Tensor, Tensor] | None = None
        self.peaks: Tensor | None = None  # of each channel, while `listen` is on [inputs]
        self.squares = zeros(0)  # the mean of its squares [inputs]
        self.loudest = 0.0  # channel, as often the root mean square of a usual one
        self.loud = zeros(inputs).bool()
        self.fixed: Tensor | None = None  # outputs that adapters leave as they are
        self.int8 = int8  # once it has listened
        self.codes: Tensor | None = None  # int8 [out, in]
        self.share: Tensor | None = None  # of each row in each lane; None: all in all
        self.steps = self.mask = zeros(0)

    @property
    def weight(self) -> Tensor:
        """Return the frozen matrix; before it is rounded, it is put together on every call."""
        whole = self.parts[0] if len(self.parts) == 1 else torch.cat(self.parts)
        return whole.to(self.dtype)

    def listen(self) -> None:
        """Note how loud each channel of what comes in is, until `calibrate`."""
        self.peaks = self.down.new_zeros(self.down.shape[1])
        self.squares = torch.zeros_like(self.peaks, dtype=torch.float32)

    def _note(self, x: Tensor, peaks: Tensor) -> None:
        self.peaks = torch.maximum(peaks, x.abs().amax(dim=0))
        self.squares = torch.maximum(self.squares, x.float().square().mean(dim=0))

    def calibrate(self) -> None:
        """Damp what adapters hear of loud channels, and round the matrix where it is to be."""
        if self.peaks is None:
            return
        loudness = self.peaks.float() / self.squares.median().sqrt().clamp_min(1e-12)
        self.loud, self.loudest = loudness > _LOUD, float(loudness.max())
        for layer in self.adapters:
            layer.damp((_LOUD / loudness).clamp(1e-4, 1))
        if self.int8:
            self._round(self.peaks)
        self.peaks = None

    def _round(self, peaks: Tensor) -> None:
        """Round the matrix to eight bits, but for the channels where the largest inputs were."""
        loud = peaks.topk(len(self.down) - self.rank).indices.sort().values
        exact = torch.arange(self.rank, len(self.down))
        weight = self.weight
        self.up[:, self.rank :] = weight[:, loud]
        self.down[exact, loud] = 1
        self.mask = torch.ones_like(peaks).index_fill_(0, loud, 0)
        quiet = weight.float() * self.mask  # never in place: in fp32 these are the base's own
        self.steps = (quiet.abs().amax(dim=1).clamp_min_(1e-12) / 127).to(self.dtype)
        codes = (quiet / self.steps[:, None].float()).round_().clamp_(-127, 127)
        self.codes = codes.to(torch.int8)
        for part in self.parts:
            _page_out(part)
        self.parts = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x W^T + (x A^T) (s B)^T, and x A^T for the backward pass."""
        if self.peaks is not None:
            self._note(x, self.peaks)
        low = x @ self.down.T
        if self.share is not None:
            low.mul_(self.share)
        out = self._times(x)
        return out.addmm_(low, self.up.T), low

    def _times(self, x: Tensor) -> Tensor:
        if self.codes is None:
            return x @ self.weight.T
        codes, many = _round(x * self.mask)
        return torch.div(torch._int_mm(codes, self.codes.T), many).mul_(self.steps)

    def backward(self, d: Tensor, x: Tensor, low: Tensor) -> Tensor:
        """Return the gradient of x; leave those of the adapters in `gradients`."""
        d_low = self.learn(d, x, low)
        if self.codes is None:
            d_x = d @ self.weight
        else:
            codes, many = _round(d * self.steps)
            d_x = torch.div(torch._int_mm(codes, self.codes), many)
        return d_x.addmm_(d_low, self.down)

    def learn(self, d: Tensor, x: Tensor, low: Tensor) -> Tensor:
        """Leave the gradients of the adapters; return that of x A^T."""
        d_low: Tensor = d @ self.up
        if self.share is not None:
            d_low.mul_(self.share)
        if self.gradients is not None:
            down, up = self.gradients
            torch.mm(d_low[:, : self.rank].T, x, out=down)
            torch.mm(d.T, low[:, : self.rank], out=up)
            if self.fixed is not None:
                up.index_fill_(0, self.fixed, 0)
        return d_low

    def share_of(self, routes: Tensor) -> Tensor:
        """Return what each post has of each lane [posts, lanes]: all of one member's, or nothing.

        The members' mean counts each of them for a part only; alone it counts for all.
        """
        members = self.adapters[0].members
        ranks = [layer.rank for layer in self.adapters]
        of = [torch.arange(members).repeat_interleave(rank) for rank in ranks]
        own = (routes[:, None] == torch.cat(of)).to(self.down.dtype) * members
        return torch.cat([own, own.new_ones(len(own), len(self.down) - self.rank)], dim=1)


def share_out(
    products: Iterable[FusedLinear], routes: Tensor | None, length: int, rows: int
) -> None:
    """Let each post go through one member of every adapter, or through the mean of all.

    Args:
        products: that have adapters, or none.
        routes: which member each post goes through [posts]; None: all.
        length: tokens of each post, padding included.
        rows: tokens of all of them, and what stands behind.
    """
    made: dict[tuple[int, int], Tensor] = {}
    for product in products:
        product.share = None
        if routes is not None and product.adapters:
            key = len(product.adapters), len(product.down)
            if key not in made:
                share = product.share_of(routes).repeat_interleave(length, dim=0)
                made[key] = nn.functional.pad(share, (0, 0, 0, rows - len(share)))
            product.share = made[key]


def _page_out(tensor: Tensor) -> None:
    """Let the system take back the memory of a tensor that stays in its file; Linux only.

    Nothing is lost: pages of a file are read again when they are touched, others stay.
    """
    if sys.platform != "linux" or tensor.device.type != "cpu":
        return
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if end > start:
        advise(start, end - start, _PAGEOUT)  # an older kernel refuses, and the pages stay


def _slices(sizes: list[int]) -> list[slice]:
    return [slice(end - size, end) for end, size in zip(accumulate(sizes), sizes, strict=True)]


def _round(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row in whole steps, int8, and how many steps are 1 [rows, 1]."""
    many = _LEVELS / x.abs().amax(dim=-1, keepdim=True).clamp_min_(1e-12)
    return (x * many).round_().to(torch.int8), many

"""Rotary embedding: where a token stands, as a turn of its queries and keys.

Su et al. 2021, "RoFormer" (arXiv:2104.09864), equation 34.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary(
    length: int, head: int, theta: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of every position's angles, fp32 [tokens, 1, head / 2]."""
    rates = 1.0 / theta ** (torch.arange(0, head, 2, dtype=torch.float32, device=device) / head)
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), rates)
    return angles.cos()[:, None], angles.sin()[:, None]


def turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate each head's two halves by the position's angles; by minus the sine, back again."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)

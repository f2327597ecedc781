"""A Llama's blocks for reading alone: matrices laid out once for the processor, few large products.

In bf16 oneDNN lays a matrix out anew at each call, which for few rows takes several times longer
than the product itself. Here that is done once, and layers that read the same input are one
matrix. Whoever reads decides what a token looks at: `attend` is theirs. What many texts begin with
is looked at in one product for all of them (Juravsky et al. 2024, arXiv:2402.05099).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mynah.lora import LoraLinear
from mynah.rotary import rotary, turn

Frozen = Callable[[Tensor], Tensor]  # [tokens, inputs] -> [tokens, outputs]
# A layer's number, and queries, keys and values [tokens, heads or groups, width] -> [tokens, all]
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
_TILED = "_scaled_dot_product_flash_attention_for_cpu"
Looked = tuple[Tensor, Tensor]  # what was gathered, and the logarithm of all weights' sum


def laid_out(weight: Tensor, rows: int) -> Frozen:
    """Return the product with a frozen matrix [outputs, inputs], for about so many rows at once.

    Where this build of torch cannot lay it out, or in fp32, it is the plain product.
    """
    ops = torch.ops.mkldnn
    packed = weight.dtype == torch.bfloat16 and torch._C._has_mkldnn
    if not packed or not hasattr(ops, "_linear_pointwise"):
        return lambda x: nn.functional.linear(x, weight)
    laid = ops._reorder_linear_weight(weight, rows)

    def product(x: Tensor) -> Tensor:
        out: Tensor = ops._linear_pointwise(x, laid, None, "none", [], "")
        return out

    return product


class Block:
    """One decoder layer's frozen weights, those that read the same input as one matrix."""

    def __init__(self, layer: Any, rows: int) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        layers = (
            (attention.q_proj, attention.k_proj, attention.v_proj),
            (attention.o_proj,),
            (mlp.gate_proj, mlp.up_proj),
            (mlp.down_proj,),
        )
        products = [[_weight(part) for part in parts] for parts in layers]
        self.into, self.out, self.up, self.down = (
            laid_out(torch.cat(parts), rows) for parts in products
        )
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
        self.sizes = tuple(  # each product's inputs, and the outputs of its parts
            (parts[0].shape[1], tuple(len(part) for part in parts)) for parts in products
        )


class Reader:
    """A Llama that only reads; see `fast_llama.supports`."""

    def __init__(self, model: Any, start: Sequence[int], rows: int, length: int) -> None:
        """Read what all texts begin with.

        Args:
            model: the Llama.
            start: token ids, one at least.
            rows: tokens that are read at once, about.
            length: most tokens of a text, its beginning included.
        """
        config = model.config
        self.groups = config.num_key_value_heads
        self.width = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self.begun = len(start)
        out = model(input_ids=torch.tensor([list(start)]), use_cache=True, logits_to_keep=1)
        self.first = out.logits[0, -1].float()  # logits after the beginning
        self.shared = [(each.keys, each.values) for each in out.cache.layers]
        self.blocks = [Block(layer, rows) for layer in model.model.layers]
        self._embed, self._norm = model.model.embed_tokens, model.model.norm
        tables = rotary(length, self.width, config.rope_parameters["rope_theta"])
        self._turns = [table.to(model.dtype) for table in tables]

    def read(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Return the last hidden states of tokens at their positions, [tokens, width]."""
        turns = [table[positions] for table in self._turns]
        x = self._embed(ids)
        for at, block in enumerate(self.blocks):
            qkv = block.into(_norm(x, block.first)).view(len(x), -1, self.width)
            qk, v = qkv[:, : -self.groups], qkv[:, -self.groups :]
            turned = turn(qk, *turns)
            q, k = turned[:, : -self.groups], turned[:, -self.groups :]
            x = x + block.out(attend(at, q, k, v))
            gate, wide = block.up(_norm(x, block.second)).chunk(2, dim=-1)
            x = x + block.down(nn.functional.silu(gate) * wide)
        return _norm(x, self._norm)

    def look_back(self, at: int, q: Tensor) -> Looked:
        """Let queries [texts, groups, n, width] of any texts look at what all begin with."""
        texts, groups, each, width = q.shape
        every = q.transpose(0, 1).reshape(1, groups, texts * each, width)
        seen, weight = look(every, *self.shared[at])
        seen = seen.view(groups, texts, each, width).transpose(0, 1)
        return seen, weight.reshape(groups, texts, each).transpose(0, 1)


def look(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Looked:
    """Return softmax(q k^T / sqrt(width) + mask) v, and the logarithm of the weights' sum, fp32.

    Args:
        q: [texts, groups, n, width].
        k: [texts, groups, m, width], v likewise.
        mask: added to the scores, in the precision of q.
    """
    if not hasattr(torch.ops.aten, _TILED):  # an operator of torch's own may go with a release
        return look_plainly(q, k, v, mask)
    out: Looked = getattr(torch.ops.aten, _TILED)(q, k, v, attn_mask=mask)
    return out


def look_plainly(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Looked:
    """Return what `look` does, all scores at once."""
    scores = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
    scores = scores if mask is None else scores + mask
    return scores.softmax(-1).to(v.dtype) @ v, scores.logsumexp(-1)


def together(first: Looked, second: Looked) -> Tensor:
    """Return what one softmax over both would have gathered (Milakov and Gimelshein 2018)."""
    share = torch.sigmoid(first[1] - second[1])[..., None].to(first[0].dtype)
    return torch.lerp(second[0], first[0], share)


def causal(tokens: int, heads: int, dtype: torch.dtype) -> Tensor:
    """Return the mask of [heads x tokens] queries over their own tokens, [1, 1, n, tokens]."""
    later = torch.full((tokens, tokens), -math.inf, dtype=dtype).triu(1)
    return later.repeat(heads, 1)[None, None]


def _weight(layer: Any) -> Tensor:
    """Return a layer's matrix, what its adapter adds included."""
    if isinstance(layer, LoraLinear):
        return layer.merged()
    weight: Tensor = layer.weight.detach()
    return weight


def _norm(x: Tensor, norm: Any) -> Tensor:
    """Return the RMS norm, worked out in fp32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    spread = (length.square_() / x.shape[-1]).add_(norm.variance_epsilon).rsqrt_()
    normed: Tensor = (x * spread).to(x.dtype).mul_(norm.weight)
    return normed

"""The body of a model: Llama's blocks written out for short posts on a CPU, others as they are.

No mask is needed: padding on the right is never seen by the causal attention of what stands before
it. For a Llama with a frozen base the forward and backward pass are written out by hand: the same
arithmetic as transformers' LlamaModel (a test compares both), in fewer and larger steps.

- query, key and value are one matrix product, gate and up another, and so are their adapters;
- attention multiplies small matrices outright: for posts of 30 tokens a tiled kernel's own
  bookkeeping costs more than the scores, and its backward pass ten times more;
- what the backward pass needs is kept, what is quick to work out again is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mynah.fused_linear import FusedLinear, copy_adapters
from mynah.lora import LoraLinear
from mynah.rotary import rotary, turn

Body = Callable[
    [Tensor], Tensor
]  # token ids [posts, tokens] -> hidden states [posts, tokens, width]


def body_of(model: Any, *, int8: bool) -> Body:
    """Return the fastest body that computes what the model's own does.

    With `int8`, where the model allows it, its products are rounded: for learning, not for judging.
    Such a body has to see some posts before it learns (`calibrate`).
    """
    if supports(model):
        return FastLlama(model, int8=int8)

    def plain(ids: Tensor) -> Tensor:
        out: Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return out

    return plain


def supports(model: Any) -> bool:
    """Tell whether a model is a plain Llama, adapted or not, that this module can run."""
    config = model.config
    return (
        type(model).__name__ == "LlamaForCausalLM"
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and not model.model.embed_tokens.weight.requires_grad
        and all(_plain(layer) for layer in model.model.layers)
        and config.rope_parameters.get("rope_type", "default") == "default"
    )


def _plain(layer: Any) -> bool:
    """Tell whether a block's matrices are linear layers or our adapters, and nobody else's."""
    parts = [*layer.self_attn.children(), *layer.mlp.children()]
    known = {nn.Linear, LoraLinear, type(layer.mlp.act_fn)}
    return all(type(part) in known for part in parts)


class FastLlama:
    """A Llama's body as one function of token ids; its weights stay transformers' own."""

    def __init__(self, model: Any, *, int8: bool) -> None:
        body, config = model.model, model.config
        self.embed, self.norm = body.embed_tokens, body.norm
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.head = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.theta = config.rope_parameters["rope_theta"]
        self.layers = [_Layer(layer, int8=int8) for layer in body.layers]
        self.layers[0].lowest = True
        self.products = [product for layer in self.layers for product in layer.products]
        if not int8:  # as long as one tensor looks into the weights' file, all of it stays mapped
            norms = [each for layer in self.layers for each in (layer.first, layer.second)]
            for each in (self.embed, self.norm, *norms):
                each.weight.data = each.weight.data.clone()

    def calibrate(self) -> None:
        """Round the frozen matrices, now that posts have been seen; without int8, do nothing."""
        for product in self.products:
            product.calibrate()

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the last hidden states; ids [posts, tokens], padded on the right."""
        posts, length = ids.shape
        x = self.embed(ids).flatten(0, 1)
        shape = _Shape(posts, length, self.heads, self.groups, self.head)
        tables = _tables(length, self.head, self.theta, x.dtype, x.device)
        copy_adapters(self.products)
        if any(product.adapters for product in self.products):
            x.requires_grad_(torch.is_grad_enabled())  # else there is nothing to go back from
        for layer in self.layers:
            x = _Block.apply(x, layer, shape, tables)  # type: ignore[no-untyped-call]
        normed: Tensor = self.norm(x)
        return normed.view(posts, length, -1)


class _Shape(tuple[int, int, int, int, int]):
    """Posts, tokens, query heads, key heads and width of a head."""

    def __new__(cls, *sizes: int) -> _Shape:
        return super().__new__(cls, sizes)


def _tables(
    length: int, head: int, theta: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosines and sines [tokens, 1, head / 2] and the causal mask [tokens, tokens]."""
    cosine, sine = rotary(length, head, theta, device)
    mask = torch.full((length, length), -math.inf, dtype=dtype, device=device).triu(1)
    return cosine.to(dtype), sine.to(dtype), mask


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: Any, *, int8: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
        self.into = FusedLinear(qkv, int8=int8)
        self.out = FusedLinear([attention.o_proj], int8=int8)
        self.up = FusedLinear([mlp.gate_proj, mlp.up_proj], int8=int8)
        self.down = FusedLinear([mlp.down_proj], int8=int8)
        self.first, self.second = layer.input_layernorm, layer.post_attention_layernorm
        self.lowest = False  # nothing is learned below it

    @property
    def products(self) -> tuple[FusedLinear, FusedLinear, FusedLinear, FusedLinear]:
        """Return the layer's matrix products."""
        return self.into, self.out, self.up, self.down


class _Block(torch.autograd.Function):
    """A decoder layer: x [posts x tokens, width] -> the same."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: _Layer, shape: _Shape, tables: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        normed, spread = _norm(x, layer.first)
        qkv, low_in = layer.into.forward(normed)
        q, k, v = _split_heads(qkv, shape, tables)
        scores = torch.baddbmm(_wide(tables[2], shape), q, k.mT)
        chance = torch.softmax(scores, dim=-1, dtype=torch.float32).to(x.dtype)
        mixed = _join_heads(chance @ v, shape)
        attended, low_out = layer.out.forward(mixed)
        middle = attended.add_(x)
        renormed, respread = _norm(middle, layer.second)
        gated, low_up = layer.up.forward(renormed)
        gate, up = gated.chunk(2, dim=-1)
        opened = nn.functional.silu(gate)
        inner = opened * up
        out, low_down = layer.down.forward(inner)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(
                x, spread, normed, q, k, v, chance, mixed, middle, respread, renormed,
                gated, opened, inner, low_in, low_out, low_up, low_down,
            )  # fmt: skip
            ctx.fixed = (layer, shape, tables)
        return out.add_(middle)

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> Any:
        x, spread, normed, q, k, v, chance, mixed, middle = ctx.saved_tensors[:9]
        respread, renormed, gated, opened, inner, *lows = ctx.saved_tensors[9:]
        layer, shape, tables = ctx.fixed
        d_inner = layer.down.backward(d_out, inner, lows[3])
        d_gated = _gate_back(d_inner, gated, opened)
        d_renormed = layer.up.backward(d_gated, renormed, lows[2])
        d_middle = _norm_back(d_renormed, middle, renormed, respread, layer.second).add_(d_out)
        d_mixed = layer.out.backward(d_middle, mixed, lows[1])
        d_qkv = _attention_back(_part_heads(d_mixed, shape), q, k, v, chance, shape, tables)
        if layer.lowest:
            layer.into.learn(d_qkv, normed, lows[0])
            return None, None, None, None
        d_normed = layer.into.backward(d_qkv, normed, lows[0])
        d_x = _norm_back(d_normed, x, normed, spread, layer.first).add_(d_middle)
        return d_x, None, None, None


def _norm(x: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """Return RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467) and 1 / RMS [rows, 1], fp32."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    spread = (length.square_() / x.shape[-1]).add_(norm.variance_epsilon).rsqrt_()
    return (x * spread).to(x.dtype).mul_(norm.weight), spread


def _norm_back(d: Tensor, x: Tensor, normed: Tensor, spread: Tensor, norm: Any) -> Tensor:
    """Return the gradient of x: spread * (d w - x^ * mean(d * normed)), x^ = x * spread."""
    along = (d * normed).sum(dim=-1, keepdim=True, dtype=torch.float32)
    along.mul_(spread).div_(-x.shape[-1])
    return torch.addcmul((d * norm.weight).float(), x, along).mul_(spread).to(x.dtype)


def _gate_back(d: Tensor, gated: Tensor, opened: Tensor) -> Tensor:
    """Return the gradient of [gate, up] from that of silu(gate) * up."""
    gate, up = gated.chunk(2, dim=-1)
    both = torch.empty_like(gated)
    d_gate, d_up = both.chunk(2, dim=-1)
    torch.mul(opened, d, out=d_up)
    torch.ops.aten.silu_backward.grad_input(d * up, gate, grad_input=d_gate)
    return both


def _split_heads(
    qkv: Tensor, shape: _Shape, tables: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rotated and scaled q [posts x groups, heads a group x tokens, head], k, v likewise."""
    posts, length, heads, groups, head = shape
    parts = qkv.view(posts, length, heads + 2 * groups, head)
    turned = turn(parts[:, :, : heads + groups], tables[0], tables[1])
    q = turned[:, :, :heads].mul_(1 / math.sqrt(head))
    q = q.reshape(posts, length, groups, heads // groups, head).permute(0, 2, 3, 1, 4)
    k = turned[:, :, heads:].permute(0, 2, 1, 3)
    v = parts[:, :, heads + groups :].permute(0, 2, 1, 3)
    wide = (posts * groups, heads // groups * length, head)
    narrow = (posts * groups, length, head)
    return q.reshape(wide), k.reshape(narrow), v.reshape(narrow)


def _wide(mask: Tensor, shape: _Shape) -> Tensor:
    """Return the causal mask once for each head of a group, [1, heads a group x tokens, tokens]."""
    return mask.repeat(shape[2] // shape[3], 1)[None]


def _join_heads(mixed: Tensor, shape: _Shape) -> Tensor:
    """Return [posts x tokens, width] from [posts x groups, heads a group x tokens, head]."""
    posts, length, heads, groups, head = shape
    parts = mixed.view(posts, groups, heads // groups, length, head)
    return parts.permute(0, 3, 1, 2, 4).reshape(posts * length, heads * head)


def _part_heads(d: Tensor, shape: _Shape) -> Tensor:
    """Undo `_join_heads`."""
    posts, length, heads, groups, head = shape
    parts = d.view(posts, length, groups, heads // groups, head).permute(0, 2, 3, 1, 4)
    return parts.reshape(posts * groups, heads // groups * length, head)


def _attention_back(
    d: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chance: Tensor,
    shape: _Shape,
    tables: tuple[Tensor, Tensor, Tensor],
) -> Tensor:
    """Return the gradient of [q, k, v] as the matrix product gave them."""
    posts, length, heads, groups, head = shape
    full = chance.float()
    d_scores = torch._softmax_backward_data((d @ v.mT).float(), full, -1, full.dtype).to(d.dtype)
    out = d.new_empty(posts, length, heads + 2 * groups, head)
    d_q = (d_scores @ k).mul_(1 / math.sqrt(head))
    parts = d_q.view(posts, groups, heads // groups, length, head).permute(0, 3, 1, 2, 4)
    # the inverse of a rotation turns by minus the angle
    out[:, :, :heads] = turn(parts.reshape(posts, length, heads, head), tables[0], -tables[1])
    d_k = (d_scores.mT @ q).view(posts, groups, length, head).transpose(1, 2)
    out[:, :, heads : heads + groups] = turn(d_k, tables[0], -tables[1])
    d_v = (chance.mT @ d).view(posts, groups, length, head)
    out[:, :, heads + groups :] = d_v.transpose(1, 2)
    return out.view(posts * length, -1)

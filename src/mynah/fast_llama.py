"""The body of a model: Llama's blocks written out for short posts on a CPU, others as they are.

No mask is needed: padding on the right is never seen by the causal attention of what stands before
it. For a Llama with a frozen base the forward and backward pass are written out by hand: the same
arithmetic as transformers' LlamaModel (a test compares both), in fewer and larger steps.

- query, key and value are one matrix product, gate and up another, and so are their adapters;
- attention multiplies small matrices outright (`short_attention`);
- what the backward pass needs is kept, what is quick to work out again is not;
- both passes run in inference mode: a step is thousands of small operations, and each of them would
  pay for what autograd notes of it, though nobody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mynah.adapter_stack import AdapterStack
from mynah.fused_linear import FusedLinear, share_out
from mynah.lora import LoraLinear
from mynah.opening import Opening, find_opening
from mynah.short_attention import Shape, Tables, attend, attend_back, tables_of

# Token ids [posts, tokens] -> hidden states [posts, tokens, width]
Body = Callable[[Tensor], Tensor]
_ROWS = 16  # tokens of a step come in whole numbers of these


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
        and len({_adapters(layer) for layer in model.model.layers}) == 1
        and config.rope_parameters.get("rope_type", "default") == "default"
    )


def _plain(layer: Any) -> bool:
    """Tell whether a block's matrices are linear layers or our adapters, and nobody else's."""
    return all(type(part) in {nn.Linear, LoraLinear} for part in _matrices(layer))


def _matrices(layer: Any) -> list[Any]:
    """Return all parts of a block's attention and mlp but for its activation."""
    parts = [*layer.self_attn.children(), *layer.mlp.children()]
    return [part for part in parts if part is not layer.mlp.act_fn]


def _adapters(layer: Any) -> tuple[int, ...]:
    """Return the ranks of a block's adapters, 0 where there is none."""
    parts = [*layer.self_attn.children(), *layer.mlp.children()]
    return tuple(part.rank * part.members if isinstance(part, LoraLinear) else 0 for part in parts)


def widen(model: Any, dtype: torch.dtype) -> None:
    """Let a Llama compute in a precision that its blocks' matrices are not in, in place."""
    held = {id(layer.weight) for block in model.model.layers for layer in _matrices(block)}
    for each in model.parameters():
        if id(each) not in held:
            each.data = each.data.to(dtype)


class FastLlama:
    """A Llama's body as one function of token ids; its weights stay transformers' own.

    It computes in the precision of the embedding, whatever that of the blocks' matrices.
    """

    def __init__(self, model: Any, *, int8: bool) -> None:
        body, config = model.model, model.config
        self.embed, self.norm = body.embed_tokens, body.norm
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.head = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.theta = config.rope_parameters["rope_theta"]
        dtype = self.embed.weight.dtype
        self.layers = [_Layer(layer, dtype, int8=int8) for layer in body.layers]
        self.layers[0].lowest = True
        self.products = [product for layer in self.layers for product in layer.products]
        kinds = zip(*(layer.products for layer in self.layers), strict=True)
        self.stacks = [AdapterStack(kind) for kind in kinds if kind[0].adapters]
        self.routes: Tensor | None = None  # member of the adapter that each post goes through
        self.opening: Opening | None = None  # that training holds; see `calibrate`
        self.strain: Tensor | None = None  # nats that it cost at the last call, all posts together
        if not int8:  # as long as one tensor looks into the weights' file, all of it stays mapped
            norms = [each for layer in self.layers for each in (layer.first, layer.second)]
            for each in (self.embed, self.norm, *norms):
                each.weight.data = each.weight.data.clone()

    def calibrate(self, ids: Tensor) -> Tensor:
        """Return what `__call__` does; damp what adapters hear, and with int8 round, by it."""
        for product in self.products:
            product.listen()
        hidden = self(ids)
        for layer in self.layers:
            layer.calibrate()
        loudest = [layer.down.loudest for layer in self.layers]
        self.opening = find_opening(loudest, [layer.opening for layer in self.layers])
        return hidden

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the last hidden states; ids [posts, tokens], padded on the right."""
        posts, length = ids.shape
        x = whole_rows(self.embed(ids).flatten(0, 1))
        shape = Shape(posts, length, self.heads, self.groups, self.head)
        for stack in self.stacks:
            stack.copy()
        share_out(self.products, self.routes, length, len(x))
        if self.stacks:
            x.requires_grad_(torch.is_grad_enabled())  # else there is nothing to go back from
        tables = tables_of(shape, self.theta, x.device)
        blocks = self.layers, self.stacks, self.opening
        x, self.strain = _Blocks.apply(x, *blocks, shape, tables)  # type: ignore[no-untyped-call]
        normed: Tensor = self.norm(x[: posts * length])
        return normed.view(posts, length, -1)


def whole_rows(x: Tensor) -> Tensor:
    """Return x [rows, width] with rows of zeros after it, up to a whole number of `_ROWS`.

    A processor's library writes a kernel for each shape that it meets, which takes it longer than
    to use it; batches of nearly equal size shall have the same.
    """
    missing = -len(x) % _ROWS
    return nn.functional.pad(x, (0, 0, 0, missing)) if missing else x


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: Any, dtype: torch.dtype, *, int8: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
        self.into = FusedLinear(qkv, dtype, int8=int8)
        self.out = FusedLinear([attention.o_proj], dtype, int8=int8)
        self.up = FusedLinear([mlp.gate_proj, mlp.up_proj], dtype, int8=int8)
        self.down = FusedLinear([mlp.down_proj], dtype, int8=int8)
        self.first = _Norm(layer.input_layernorm)
        self.second = _Norm(layer.post_attention_layernorm)
        self.lowest = False  # nothing is learned below it
        self.opening = self.first.weight.new_zeros(0)  # its output at a post's first token [width]

    @property
    def products(self) -> tuple[FusedLinear, FusedLinear, FusedLinear, FusedLinear]:
        """Return the layer's matrix products."""
        return self.into, self.out, self.up, self.down

    def calibrate(self) -> None:
        """Damp and round all products; rows of gate and up that make a loud channel stay so."""
        for product in self.products:
            product.calibrate()
        self.up.fixed = self.down.loud.repeat(2).nonzero().flatten()


class _Norm:
    """RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467), forward and back."""

    def __init__(self, norm: Any) -> None:
        self.weight: Tensor = norm.weight
        width = len(norm.weight)
        self.share = 1 / width
        self.epsilon = torch.full((1,), norm.variance_epsilon, device=norm.weight.device)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x normed, and 1 / RMS [rows, 1], fp32."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        spread = torch.addcmul(self.epsilon, length, length, value=self.share).rsqrt_()
        return self.normed(x, spread), spread

    def normed(self, x: Tensor, spread: Tensor) -> Tensor:
        """Return x normed, given 1 / RMS [rows, 1]."""
        return (x * spread).to(x.dtype).mul_(self.weight)

    def backward(self, d: Tensor, x: Tensor, normed: Tensor, spread: Tensor) -> Tensor:
        """Return the gradient of x: spread * (d w - x^ * mean(d * normed)), x^ = x * spread."""
        along = (d * normed).sum(dim=-1, keepdim=True, dtype=torch.float32).mul_(spread)
        inner = torch.addcmul((d * self.weight).float(), x, along, value=-self.share)
        return inner.mul_(spread).to(x.dtype)


class _Blocks(torch.autograd.Function):
    """All decoder layers: x [posts x tokens, width] -> the same, and what an opening costs."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        layers: list[_Layer],
        stacks: list[AdapterStack],
        opening: Opening | None,
        shape: Shape,
        tables: Tables,
    ) -> tuple[Tensor, Tensor]:
        ctx.fixed = (layers, stacks, opening, shape, tables)
        ctx.kept = []
        out = torch.empty_like(x)  # what leaves is an ordinary tensor
        strain = x.new_zeros((), dtype=torch.float32)
        with torch.inference_mode():
            for at, layer in enumerate(layers):
                x, kept = _forward(x, layer, shape, tables)
                if ctx.needs_input_grad[0]:
                    ctx.kept.append(kept)
                if opening and opening.layer == at:
                    ctx.excess = opening.excess(_firsts(x, shape))
                    strain.copy_(opening.strain(ctx.excess))
            return out.copy_(x), strain

    @staticmethod
    def backward(ctx: Any, d: Tensor, d_strain: Tensor) -> Any:
        layers, stacks, opening, shape, tables = ctx.fixed
        with torch.inference_mode():
            for at, layer in reversed(list(enumerate(layers))):
                if opening and opening.layer == at:
                    pull = d_strain * opening.pull(ctx.excess)
                    _firsts(d, shape)[:, opening.channel] += pull.to(d.dtype)
                d = _backward(d, layer, ctx.kept.pop(), shape, tables)
        for stack in stacks:
            stack.add_gradients()
        return None, None, None, None, None, None


def _firsts(x: Tensor, shape: Shape) -> Tensor:
    """Return a view of the rows of posts' first tokens [posts, width]."""
    return x[: shape.posts * shape.length : shape.length]


def _forward(
    x: Tensor, layer: _Layer, shape: Shape, tables: Tables
) -> tuple[Tensor, tuple[Any, ...]]:
    """Return a layer's output, and what its way back needs."""
    normed, spread = layer.first.forward(x)
    qkv, low_in = layer.into.forward(normed)
    mixed, seen = attend(qkv, shape, tables)
    attended, low_out = layer.out.forward(mixed)
    middle = attended.add_(x)
    renormed, respread = layer.second.forward(middle)
    gated, low_up = layer.up.forward(renormed)
    _, inner = _gate(gated)
    out, low_down = layer.down.forward(inner)
    out.add_(middle)
    if layer.down.peaks is not None:  # it listens
        layer.opening = out[0].clone()
    return out, (
        x, spread, seen, mixed, middle, respread, gated, low_in, low_out, low_up, low_down
    )  # fmt: skip


def _backward(
    d_out: Tensor, layer: _Layer, kept: tuple[Any, ...], shape: Shape, tables: Tables
) -> Tensor:
    """Return the gradient of a layer's input; of the lowest, whatever: nobody needs it."""
    x, spread, seen, mixed, middle, respread, gated, low_in, low_out, low_up, low_down = kept
    opened, inner = _gate(gated)  # as both norms, worked out again: a third less is kept
    d_inner = layer.down.backward(d_out, inner, low_down)
    d_gated = _gate_back(d_inner, gated, opened)
    renormed = layer.second.normed(middle, respread)
    d_renormed = layer.up.backward(d_gated, renormed, low_up)
    d_middle = layer.second.backward(d_renormed, middle, renormed, respread).add_(d_out)
    d_mixed = layer.out.backward(d_middle, mixed, low_out)
    d_qkv = attend_back(d_mixed, seen, shape, tables)
    normed = layer.first.normed(x, spread)
    if layer.lowest:
        layer.into.learn(d_qkv, normed, low_in)
        return d_middle
    d_normed = layer.into.backward(d_qkv, normed, low_in)
    return layer.first.backward(d_normed, x, normed, spread).add_(d_middle)


def _gate(gated: Tensor) -> tuple[Tensor, Tensor]:
    """Return silu(gate), and silu(gate) * up, of [gate, up]."""
    gate, up = gated.chunk(2, dim=-1)
    opened = nn.functional.silu(gate)
    return opened, opened * up


def _gate_back(d: Tensor, gated: Tensor, opened: Tensor) -> Tensor:
    """Return the gradient of [gate, up] from that of silu(gate) * up, which is lost."""
    gate, up = gated.chunk(2, dim=-1)
    both = torch.empty_like(gated)
    d_gate, d_up = both.chunk(2, dim=-1)
    torch.mul(opened, d, out=d_up)
    torch.ops.aten.silu_backward.grad_input(d.mul_(up), gate, grad_input=d_gate)
    return both

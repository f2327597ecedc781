"""A Llama that reads tokens of many bots in one step: texts join and leave between two steps.

Every token in the batch goes through the base's matrices together; what its own bot adds is in
`seats`. A step takes, for each text, one token or a piece of its beginning, so that a text that
joins holds nobody up (Orca, Yu et al. 2022, OSDI; in pieces: Sarathi, arXiv:2308.16369). Between
the matrices everything is fp32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mynah.fast_llama import supports
from mynah.laid_out import Block, Frozen, laid_out
from mynah.model import Base
from mynah.rotary import rotary, turn
from mynah.sampling import Logits
from mynah.serving.seats import Places, Product, Seats, Shape


@dataclass(frozen=True)
class Turn:
    """What a text reads in one step."""

    row: int  # the text's place in the cache
    start: int  # tokens that it has read before
    tokens: Sequence[int]
    owner: object  # whose adapter
    adapter: Tensor
    rank: int


class MixedLlama:
    """The base once, rows of keys and values for the texts, seats for their bots."""

    def __init__(self, base: Base, *, rows: int, length: int) -> None:
        """Take the weights of a loaded base; it is not to be used afterwards.

        Args:
            base: a plain Llama, see `supports`.
            rows: most texts at once.
            length: most tokens of a text.
        """
        model = base.model
        assert supports(model), "only a Llama is written out here"
        config = model.config
        self.rows, self.length = rows, length
        self._dtype = base.device.dtype
        self._heads, self._groups = config.num_attention_heads, config.num_key_value_heads
        self._head = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._embed, self._norm = model.model.embed_tokens.weight, model.model.norm
        self._out = laid_out(model.lm_head.weight.detach(), rows)
        self._layers = [Block(layer, rows) for layer in model.model.layers]
        self.shape = Shape(len(self._layers), self._layers[0].sizes)
        self.seats = Seats(self.shape, rows)
        room = (len(self._layers), rows, self._groups, length, self._head)
        self._keys, self._values = torch.zeros(room), torch.zeros(room)  # untouched pages are free
        self._cosine, self._sine = rotary(length, self._head, config.rope_parameters["rope_theta"])

    def move(self, source: int, target: int, tokens: int) -> None:
        """Make a row what another is, so that rows in use are the first ones."""
        for cache in (self._keys, self._values):
            cache[:, target, :, :tokens] = cache[:, source, :, :tokens]

    @torch.inference_mode()
    def read(self, turns: Sequence[Turn]) -> Logits:
        """Return the logits after each turn's last token, [turns, vocabulary].

        Args:
            turns: one for each row in use; rows in use are the first ones, in order.
        """
        self.seats.keep([turn.owner for turn in turns])
        seats = [self.seats.seat(turn.owner, turn.adapter, turn.rank) for turn in turns]
        step = _Step(turns, seats)
        x = self._embed[step.ids].float()
        turned = self._cosine[step.positions], self._sine[step.positions]
        for at, layer in enumerate(self._layers):
            x = self._block(x, at, layer, step, turned)
        last = _norm(x[step.last], self._norm).to(self._dtype)
        logits: Logits = self._out(last).float().numpy()
        return logits

    def _block(
        self, x: Tensor, at: int, layer: Block, step: _Step, turned: tuple[Tensor, Tensor]
    ) -> Tensor:
        into, out, up, down = self.seats.layers[at]
        qkv = self._product(_norm(x, layer.first), layer.into, into, step)
        mixed = self._attend(qkv, at, step, turned)
        x = x + self._product(mixed, layer.out, out, step)
        gate, wide = self._product(_norm(x, layer.second), layer.up, up, step).chunk(2, dim=-1)
        return x + self._product(nn.functional.silu(gate) * wide, layer.down, down, step)

    def _product(self, x: Tensor, frozen: Frozen, adapters: Product, step: _Step) -> Tensor:
        return step.places.add(adapters, step.places.lay(x), frozen(x.to(self._dtype)))

    def _attend(self, qkv: Tensor, at: int, step: _Step, turned: tuple[Tensor, Tensor]) -> Tensor:
        """Write keys and values down; return what each token gathers, [tokens, width]."""
        heads, groups, head = self._heads, self._groups, self._head
        parts = qkv.view(-1, heads + 2 * groups, head)
        rotated = turn(parts[:, : heads + groups], *turned)
        keys, values = self._keys[at], self._values[at]
        keys.transpose(1, 2)[step.rows, step.positions] = rotated[:, heads:]
        values.transpose(1, 2)[step.rows, step.positions] = parts[:, heads + groups :]
        q = step.spread(rotated[:, :heads] / math.sqrt(head))  # [rows, most, heads, head]
        q = q.view(step.count, step.most, groups, heads // groups, head).permute(0, 2, 3, 1, 4)
        seen = (slice(step.count), slice(None), slice(step.longest))
        scores = q.flatten(2, 3) @ keys[seen].mT
        shape = (step.count, groups, heads // groups, step.most)
        scores = scores.view(*shape, step.longest) + step.mask
        mixed = torch.softmax(scores, dim=-1).flatten(2, 3) @ values[seen]
        mixed = mixed.view(*shape, head).permute(0, 3, 1, 2, 4)
        return step.gather(mixed.flatten(2))


class _Step:
    """Where the tokens of one step stand: in the batch, in their texts, among the bots."""

    def __init__(self, turns: Sequence[Turn], seats: Sequence[int]) -> None:
        lengths = [len(turn.tokens) for turn in turns]
        self.count, self.most = len(turns), max(lengths)
        self.longest = max(turn.start + len(turn.tokens) for turn in turns)
        self.ids = torch.tensor([token for turn in turns for token in turn.tokens])
        self.rows = torch.arange(self.count).repeat_interleave(torch.tensor(lengths))
        within = torch.cat([torch.arange(length) for length in lengths])
        starts = torch.tensor([turn.start for turn in turns])
        self.positions = starts[self.rows] + within
        self.last = torch.tensor(lengths).cumsum(0) - 1
        self.places = Places(
            [seat for seat, many in zip(seats, lengths, strict=True) for _ in range(many)]
        )
        self._within = within if self.most > 1 else None
        reach = starts[:, None] + torch.arange(self.most)  # [rows, most]
        hidden = torch.arange(self.longest) > reach[:, :, None]
        self.mask = torch.zeros(hidden.shape).masked_fill_(hidden, -math.inf)[:, None, None]

    def spread(self, x: Tensor) -> Tensor:
        """Return [rows, most, ...] of [tokens, ...], with nothing where a text has fewer."""
        if self._within is None:
            return x[:, None]
        wide = x.new_zeros(self.count, self.most, *x.shape[1:])
        wide[self.rows, self._within] = x
        return wide

    def gather(self, x: Tensor) -> Tensor:
        """Undo `spread`."""
        return x[:, 0] if self._within is None else x[self.rows, self._within]


def _norm(x: Tensor, norm: Any) -> Tensor:
    return nn.functional.rms_norm(x, x.shape[-1:], norm.weight.float(), norm.variance_epsilon)

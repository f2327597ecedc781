"""Adapters of several bots side by side, so that one product serves tokens of all of them.

As in Punica (Chen et al. 2023, arXiv:2310.18547, section 4) and S-LoRA (Sheng et al. 2023,
arXiv:2311.03285, section 5) a batch goes through the base's matrices as one, and what each token's
own bot adds to it is worked out beside them: y = W x + B_bot A_bot x. Their kernels look adapters
up where they lie. A processor has no such kernel, but a batched product over matrices at even
distances; so a bot that takes part is copied to a seat, and the seats lie at even distances.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from mynah.lora import CONFIG, WEIGHTS, fitting

PRODUCTS = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
_STEM = "base_model.model.model.layers."


@dataclass(frozen=True)
class Shape:
    """What all adapters on a base have in common."""

    layers: int
    products: tuple[tuple[int, tuple[int, ...]], ...]  # inputs, and the outputs of each part

    def size(self, rank: int) -> int:
        """Return how many numbers an adapter has."""
        each = sum(len(parts) * inputs + sum(parts) for inputs, parts in self.products)
        return self.layers * rank * each


def read_adapter(folder: Path, shape: Shape) -> tuple[Tensor, int]:
    """Return an adapter as one row of numbers, its scale in it, and its rank.

    Raises:
        BotError: it is not whole, or another base's.
    """
    with fitting(folder):
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank, scale = int(config["r"]), float(config["lora_alpha"]) / int(config["r"])
        tensors = load_file(folder / WEIGHTS)
        flat = torch.cat(list(_pieces(tensors, shape, scale)))
        if len(flat) != shape.size(rank) or len(tensors) != _matrices(shape):
            raise ValueError("sizes that the base does not have")
    return flat, rank


def _matrices(shape: Shape) -> int:
    return 2 * shape.layers * sum(map(len, PRODUCTS))


def _pieces(tensors: Mapping[str, Tensor], shape: Shape, scale: float) -> Iterator[Tensor]:
    """Yield each product's A [parts x rank, inputs], then each part's B turned: [rank, outputs]."""
    for layer in range(shape.layers):
        for names in PRODUCTS:
            stems = [f"{_STEM}{layer}.{name}" for name in names]
            for stem in stems:
                yield tensors[f"{stem}.lora_A.weight"].bfloat16().flatten()
            for stem in stems:
                second = tensors[f"{stem}.lora_B.weight"].float() * scale
                yield second.T.bfloat16().flatten()


@dataclass(frozen=True)
class Product:
    """One product's adapters of all seats, views into the room they share."""

    first: Tensor  # [seats, parts x rank, inputs]
    second: tuple[Tensor, ...]  # for each part [seats, rank, outputs]


class Seats:
    """Room for as many adapters as take part in a batch, each a row of the same numbers.

    Seats in use are always the first ones: a batched product runs over all of them, none for
    nothing. Kept in fp32, in which a processor multiplies one row by a matrix several times faster.
    """

    def __init__(self, shape: Shape, count: int) -> None:
        self._shape, self._count = shape, count
        self._taken: list[object] = []  # whose adapter is where
        self._make_room(1)

    def _make_room(self, rank: int) -> None:
        self.rank = rank
        self._room = torch.zeros(self._count, self._shape.size(rank))
        self.layers = [
            [self._view(layer, which) for which in range(len(PRODUCTS))]
            for layer in range(self._shape.layers)
        ]

    def _view(self, layer: int, which: int) -> Product:
        sizes = [len(parts) * inputs + sum(parts) for inputs, parts in self._shape.products]
        at = self.rank * (layer * sum(sizes) + sum(sizes[:which]))
        inputs, parts = self._shape.products[which]
        first, at = self._matrix(at, len(parts) * self.rank, inputs)
        second = []
        for outputs in parts:
            matrix, at = self._matrix(at, self.rank, outputs)
            second.append(matrix)
        return Product(first, tuple(second))

    def _matrix(self, at: int, rows: int, columns: int) -> tuple[Tensor, int]:
        end = at + rows * columns
        return self._room[:, at:end].view(self._count, rows, columns), end

    def keep(self, owners: Sequence[object]) -> None:
        """Let everybody else leave, and close the gaps."""
        at = 0
        while at < len(self._taken):
            if any(self._taken[at] is owner for owner in owners):
                at += 1
                continue
            last = self._taken.pop()
            if at < len(self._taken):
                self._taken[at] = last
                self._room[at] = self._room[len(self._taken)]

    def seat(self, owner: object, adapter: Tensor, rank: int) -> int:
        """Return the seat of an adapter, copied there unless it is there already."""
        for at, taken in enumerate(self._taken):
            if taken is owner:
                return at
        if rank > self.rank:
            self._widen(rank)
        at = len(self._taken)
        self._taken.append(owner)
        self._write(at, adapter, rank)
        return at

    def _widen(self, rank: int) -> None:
        """Make all seats as wide as the widest adapter so far; what was there is written again."""
        old, narrow = self._room, self.rank
        self._make_room(rank)
        for at in range(len(self._taken)):
            self._write(at, old[at], narrow)

    def _write(self, at: int, adapter: Tensor, rank: int) -> None:
        if rank == self.rank:
            self._room[at] = adapter
            return
        self._room[at] = 0  # an adapter of a smaller rank, with nothing in the other rows
        begin = 0
        for product in (each for layer in self.layers for each in layer):
            for target in _parts(product, at, self.rank):
                end = begin + rank * target.shape[1]
                target[:rank] = adapter[begin:end].view(rank, -1)
                begin = end


def _parts(product: Product, at: int, rank: int) -> Iterator[Tensor]:
    """Yield the matrices [rank, ...] of one seat in the order in which they lie."""
    yield from torch.split(product.first[at], rank)
    yield from (each[at] for each in product.second)


class Places:
    """Which tokens of a batch belong to which seat, in the form that a batched product takes."""

    def __init__(self, seats: Sequence[int]) -> None:
        """Lay tokens out as [seats, most tokens of a seat].

        Args:
            seats: the seat of each token.
        """
        self.used = max(seats) + 1
        counts = [0] * self.used
        column = []
        for seat in seats:
            column.append(counts[seat])
            counts[seat] += 1
        self.most = max(counts)
        slots = [seat * self.most + at for seat, at in zip(seats, column, strict=True)]
        self._slots: Tensor | None = None  # None: they are in order already
        if slots != list(range(self.used * self.most)):
            self._slots = torch.tensor(slots)
            # A slot without a token reads the first one; what comes of it is not looked at.
            self._tokens = torch.zeros(self.used * self.most, dtype=torch.long)
            self._tokens[self._slots] = torch.arange(len(slots))

    def lay(self, x: Tensor) -> Tensor:
        """Return [seats, most, width] of [tokens, width]."""
        laid = x if self._slots is None else x.index_select(0, self._tokens)
        return laid.view(self.used, self.most, -1)

    def add(self, product: Product, laid: Tensor, out: Tensor) -> Tensor:
        """Add what each token's own bot adds.

        Args:
            product: the adapters.
            laid: the product's input, [seats, most, inputs].
            out: what the base's own matrix gave, [tokens, outputs].
        """
        low = torch.bmm(laid, product.first[: self.used].mT)
        rank = product.second[0].shape[1]
        parts = [
            torch.bmm(low[:, :, at * rank : (at + 1) * rank], second[: self.used])
            for at, second in enumerate(product.second)
        ]
        more = (torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]).flatten(0, 1)
        return out + (more if self._slots is None else more.index_select(0, self._slots))

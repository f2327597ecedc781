"""Low-rank adapters on the linear layers of every block, in peft's file format.

LoRA (Hu et al. 2021, arXiv:2106.09685, section 4.1): y = W x + (alpha / r) B A x with W frozen,
A random, B zero, so that training starts from the base itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mynah.errors import BotError

_PREFIX = "base_model.model."
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


class LoraLinear(nn.Module):
    """A frozen linear layer plus its low-rank update; takes nn.Linear and GPT-2's Conv1D.

    While several members of an ensemble learn, it holds all of theirs, each at as many times the
    usual scale as there are members, and what it computes is their mean; see `ensemble`.
    """

    def __init__(
        self,
        frozen: Any,
        rank: int,
        alpha: float,
        generator: torch.Generator,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.transposed = not isinstance(frozen, nn.Linear)  # Conv1D keeps [in, out]
        first, second = frozen.weight.shape
        inputs, outputs = (first, second) if self.transposed else (second, first)
        bound = 1 / math.sqrt(inputs)
        start = torch.empty(rank * members, inputs).uniform_(-bound, bound, generator=generator)
        self.lora_A = nn.Parameter(start.to(frozen.weight.device))
        zeros = torch.zeros(outputs, rank * members, device=frozen.weight.device)
        self.lora_B = nn.Parameter(zeros)
        self.members, self.rank = members, rank
        self.damping: Tensor | None = None  # of each input [inputs], while it learns; see `damp`
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + scale * B A x; x [..., in] -> [..., out]."""
        low = nn.functional.linear(x, self.down.to(x.dtype))
        out: Tensor = self.frozen(x)
        return out + nn.functional.linear(low, (self.lora_B * self.scale).to(x.dtype))

    @property
    def down(self) -> Tensor:
        """Return what inputs are multiplied with [rank x members, inputs]: A, damped."""
        return self.lora_A if self.damping is None else self.lora_A * self.damping

    @torch.no_grad()
    def damp(self, factors: Tensor) -> None:
        """Let each input count for a part only, 0 < `factors` <= 1 [inputs], until `join`.

        A that is random still is damped with them; what has learned already says what it said.
        """
        if self.lora_B.any():
            self.lora_A.copy_(self.down / factors)
        self.damping = factors if bool((factors < 1).any()) else None

    @torch.no_grad()
    def merged(self) -> Tensor:
        """Return W + scale * B A in the layout and precision of W."""
        update = self.lora_B.float() @ self.down.float() * self.scale
        weight: Tensor = self.frozen.weight
        return (weight.float() + (update.T if self.transposed else update)).to(weight.dtype)

    @torch.no_grad()
    def join(self) -> None:
        """Replace the members by one adapter of their rank, and reckon the damping into it."""
        if self.members > 1:
            self.lora_A, self.lora_B = (nn.Parameter(each) for each in self.nearest())
        elif self.damping is not None:
            self.lora_A = nn.Parameter(self.down)
        self.members, self.damping = 1, None

    @torch.no_grad()
    def nearest(self) -> tuple[Tensor, Tensor]:
        """Return A and B of one member's rank, nearest to the mean of all as it is heard.

        By the largest singular values of the product (Eckart and Young 1936, Psychometrika 1).
        """
        out, up = torch.linalg.qr(self.lora_B)
        into, down = torch.linalg.qr(self.down.T)
        left, sizes, right = torch.linalg.svd(up @ down.T, full_matrices=False)
        roots = sizes[: self.rank].sqrt()
        first = roots[:, None] * (right[: self.rank] @ into.T)
        second = out @ left[:, : self.rank] * roots
        lacking = self.rank - len(roots)  # of a rank that is more than the layer's width
        return nn.functional.pad(first, (0, 0, 0, lacking)), nn.functional.pad(second, (0, lacking))


# Parts of a layer's name in Llama and its kin, and in GPT-2.
_KINDS = {"all": ("",), "attention": ("attn.",), "mlp": ("mlp.",)}


def add_adapter(
    model: Any,
    *,
    rank: int,
    alpha: float,
    seed: int,
    modules: str | None = None,
    members: int = 1,
) -> None:
    """Wrap the linear layers of every block: all, or those of its attention or its mlp.

    The output head and embeddings stay as they are.
    """
    kinds = _KINDS[modules or "all"]
    _wrap(model, rank, alpha, seed, lambda name: any(kind in name for kind in kinds), members)


def _wrap(
    model: Any,
    rank: int,
    alpha: float,
    seed: int,
    wanted: Callable[[str], bool],
    members: int = 1,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, layer in list(_linear_layers(model)):
        if wanted(name):
            parent, _, last = name.rpartition(".")
            wrapped = LoraLinear(layer, rank, alpha, generator, members)
            setattr(model.get_submodule(parent), last, wrapped)


def adapted(model: Any) -> dict[str, LoraLinear]:
    """Return the adapted layers by their name in the base."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLinear)}


def join_members(model: Any) -> None:
    """Make one adapter of those that learned side by side, in place."""
    for layer in adapted(model).values():
        layer.join()


@contextmanager
def joined(model: Any) -> Iterator[None]:
    """Let a model compute for a while what it will once its members are joined."""
    several = [layer for layer in adapted(model).values() if layer.members > 1]
    held = [(layer.lora_A.data, layer.lora_B.data, layer.damping) for layer in several]
    for layer in several:
        first, second = layer.nearest()
        missing = len(layer.lora_A) - len(first)
        layer.lora_A.data = nn.functional.pad(first, (0, 0, 0, missing))
        layer.lora_B.data = nn.functional.pad(second, (0, missing))
        layer.damping = None
    try:
        yield
    finally:
        for layer, (first, second, damping) in zip(several, held, strict=True):
            layer.lora_A.data, layer.lora_B.data, layer.damping = first, second, damping


def merge_adapter(model: Any) -> None:
    """Fold every adapter into its frozen layer, in place; the model is a plain one again."""
    for layer in adapted(model).values():
        layer.frozen.weight.data = layer.merged()
    remove_adapter(model)


def remove_adapter(model: Any) -> None:
    """Take every adapter off, in place: the frozen layers stand alone again."""
    for name, layer in adapted(model).items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.frozen)


def _linear_layers(model: Any) -> Iterator[tuple[str, Any]]:
    head = model.get_output_embeddings()
    for name, layer in model.named_modules():
        if layer is not head and _is_linear(layer):
            yield name, layer


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"


def save_adapter(model: Any, folder: Path, *, base: str, rank: int, alpha: float) -> None:
    """Write the adapter as peft does, in bf16: two bytes for each number."""
    layers = adapted(model)
    tensors = {}
    for name, layer in layers.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = layer.down.detach().bfloat16().contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = layer.lora_B.detach().bfloat16().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(layer.transposed for layer in layers.values()),
        "target_modules": _targets(model, layers),
        "inference_mode": True,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _targets(model: Any, layers: Iterable[str]) -> list[str]:
    """Return ends of the adapted layers' names that no other layer's name has."""
    bare = {_end(name, 1) for name, _ in _linear_layers(model) if _end(name, 1) != "frozen"}
    return sorted({_end(name, 2 if _end(name, 1) in bare else 1) for name in layers})


def _end(name: str, parts: int) -> str:
    return ".".join(name.split(".")[-parts:])


def adapter_size(folder: Path) -> tuple[int, float]:
    """Return the rank and alpha of the adapter in `folder`.

    Raises:
        BotError: there is none, or it is damaged.
    """
    with fitting(folder):
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return int(config["r"]), float(config["lora_alpha"])


def load_adapter(model: Any, folder: Path) -> None:
    """Add the adapter in `folder` to a freshly loaded base.

    Raises:
        BotError: the adapter is not whole, or is another base's.
    """
    rank, alpha = adapter_size(folder)
    with fitting(folder):
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        ends = tuple(f".{end}" for end in config["target_modules"])
    _wrap(model, rank, alpha, 0, lambda name: f".{name}".endswith(ends))
    copy_adapter(model, folder)


def copy_adapter(model: Any, folder: Path, share: float = 1.0) -> None:
    """Give a model's adapter the values of the one in `folder`, or a share of what it does.

    A blend's has another alpha for its rank; it is reckoned into B. All members begin with it.

    Args:
        model: with an adapter already.
        folder: of the other adapter.
        share: of what it adds, 0 to 1: the weighted mean of a base and what became of it (WiSE-FT:
            Wortsman et al. 2022, arXiv:2109.01903).

    Raises:
        BotError: it is not whole, of another size, or another base's.
    """
    with fitting(folder):
        tensors = load_file(folder / WEIGHTS)
        rank, alpha = adapter_size(folder)
        for name, layer in adapted(model).items():
            first = tensors.pop(f"{_PREFIX}{name}.lora_A.weight")
            second = tensors.pop(f"{_PREFIX}{name}.lora_B.weight")
            layer.lora_A.data.copy_(first.repeat(layer.members, 1))
            layer.lora_B.data.copy_(second.repeat(1, layer.members))
            layer.lora_B.data *= share * alpha / rank / layer.scale / layer.members
        if tensors:
            raise KeyError("layers that the base does not have")


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Say in one sentence that what is in `folder` is no adapter of this base."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BotError(
            f"The adapter in {folder} does not fit this base ({type(error).__name__}).",
            hint="Train it again: mynah train <bot>",
        ) from error
